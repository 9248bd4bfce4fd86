"""Users and items as vectors that spread over the graph of who chose what."""

from __future__ import annotations

from typing import Any, Literal

import torch
from scipy import sparse
from torch import Tensor, nn

from nearfar.parts import SparseMatrix

Readout = Literal["mean", "sum"]


class LightEncoder(nn.Module):
    r"""Embeddings of users and items after linear propagation (LightGCN, arXiv 2002.02126).

    .. math::
        E_U^{l} = \hat A E_I^{l-1}, \quad E_I^{l} = \hat A^\top E_U^{l-1}, \quad
        \hat A_{ui} = A_{ui} / \sqrt{d_u d_i},

    read out as the mean or the sum over layers 0 to L. Without layers this is matrix factorisation.

    Args:
        users, items, interactions: sizes of the graph, which is given by :meth:`connect`.
        dim: width of an embedding.
        layers: L, at least 0.
        readout: ``mean`` (LightGCN) or ``sum`` (LightGCL).
        std: embeddings start as normal numbers of this deviation; Xavier's uniform numbers where it is 0.

    Shape: nothing to ((users, dim), (items, dim)).
    """

    def __init__(
        self, users: int, items: int, interactions: int, dim: int = 64, *, layers: int = 3, readout: Readout = "mean",
        std: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__()
        if layers < 0 or dim < 1:
            raise ValueError(f"layers must be at least 0 and dim at least 1, got {layers} and {dim}")
        if readout not in ("mean", "sum"):
            raise ValueError(f"readout must be 'mean' or 'sum', got {readout!r}")
        self.layers, self.readout = layers, readout
        self.users = nn.Parameter(torch.empty(users, dim))
        self.items = nn.Parameter(torch.empty(items, dim))
        for table in (self.users, self.items):
            if std:
                nn.init.normal_(table, std=std)
            else:
                nn.init.xavier_uniform_(table)
        self.graph = SparseMatrix(users, items, interactions)

    def connect(self, chosen: Any) -> None:
        """Take the graph from the (U, I) matrix of choices."""
        self.graph.fill(normalised(chosen))

    def spread(self, drop: float = 0.0, generator: torch.Generator | None = None) -> tuple[list[Tensor], list[Tensor]]:
        """Users and items at every layer from 0.

        Of the graph's entries a share ``drop`` is left out, drawn for each product by itself.
        """
        users: list[Tensor] = [self.users]
        items: list[Tensor] = [self.items]
        for _ in range(self.layers):
            there, back = (self.graph.thinned(drop, generator) if drop else None for _ in range(2))
            users.append(self.graph(items[-1], kept=there))
            items.append(self.graph(users[-2], transposed=True, kept=back))
        return users, items

    def read(self, layers: list[Tensor]) -> Tensor:
        """One embedding of those of all layers."""
        total = torch.stack(layers).sum(0) if len(layers) > 1 else layers[0]
        return total / len(layers) if self.readout == "mean" else total

    def forward(self) -> tuple[Tensor, Tensor]:
        users, items = self.spread()
        return self.read(users), self.read(items)


def normalised(chosen: Any) -> Any:
    r""":math:`A_{ui} / \sqrt{d_u d_i}` of a SciPy matrix; rows and columns without entries stay empty."""
    matrix = sparse.csr_matrix(chosen)
    sides = []
    for axis in (1, 0):
        degree = torch.as_tensor(matrix.sum(axis)).flatten().double().clamp_min(1).numpy()
        sides.append(sparse.diags(degree**-0.5))
    return sides[0] @ matrix @ sides[1]
