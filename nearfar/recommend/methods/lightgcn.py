"""LightGCN: simplifying and powering graph convolution network for recommendation."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.losses import bpr
from nearfar.recommend.encoders import LightEncoder
from nearfar.recommend.method import Recommender, Triples
from nearfar.training import Optimization


class LightGCN(Recommender):
    """He et al., 2020, SIGIR, arXiv 2002.02126.

    Embeddings of users and items are averaged over layers of linear propagation on the graph of choices, and a chosen
    item must score higher than one that was not. With ``layers=0`` it is matrix factorisation with the same loss.

    Args:
        users, items, interactions: sizes of the data; taken from it when not given.
        dim: width of an embedding.
        layers: how often neighbours are averaged, at least 0.
        decay: weight of half the squared length of the batch's own embeddings before propagation, at least 0.
        optimization: Adam at a constant rate, as released.
    """

    def __init__(
        self,
        users: int | None = None,
        items: int | None = None,
        interactions: int | None = None,
        *,
        dim: int = 64,
        layers: int = 3,
        decay: float = 1e-4,
        optimization: Optimization = Optimization("adam", lr=1e-3, weight_decay=0.0, schedule="constant"),
    ) -> None:
        super().__init__(optimization)
        people, things, edges = self.sizes(users=users, items=items, interactions=interactions)
        self.encoder = LightEncoder(people, things, edges, dim, layers=layers)
        self.decay = decay

    def loss(self, views: Triples) -> dict[str, Tensor]:
        users, items = self.encoder()
        asking = users[views.users]
        chosen, other = ((asking * items[rows]).sum(1) for rows in (views.chosen, views.other))
        own = (
            self.encoder.users[views.users],
            self.encoder.items[views.chosen],
            self.encoder.items[views.other],
        )
        length = torch.stack([table.square().sum() for table in own]).sum() / (2 * len(views.users))
        return {"bpr": bpr(chosen, other), "decay": self.decay * length}
