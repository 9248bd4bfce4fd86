"""GRACE: deep graph contrastive representation learning."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from nearfar.graph.encoders import GCNEncoder
from nearfar.graph.method import GraphMethod
from nearfar.losses import grace
from nearfar.training import Optimization


class GRACE(GraphMethod):
    """Zhu et al., 2020, ICML workshop, arXiv 2006.04131.

    A node must find itself in another corruption of the graph; the negatives are all other nodes of both
    corruptions. Defaults are the released settings for Cora (200 steps). Memory of the loss grows linearly with
    the number of nodes, time quadratically.

    Args:
        in_features: number of node features; taken from the data when not given.
        hidden: width of the representation.
        projection_dim: width of the hidden layer of the projection head.
        layers: number of graph convolutions.
        activation: ``relu``, or ``prelu`` (CiteSeer).
        temperature: divides the similarities, above 0: 0.4 for Cora, 0.9 CiteSeer, 0.7 PubMed and DBLP.
        drop_edge_1, drop_edge_2: share of directed edges dropped in each view, in [0, 1].
        mask_features_1, mask_features_2: share of feature columns zeroed in each view, in [0, 1].
        optimization: Adam at a constant rate, as released.
    """

    def __init__(
        self,
        in_features: int | None = None,
        *,
        hidden: int = 128,
        projection_dim: int = 128,
        layers: int = 2,
        activation: str = "relu",
        temperature: float = 0.4,
        drop_edge_1: float = 0.2,
        drop_edge_2: float = 0.4,
        mask_features_1: float = 0.3,
        mask_features_2: float = 0.4,
        optimization: Optimization = Optimization(
            "adam", lr=5e-4, weight_decay=1e-5, schedule="constant", decay_all=True
        ),
    ) -> None:
        super().__init__(optimization)
        self.encoder = GCNEncoder(self.known(in_features), hidden, layers=layers, activation=activation)
        self.head = nn.Sequential(nn.Linear(hidden, projection_dim), nn.ELU(), nn.Linear(projection_dim, hidden))
        self.temperature = temperature
        self.corruptions = ((drop_edge_1, mask_features_1), (drop_edge_2, mask_features_2))

    def loss(self, views: list[Any]) -> Tensor:
        u, v = (self.head(self.encoder(view)) for view in views)
        return grace(u, v, temperature=self.temperature)
