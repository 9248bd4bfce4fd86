"""Two corruptions of a graph, under any objective."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from nearfar.graph.encoders import GCNEncoder
from nearfar.graph.method import GraphMethod
from nearfar.parts.objectives import Objective
from nearfar.parts.objectives import objective as named
from nearfar.training import Optimization


class ContrastGraphs(GraphMethod):
    """The five parts of contrast with the objective left open (Le-Khac et al., 2020, arXiv 2010.05113).

    It is nobody's paper: a way to try an objective on nodes without writing a method. With ``grace`` it is GRACE.

    Args:
        in_features: number of node features; taken from the data when not given.
        objective: by name; see :data:`nearfar.parts.objectives.OBJECTIVES`.
        temperature: of the objectives that have one, above 0.
        hidden: width of the representation.
        projection_dim: width of the hidden layer of the projection head.
        drop_edge: share of directed edges dropped in each of the two views, in [0, 1].
        mask_features: share of feature columns zeroed in each of the two views, in [0, 1].
        optimization: Adam at a constant rate, as GRACE's.
    """

    def __init__(
        self,
        in_features: int | None = None,
        *,
        objective: Objective = "grace",
        temperature: float = 0.4,
        hidden: int = 128,
        projection_dim: int = 128,
        drop_edge: tuple[float, float] = (0.2, 0.4),
        mask_features: tuple[float, float] = (0.3, 0.4),
        optimization: Optimization = Optimization(
            "adam", lr=5e-4, weight_decay=1e-5, schedule="constant", decay_all=True
        ),
    ) -> None:
        super().__init__(optimization)
        self.encoder = GCNEncoder(self.known(in_features), hidden)
        self.head = nn.Sequential(nn.Linear(hidden, projection_dim), nn.ELU(), nn.Linear(projection_dim, hidden))
        self.corruptions = tuple(zip(drop_edge, mask_features, strict=True))
        self.objective, self.temperature = named(objective), temperature

    def loss(self, views: list[Any]) -> Tensor | Mapping[str, Tensor]:
        u, v = (self.head(self.encoder(view)) for view in views)
        return self.objective(u, v, self.temperature)
