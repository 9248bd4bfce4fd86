"""REARM: refining contrastive learning and homography relations for multi-modal recommendation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.losses import bpr, modal_contrast, modal_orthogonality
from nearfar.parts import sparse_product
from nearfar.parts.sparse_product import compressed
from nearfar.recommend.data import FeaturedPairs, Interactions
from nearfar.recommend.encoders import LightEncoder
from nearfar.recommend.graphs import resembling, together
from nearfar.recommend.meta import FeatureAttention, MetaShare
from nearfar.recommend.method import Recommender, Triples
from nearfar.training import Optimization


@dataclass(frozen=True)
class Homography:
    """The graphs among users and among items.

    Args:
        users, items: neighbours of a user and of an item.
        together_users, together_items: share of the graph of what was chosen together, in [0, 1]; the rest is that of
            resemblance.
    """

    users: int = 40
    items: int = 10
    together_users: float = 0.4
    together_items: float = 0.2


RELEASED = Homography()


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


class REARM(Recommender):
    """Ma et al., 2025, ACM MM, DOI 10.1145/3746027.3755779.

    Items have two kinds of features (picture and text), users the mean of what they chose. Graphs among users and among
    items refine them, contrast draws the two kinds of a node together, orthogonality keeps what each has alone, and a
    meta-network finds what they share. Defaults are the released settings for Baby. Negatives leave out what the user
    is known to have chosen; the release leaves out the test too, which tells the model of it.

    Args:
        users, items, interactions, item_features: sizes of the data; taken from it when not given. The first two kinds
            of features are used.
        dim: width of ids and of both kinds of features.
        layers: of propagation between users and items.
        rank: of the meta-network.
        temperature: of the contrast: 0.6, Sports 1.5, Clothing 0.03.
        contrast, orthogonality: weights, at least 0; small because neither is divided by its size.
        dropout: of the attention within and between kinds of features.
        homography: the graphs among users and among items.
        optimization: AdamW at a constant rate, as released.
    """

    takes: ClassVar[type | None] = FeaturedPairs
    encoder: MultiModalEncoder

    def __init__(
        self,
        users: int | None = None,
        items: int | None = None,
        interactions: int | None = None,
        item_features: dict[str, int] | None = None,
        *,
        dim: int = 64,
        layers: int = 4,
        rank: int = 3,
        temperature: float = 0.6,
        contrast: float = 5e-6,
        orthogonality: float = 5e-5,
        dropout: tuple[float, float] = (0.4, 0.6),
        homography: Homography = RELEASED,
        optimization: Optimization = Optimization("adamw", lr=5e-5, weight_decay=5e-4, schedule="constant"),
    ) -> None:
        super().__init__(optimization)
        sizes = self.sizes(users=users, items=items, interactions=interactions)
        if item_features is None or len(item_features) < 2:
            raise ValueError("item_features is needed: the widths of two kinds of features of the items")
        first, second = [*item_features.values()][:2]
        self.encoder = MultiModalEncoder(sizes[0], sizes[1], sizes[2], (first, second), dim, layers, rank, dropout)
        self.temperature, self.contrast, self.orthogonality = temperature, contrast, orthogonality
        self.homography = homography

    def connect(self, data: Interactions) -> None:
        super().connect(data)
        how = self.homography
        names = [*data.item_features][:2]
        count = np.maximum(np.asarray(data.learn.sum(1)), 1)
        features = {"items": [data.item_features[name] for name in names]}
        features["users"] = [np.asarray(data.learn @ matrix) / count for matrix in features["items"]]
        for side, chosen, k, share in (
            ("users", data.learn, how.users, how.together_users),
            ("items", data.learn.T.tocsr(), how.items, how.together_items),
        ):
            near = sum((resembling(matrix, k) for matrix in features[side]), 0 * resembling(features[side][0], k)) / 2
            self.encoder.relate(side, share * together(chosen, k) + (1 - share) * near)

    def begin(self, data: Interactions) -> None:
        self.connect(data)
        count = np.maximum(np.asarray(data.learn.sum(1)), 1)
        for letter, name in zip("vt", [*data.item_features][:2], strict=True):
            matrix = data.item_features[name]
            interest = np.asarray(data.learn @ matrix) / count
            getattr(self.encoder, f"item_{letter}").data.copy_(torch.from_numpy(matrix))
            getattr(self.encoder, f"user_{letter}").data.copy_(torch.from_numpy(interest))

    def resumed(self, data: Interactions) -> None:
        self.connect(data)

    def loss(self, views: Triples) -> dict[str, Tensor]:
        user, item = self.encoder.parts()
        users = self.encoder.joined(self.encoder.share_users, *user)
        items = self.encoder.joined(self.encoder.share_items, *item)
        asking = users[views.users]
        chosen, other = ((asking * items[rows]).sum(1) for rows in (views.chosen, views.other))
        both = torch.cat((views.chosen, views.other))
        near = self._contrast(user, views.users) + self._contrast(item, both)
        apart = modal_orthogonality(user[1][views.users], user[2][views.users])
        apart = apart + modal_orthogonality(item[1][views.chosen], item[2][views.chosen])
        return {
            "bpr": bpr(chosen, other),
            "contrast": self.contrast * near,
            "orthogonality": self.orthogonality * apart,
        }

    def _contrast(self, parts: tuple[Tensor, Tensor, Tensor], rows: Tensor) -> Tensor:
        return modal_contrast(parts[1], parts[2], rows, temperature=self.temperature)
