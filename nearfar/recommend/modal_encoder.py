"""Items and users of two kinds of features, refined by graphs among themselves and propagated between them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.parts import sparse_product
from nearfar.parts.sparse_product import compressed
from nearfar.recommend.encoders import LightEncoder
from nearfar.recommend.meta import FeatureAttention, MetaShare


class MultiModalEncoder(LightEncoder):
    """Ids, and two kinds of features of items and of the users who chose them, refined and propagated.

    Args:
        users, items, interactions: sizes of the graph.
        widths: of the two kinds of features.
        dim: width of every part.
        layers: of propagation between users and items.
        rank: of the meta-network.
        dropout: of the attention within and between kinds of features.
    """

    def __init__(
        self, users: int, items: int, interactions: int, widths: tuple[int, int], dim: int, layers: int, rank: int,
        dropout: tuple[float, float],
    ) -> None:  # fmt: skip
        super().__init__(users, items, interactions, dim, layers=layers)
        self.dim = dim
        for name, width in zip("vt", widths, strict=True):
            setattr(self, f"user_{name}", nn.Parameter(torch.zeros(users, width)))
            setattr(self, f"item_{name}", nn.Parameter(torch.zeros(items, width)))
            setattr(self, f"map_{name}", nn.Linear(width, dim))
        self.attention = FeatureAttention(dim, *dropout)
        self.slope = nn.PReLU()
        self.share_users, self.share_items = MetaShare(dim, rank), MetaShare(dim, rank)
        self.relations: dict[str, tuple[Tensor, Tensor]] = {}

    def relate(self, name: str, matrix: Any) -> None:
        """Take the graph among ``users`` or ``items``."""
        found = []
        for part in (matrix.tocsr(), matrix.T.tocsr()):
            starts, columns = (torch.from_numpy(array.astype(np.int32)) for array in (part.indptr, part.indices))
            found.append(compressed(starts, columns, torch.from_numpy(part.data.astype(np.float32)), part.shape))
        self.relations[name] = found[0], found[1]

    def refined(self, name: str, ids: Tensor, v: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One step on the graph among users or items; the joined vector is then normalised and split again."""
        pair = [matrix.to(ids.device) for matrix in self.relations[name]]
        joined = sparse_product(pair[0], pair[1], torch.cat((ids, v, t), 1))
        first, second, third = F.normalize(joined, dim=1).split(self.dim, 1)
        return first, second, third

    def between(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """LightGCN's mean over layers of propagation between users and items."""
        left, right = [users], [items]
        for _ in range(self.layers):
            left.append(self.graph(right[-1]))
            right.append(self.graph(left[-2], transposed=True))
        return torch.stack(left).mean(0), torch.stack(right).mean(0)

    def parts(self) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]:
        """Ids and both kinds of features after propagation, of users and of items, (N, dim) each."""
        v, t = (getattr(self, f"map_{name}") for name in "vt")
        user = self.refined("users", self.users, v(self.user_v), t(self.user_t))
        item = self.refined("items", self.items, v(self.item_v), t(self.item_t))
        item_v, item_t = self.attention(item[1], item[2])
        user_f, item_f = self.between(
            torch.cat((self.slope(user[1]), self.slope(user[2])), 1), torch.cat((item_v, item_t), 1)
        )
        user_id, item_id = self.between(user[0], item[0])
        return (user_id, *user_f.split(self.dim, 1)), (item_id, *item_f.split(self.dim, 1))  # type: ignore[return-value]

    def joined(self, share: MetaShare, ids: Tensor, v: Tensor, t: Tensor) -> Tensor:
        shared = share(ids, torch.cat((v, t), 1))
        return torch.cat([self.slope(part) + ids for part in (v, t, shared)], 1)

    def forward(self) -> tuple[Tensor, Tensor]:
        user, item = self.parts()
        return self.joined(self.share_users, *user), self.joined(self.share_items, *item)
