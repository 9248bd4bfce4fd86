"""Two views of the nodes of one kind: who is connected through other kinds, and what lies on the way (MEOW)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy import sparse
from torch import Tensor, nn

from nearfar.graph.data.linked import path_counts, strongest
from nearfar.parts import sparse_product
from nearfar.parts.sparse_product import compressed


class Sparse:
    """A SciPy matrix that multiplies tensors, with its transpose for the gradient."""

    def __init__(self, matrix: Any) -> None:
        self.pair = [self._torch(matrix.tocsr()), self._torch(matrix.T.tocsr())]

    @staticmethod
    def _torch(matrix: Any) -> Tensor:
        starts, columns = (torch.from_numpy(part.astype(np.int32)) for part in (matrix.indptr, matrix.indices))
        return compressed(starts, columns, torch.from_numpy(matrix.data.astype(np.float32)), matrix.shape)

    def __matmul__(self, x: Tensor) -> Tensor:
        matrix, transpose = (part.to(x.device) for part in self.pair)
        return sparse_product(matrix, transpose, x)


@dataclass
class Structure:
    """What a linked graph is to the encoder.

    Attributes:
        paths, masked_paths: for each kind who is connected through it, normalised; and with edges left out.
        whole: the mean of ``paths``.
        context: for each kind the mean over a node's links.
        features: for each kind the features of its nodes; ``None`` where they are told by number.
        mask: (N, F), which features of the embedded nodes the masked views keep.
    """

    paths: list[Sparse]
    masked_paths: list[Sparse]
    whole: Sparse
    context: list[Sparse]
    features: list[Tensor | None]
    mask: Tensor


def structure(
    data: Any, most: Mapping[str, int] | int, mask_features: float, mask_edges: float, rng: np.random.Generator
) -> Structure:
    """What :class:`nearfar.graph.data.LinkedGraph` is to the encoder; its random masks are drawn here, once."""
    paths, masked, context, features = [], [], [], []
    for kind, links in data.links.items():
        kept = strongest(path_counts(links), most if isinstance(most, int) else most[kind])
        paths.append(_normalised(kept))
        thinned = kept.tocoo()
        stay = rng.random(len(thinned.data)) >= mask_edges
        loops = sparse.eye(kept.shape[0])
        ones = sparse.coo_matrix((np.ones(stay.sum()), (thinned.row[stay], thinned.col[stay])), kept.shape)
        masked.append(_normalised(((ones + loops) > 0).astype(np.float32)))
        degree = np.maximum(np.asarray(links.sum(1)).ravel(), 1)
        context.append(Sparse(sparse.diags(1 / degree) @ links))
        known = data.context.get(kind)
        features.append(None if known is None else F.normalize(torch.from_numpy(known), p=1, dim=1))
    whole = sum(paths[1:], paths[0]) / len(paths)
    mask = torch.from_numpy((rng.random(data.graph.x.shape) >= mask_features).astype(np.float32))
    return Structure([Sparse(m) for m in paths], [Sparse(m) for m in masked], Sparse(whole), context, features, mask)


def _normalised(matrix: Any) -> Any:
    rows, columns = (np.maximum(np.asarray(matrix.sum(axis)).ravel(), 1e-12) ** -0.5 for axis in (1, 0))
    return sparse.diags(rows) @ matrix @ sparse.diags(columns)


class LinkedEncoder(nn.Module):
    """A coarse view (N, D) and fine views (V, N, D) of the embedded nodes, and the attention that joins the latter.

    Args:
        in_features: of the embedded nodes.
        context_features: for each other kind the number of its features, or of its nodes where they have none.
        dim: D.
        dropout: of every linear map, in [0, 1).
    """

    def __init__(
        self, in_features: int, context_features: Mapping[str, int], dim: int = 64, dropout: float = 0.3
    ) -> None:
        super().__init__()
        self.own = nn.Linear(in_features, dim)
        self.others = nn.ModuleList(nn.Linear(width, dim) for width in context_features.values())
        self.joins = nn.ModuleList(nn.Linear(dim, dim) for _ in context_features)
        self.first, self.second = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.slope = nn.PReLU()
        self.attend, self.question = nn.Linear(dim, dim), nn.Parameter(torch.empty(1, dim))
        nn.init.xavier_normal_(self.question, gain=1.414)
        self.dropout = nn.Dropout(dropout)
        self.out_features = dim

    def convolved(self, x: Tensor, adjacency: Any) -> Tensor:
        """Two shared graph convolutions, normalised over the whole matrix of nodes and columns, as released."""
        hidden = adjacency @ self.second(self.slope(adjacency @ self.first(x)))
        return F.layer_norm(hidden, hidden.shape)

    def fine(self, x: Tensor, known: Structure, paths: list[Sparse]) -> list[Tensor]:
        own, found = F.elu(self.dropout(self.own(x))), []
        for number, path in enumerate(paths):
            features, other = known.features[number], self.others[number]
            assert isinstance(other, nn.Linear)
            told = other.weight.T + other.bias if features is None else other(features.to(x.device))
            context = known.context[number] @ F.elu(self.dropout(told))
            joined = F.elu(own + self.dropout(self.joins[number](context)))
            found.append(F.normalize(self.convolved(joined, path), dim=1))
        return found

    def joined(self, views: list[Tensor]) -> Tensor:
        """The views under attention: a softmax over views of what all nodes together answer to one question."""
        return attended(torch.stack(views), self.attend.weight, self.attend.bias, self.question)

    def coarse(self, x: Tensor, known: Structure) -> Tensor:
        return self.convolved(F.elu(self.dropout(self.own(x))), known.whole)

    def forward(self, x: Tensor, known: Structure) -> Tensor:
        return self.joined(self.fine(x, known, known.paths))


def attended(z: Tensor, weight: Tensor, bias: Tensor, question: Tensor) -> Tensor:
    r""":math:`\sum_v \beta_v z_v` with :math:`\beta = \mathrm{softmax}_v(q \cdot \mathrm{mean}_i \tanh(W z_{vi} + b))`.

    Shape: (V, N, D), (D, D), (D,), (1, D) to (N, D).
    """
    answers = torch.tanh(z @ weight.T + bias).mean(1) @ question.squeeze(0)
    return (answers.softmax(0)[:, None, None] * z).sum(0)
