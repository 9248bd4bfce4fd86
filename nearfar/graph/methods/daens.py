"""DAENS: node contrast between views whose features are corrupted in different ways."""

from __future__ import annotations

import copy
from typing import Any, Literal

import torch
from torch import Tensor, nn

from nearfar.graph.encoders import GATEncoder, GCNEncoder
from nearfar.graph.method import GraphMethod
from nearfar.graph.views import corrupt, drop_edges
from nearfar.losses import grace
from nearfar.training import Optimization


class DAENS(GraphMethod):
    """Ali et al., the baseline of arXiv 2503.02397 with released code (mhadnanali/DAENS).

    GRACE with negatives of the other view alone, and with views that differ in kind. A 1D view masks whole feature
    columns. A 2D view masks single cells, in some of the columns, which are drawn once for the whole run. Although the
    code speaks of important columns, it draws them at random. Defaults are the released settings for Cora.

    Args:
        in_features: number of node features; taken from the data when not given.
        variant: kinds of the first and the second view; a first view of kind 2D may mask any column.
        hidden: width of both layers.
        projection_dim: width of the hidden layer of the head.
        encoder: ``gat`` or ``gcn`` (CiteSeer).
        temperature: divides the similarities, above 0: 0.4, CiteSeer 0.9.
        drop_edge_1, drop_edge_2: share of directed edges dropped in each view, in [0, 1].
        mask_1: the probability of a mask in the first view, of a column or of a cell, in [0, 1].
        mask_2: the same in the second view.
        columns_2: share of the columns that the second view may mask, of kind 2D, in [0, 1].
        optimization: Adam without weight decay, as released.
    """

    masked: Tensor

    def __init__(
        self,
        in_features: int | None = None,
        *,
        variant: Literal["1D1D", "1D2D", "2D2D"] = "1D2D",
        hidden: int = 128,
        projection_dim: int = 128,
        encoder: Literal["gat", "gcn"] = "gat",
        temperature: float = 0.4,
        drop_edge_1: float = 0.4,
        drop_edge_2: float = 0.2,
        mask_1: float = 0.4,
        mask_2: float = 0.7,
        columns_2: float = 0.43,
        optimization: Optimization = Optimization("adam", lr=5e-4, weight_decay=0.0, schedule="constant"),
    ) -> None:
        super().__init__(optimization)
        features = self.known(in_features)
        if variant not in ("1D1D", "1D2D", "2D2D"):
            raise ValueError(f"variant must be '1D1D', '1D2D' or '2D2D', got {variant!r}")
        if encoder not in ("gat", "gcn"):
            raise ValueError(f"encoder must be 'gat' or 'gcn', got {encoder!r}")
        self.encoder = GATEncoder(features, hidden) if encoder == "gat" else GCNEncoder(features, hidden, inner=hidden)
        self.head = nn.Sequential(nn.Linear(hidden, projection_dim), nn.ELU(), nn.Linear(projection_dim, hidden))
        self.temperature, self.kinds = temperature, (variant[:2], variant[2:])
        self.corruptions = ((drop_edge_1, mask_1), (drop_edge_2, mask_2))
        chosen = torch.randperm(features)[: int(features * columns_2)]
        self.register_buffer("masked", torch.zeros(features).index_fill_(0, chosen, 1.0))

    def views(self, batch: Any) -> list[Any]:
        everything = torch.ones_like(self.masked)
        return [
            corrupt(batch, drop, mask, self.generator)
            if kind == "1D"
            else self._cells(batch, drop, mask, everything if first else self.masked)
            for kind, (drop, mask), first in zip(self.kinds, self.corruptions, (True, False), strict=True)
        ]

    def _cells(self, graph: Any, drop: float, mask: float, columns: Tensor) -> Any:
        """A copy with edges dropped, and single cells of some columns set to 0."""
        view = copy.copy(graph)
        view.edge_index = drop_edges(graph.edge_index, drop, self.generator)
        drawn = torch.rand(graph.x.shape, generator=self.generator, device=graph.x.device) < mask
        view.x = graph.x * (1 - drawn * columns)
        view.rows = None
        return view

    def loss(self, views: list[Any]) -> Tensor:
        u, v = (self.head(self.encoder(view)) for view in views)
        return grace(u, v, temperature=self.temperature, intra=False)
