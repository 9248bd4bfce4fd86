"""LightGCL: simple yet effective graph contrastive learning for recommendation."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse.linalg import svds
from torch import Tensor

from nearfar.losses import bpr, full_contrast
from nearfar.recommend.data import Interactions
from nearfar.recommend.encoders import LightEncoder
from nearfar.recommend.method import Recommender, Triples
from nearfar.training import Optimization


class LightGCL(Recommender):
    """Cai et al., 2023, ICLR, arXiv 2302.08191.

    The recommender is LightGCN's propagation, read out as a sum. Its second view is propagation over the best low-rank
    approximation of the graph, which keeps what the whole graph says and draws nothing at random; a user must find
    itself in the first view among **all** users, and an item among all items (:func:`nearfar.losses.full_contrast`).
    Defaults are the released settings for Yelp; Gowalla has ``l2=0``. The released code approximates the decomposition
    with random numbers; this one computes it.

    Args:
        users, items, interactions: sizes of the data; taken from it when not given.
        dim: width of an embedding.
        layers: how often neighbours are added: 2, and 1 on Tmall and Amazon.
        rank: of the approximation, below the number of users and of items.
        temperature: divides the products of the contrast, above 0: 0.2, 0.5 on ML-10M, 0.1 on Amazon.
        weight: of the contrast, at least 0.
        l2: weight of the squares of all embeddings, at least 0.
        drop_edge: share of the graph's entries that a product leaves out, in [0, 1).
        optimization: Adam at a constant rate, as released.
    """

    low_users: Tensor
    low_items: Tensor

    def __init__(
        self,
        users: int | None = None,
        items: int | None = None,
        interactions: int | None = None,
        *,
        dim: int = 64,
        layers: int = 2,
        rank: int = 5,
        temperature: float = 0.2,
        weight: float = 0.2,
        l2: float = 1e-7,
        drop_edge: float = 0.0,
        optimization: Optimization = Optimization("adam", lr=1e-3, weight_decay=0.0, schedule="constant"),
    ) -> None:
        super().__init__(optimization)
        people, things, edges = self.sizes(users=users, items=items, interactions=interactions)
        if not 1 <= rank < min(people, things):
            raise ValueError(f"rank must lie between 1 and {min(people, things) - 1}, got {rank}")
        if not 0 <= drop_edge < 1:
            raise ValueError(f"drop_edge must lie in [0, 1), got {drop_edge}")
        self.encoder = LightEncoder(people, things, edges, dim, layers=layers, readout="sum", std=0.0)
        self.low_rank, self.temperature, self.weight, self.l2, self.drop_edge = rank, temperature, weight, l2, drop_edge
        self.register_buffer("low_users", torch.zeros(people, rank))
        self.register_buffer("low_items", torch.zeros(things, rank))

    def begin(self, data: Interactions) -> None:
        """The graph as U S V^T, of which the roots of S go to either side."""
        super().begin(data)
        matrix = self.encoder.graph.to_scipy().astype(np.float64)
        left, values, right = svds(matrix, k=self.low_rank, v0=np.ones(min(matrix.shape)))
        root = np.sqrt(values)
        self.low_users.copy_(torch.from_numpy(left * root))
        self.low_items.copy_(torch.from_numpy(right.T * root))

    def loss(self, views: Triples) -> dict[str, Tensor]:
        users, items = self.encoder.spread(self.drop_edge, self.generator)
        # The second view at layer l is made of the first at layer l - 1.
        low_users = [users[0], *(self.low_users @ (self.low_items.T @ layer) for layer in items[:-1])]
        low_items = [items[0], *(self.low_items @ (self.low_users.T @ layer) for layer in users[:-1])]
        read = self.encoder.read
        user, item = read(users), read(items)
        asking = user[views.users]
        chosen, other = ((asking * item[rows]).sum(1) for rows in (views.chosen, views.other))
        both = torch.cat((views.chosen, views.other))
        contrast = self._contrast(read(low_users), user, views.users) + self._contrast(read(low_items), item, both)
        terms = {"bpr": bpr(chosen, other), "contrast": self.weight * contrast}
        if self.l2:
            terms["l2"] = self.l2 * (self.encoder.users.square().sum() + self.encoder.items.square().sum())
        return terms

    def _contrast(self, low: Tensor, own: Tensor, rows: Tensor) -> Tensor:
        return full_contrast(low, own, rows, temperature=self.temperature)
