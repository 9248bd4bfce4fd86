"""Users and items as codes of what is known of them."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.parts import MLPHead, ResidualQuantizer, SparseMatrix


class Side(nn.Module):
    """Users or items: content that becomes codes, and what clicks teach of them beside it.

    Args:
        count: how many there are. width: of their content. dim: of codes. levels, codes: of the quantiser.
    """

    def __init__(self, count: int, width: int, dim: int, levels: int, codes: int) -> None:
        super().__init__()
        self.register_buffer("content", torch.zeros(count, width))
        self.register_buffer("popularity", torch.zeros(count))
        self.into = MLPHead(width, 2 * dim, dim, norm="none")
        self.back = MLPHead(dim, 2 * dim, width, norm="none")
        self.quantizer = ResidualQuantizer(levels, codes, dim)
        self.true, self.bias = nn.Embedding(count, dim), nn.Embedding(count, dim)
        for table in (self.true, self.bias):
            nn.init.normal_(table.weight, std=0.1)
        self.popular = nn.Linear(dim, 1)

    def coded(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Vectors before the codes, sums of codes, and the loss of coding and decoding them."""
        content = self.content[rows]  # type: ignore[index]
        before = self.into(content)
        z, _, loss = self.quantizer(before)
        return before, z, loss + F.mse_loss(self.back(z), content) * content.shape[1]

    def debias(self, rows: Tensor) -> Tensor:
        """The bias tells how popular a row is, and the true part points elsewhere."""
        true, bias = self.true(rows), self.bias(rows)
        told = F.mse_loss(self.popular(bias).squeeze(1), self.popularity[rows])  # type: ignore[index]
        return told + F.cosine_similarity(true, bias).square().mean()

    @torch.no_grad()
    def ids(self) -> Tensor:
        """The codes (N, levels) of all."""
        return self.quantizer(self.into(self.content))[1]


class SemanticIds(nn.Module):
    """Both sides, and the graph of who chose what; called, the sums of codes of all users and items."""

    def __init__(self, users: int, items: int, interactions: int, widths: tuple[int, int], *shape: int) -> None:
        super().__init__()
        self.graph = SparseMatrix(users, items, interactions)
        self.user, self.item = Side(users, widths[0], *shape), Side(items, widths[1], *shape)

    def connect(self, chosen: Any) -> None:
        self.graph.fill(chosen)

    def forward(self) -> tuple[Tensor, Tensor]:
        users, items = (F.normalize(side.quantizer.vectors(side.ids()), dim=1) for side in (self.user, self.item))
        return users, items
