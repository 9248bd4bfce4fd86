"""BGRL: large-scale representation learning on graphs via bootstrapping."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nearfar.graph.encoders import NormalizedGCN
from nearfar.graph.layers import OneSlope
from nearfar.graph.method import GraphMethod
from nearfar.losses import negative_cosine
from nearfar.parts import MomentumEncoder
from nearfar.training import Optimization


class BGRL(GraphMethod):
    """Thakoor et al., 2022, ICLR, arXiv 2102.06514.

    BYOL for the nodes of a graph: from a node's embedding in one corruption predict what a slowly following network
    makes of it in another. There are no negatives, so memory is linear in the number of nodes. The following network
    starts from random weights of its own and not as a copy. Defaults are the released settings for Amazon-Photos;
    WikiCS has widths 512 and 256, rate 5e-4, corruptions 0.2/0.3 of edges and 0.2/0.1 of features.

    Args:
        in_features: number of node features; taken from the data when not given.
        widths: of the graph convolutions.
        predictor_hidden: width of the predictor's hidden layer.
        momentum: of the following network at the start; it rises to 1 along a cosine.
        drop_edge_1, drop_edge_2: share of directed edges dropped in each view, in [0, 1].
        mask_features_1, mask_features_2: share of feature columns zeroed in each view, in [0, 1].
        optimization: AdamW with a tenth of the run to warm up, then along a cosine to 0, as released.
    """

    def __init__(
        self,
        in_features: int | None = None,
        *,
        widths: tuple[int, ...] = (256, 128),
        predictor_hidden: int = 512,
        momentum: float = 0.99,
        drop_edge_1: float = 0.4,
        drop_edge_2: float = 0.1,
        mask_features_1: float = 0.1,
        mask_features_2: float = 0.2,
        optimization: Optimization = Optimization("adamw", lr=1e-4, weight_decay=1e-5, warmup=0.1, decay_all=True),
    ) -> None:
        super().__init__(optimization)
        features = self.known(in_features)
        self.encoder = NormalizedGCN(features, widths)
        self.target = MomentumEncoder(NormalizedGCN(features, widths), momentum)
        self.predictor = nn.Sequential(
            nn.Linear(widths[-1], predictor_hidden), OneSlope(), nn.Linear(predictor_hidden, widths[-1])
        )
        self.corruptions = ((drop_edge_1, mask_features_1), (drop_edge_2, mask_features_2))

    def loss(self, views: list[Any]) -> Tensor:
        # The predictor treats every node by itself, so both views go through it at once.
        q1, q2 = self.predictor(torch.cat([self.encoder(view) for view in views])).chunk(2)
        y1, y2 = (self.target(view) for view in views)
        return 2 + negative_cosine(q1, y2) + negative_cosine(q2, y1)

    def after_step(self) -> None:
        self.target.update(self.encoder, self.progress)
