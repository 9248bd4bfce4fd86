"""REARM: refining contrastive learning and homography relations for multi-modal recommendation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from nearfar.losses import bpr, modal_contrast, modal_orthogonality
from nearfar.recommend.data import FeaturedPairs, Interactions
from nearfar.recommend.graphs import resembling, together
from nearfar.recommend.method import Recommender, Triples
from nearfar.recommend.modal_encoder import MultiModalEncoder
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
