"""LightGCN: propagation without weights and activations beside the network that it was simplified from (NGCF)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.recommend.encoders import LightEncoder
from nearfar.recommend.evaluation import evaluate
from nearfar.recommend.method import Recommender
from nearfar.recommend.methods.lightgcn import LightGCN
from nearfar.reproductions.arms import arm, build
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.reproductions.recommend.lightgcl import GOWALLA, interactions
from nearfar.training import Optimization

EPOCHS, BATCH = 25, 1024
METRIC = "recall@20"


class Joined(LightEncoder):
    """Neural graph collaborative filtering (arXiv 1905.08108): weights and activations in every layer, all joined.

    A layer is ``LeakyReLU((s + e) W1 + (s * e) W2)`` with what neighbours bring, s, and what was there, e; a tenth of
    its entries is dropped while it learns, and its rows have length 1 where they are joined.
    """

    def __init__(self, users: int, items: int, interactions: int, dim: int, *, layers: int) -> None:
        super().__init__(users, items, interactions, dim, layers=layers, std=0.0)
        self.own, self.both = (nn.ModuleList(nn.Linear(dim, dim) for _ in range(layers)) for _ in range(2))
        for layer in (*self.own, *self.both):
            nn.init.xavier_uniform_(layer.weight)  # type: ignore[arg-type]

    def forward(self) -> tuple[Tensor, Tensor]:
        """Users and items (U, (L + 1) D), (I, (L + 1) D)."""
        tables: list[Tensor] = [self.users, self.items]
        found = [[table] for table in tables]
        for own, both in zip(self.own, self.both, strict=True):
            brought = self.graph(tables[1]), self.graph(tables[0], transposed=True)
            mixed = [own(s + e) + both(s * e) for s, e in zip(brought, tables, strict=True)]
            tables = [F.dropout(F.leaky_relu(x, 0.2), 0.1, self.training) for x in mixed]
            for layers, table in zip(found, tables, strict=True):
                layers.append(F.normalize(table, dim=1))
        return torch.cat(found[0], 1), torch.cat(found[1], 1)


class NGCF(LightGCN):
    """The loss of LightGCN on what :class:`Joined` makes of users and items."""

    def __init__(
        self, users: int, items: int, interactions: int, *, dim: int = 64, layers: int = 3, decay: float = 1e-4,
        optimization: Optimization,
    ) -> None:  # fmt: skip
        super().__init__(users, items, interactions, dim=dim, layers=layers, decay=decay, optimization=optimization)
        self.encoder = Joined(users, items, interactions, dim, layers=layers)


def run(seed: int) -> dict[str, dict[str, float]]:
    data = interactions(seed)

    def measure(method: object) -> dict[str, float]:
        assert isinstance(method, Recommender)
        return dict(evaluate(method, data))

    common: dict[str, Any] = {"optimization": Optimization("adam", lr=3e-3, weight_decay=0.0, schedule="constant")}
    settings = {"epochs": EPOCHS, "batch_size": BATCH}
    sizes = {name: value for name, value in data.facts.items() if name in ("users", "items", "interactions")}
    return {
        "lightgcn": arm("lightgcn", data, seed, measure, settings=settings, **common),
        "ngcf": arm("lightgcn", data, seed, measure, cls=NGCF, settings=settings, **sizes, **common),
        "matrix factorisation": arm("lightgcn", data, seed, measure, settings=settings, layers=0, **common),
        "untrained": measure(build("lightgcn", data, seed).eval()),
    }


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting=f"""{
        "1000 random users of Gowalla, places of three or more of them, the published split"
        if GOWALLA
        else "600 generated shoppers with about six choices"
    }; three layers of width 64, {EPOCHS} epochs of batches of {BATCH}, Adam 3e-3 and a decay of 1e-4 for every arm.
    NGCF drops a tenth of what its layers bring and joins them, as published. All items are ranked for every user;
    nothing was chosen on the held-out interactions. The paper has the whole of Gowalla, Yelp2018 and Amazon-Book and up
    to 1,000 epochs.""",
    claims=(
        Claim("LightGCN beats NGCF", "lightgcn", "ngcf", METRIC),
        Claim("LightGCN beats NGCF by NDCG", "lightgcn", "ngcf", "ndcg@20"),
        Claim("LightGCN beats matrix factorisation", "lightgcn", "matrix factorisation", METRIC, role="ablation"),
        Claim("LightGCN beats the untrained embeddings", "lightgcn", "untrained", METRIC, role="sanity"),
    ),
)
