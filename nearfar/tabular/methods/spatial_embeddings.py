"""Multi-view spatial embeddings: coordinates learn what pictures, counts and columns say of their places."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.encoders.location import LocationEncoder
from nearfar.evaluation import linear_regression_probe
from nearfar.losses import symmetric_info_nce
from nearfar.parts.scale import LogitScale
from nearfar.system import Scores
from nearfar.tabular.schema import TableBatch, TableSchema
from nearfar.training import Data, Method, Optimization, embed
from nearfar.training.door import Door


class HexConv(nn.Conv2d):
    """A 3x3 convolution over hexagons stored in a square: two opposite corners are no neighbours.

    The mask is applied to the weight in every pass, so that the optimiser keeps its parameter.
    """

    def forward(self, x: Tensor) -> Tensor:
        mask = self.weight.new_ones(3, 3)
        mask[0, 0] = mask[2, 2] = 0.0
        return F.conv2d(x, self.weight * mask, self.bias, padding=1)


class SpatialEmbeddings(Method):
    """Holvoet et al., 2025, arXiv 2511.17954; freekholvoet/MultiviewSpatialEmbeddings.

    CLIP between a place's coordinates and all that is known of it: a picture from above, counts of what stands around
    it on a grid of hexagons, and columns of a table, fused into one vector. Afterwards coordinates alone give the
    embedding, at any place.

    The release encodes pictures by a frozen ResNet-18 pre-trained on satellite images; here a small convolutional
    network is trained with the rest, and columns of numbers and categories are a view too.

    Args:
        schema: the columns that are a view; taken from the data, as is ``shapes``.
        shapes: channels of the views that are arrays, by name (``images``, ``counts``).
        out_features: width of the embedding.
        view_features: width of each view before fusion.
        hidden: width of the fusion's hidden layer.
        degrees: of the spherical harmonics, L; 64 tells places some 3 degrees apart.
        layers: layers of sines.
        width: of the layers of sines.
        dropout: before the sines, in [0, 1).
        optimization: AdamW at a low rate.
    """

    verbs = ("embeds",)
    takes = TableBatch

    def __init__(
        self,
        schema: TableSchema | None = None,
        *,
        shapes: dict[str, int] | None = None,
        out_features: int = 8,
        view_features: int = 32,
        hidden: int = 128,
        degrees: int = 64,
        layers: int = 2,
        width: int = 128,
        dropout: float = 0.5,
        optimization: Optimization = Optimization("adamw", lr=1e-5, weight_decay=0.01, schedule="constant"),
    ) -> None:
        super().__init__(optimization)
        self.schema = schema if schema is not None and schema.columns else None
        self.encoder = LocationEncoder(degrees, width, layers, out_features, first_frequency=30.0, dropout=dropout)
        self.looks = nn.ModuleDict()
        for name, channels in (shapes or {}).items():
            self.looks[name] = _look(name, channels, view_features)
        if self.schema is not None:
            self.looks["columns"] = nn.Sequential(
                nn.Linear(self.schema.features, hidden), nn.ReLU(), nn.Linear(hidden, view_features)
            )
        if not len(self.looks):
            raise ValueError("nothing is known of the places: columns beside longitude and latitude, images or counts")
        self.fusion = nn.Sequential(
            nn.Linear(view_features * len(self.looks), hidden),
            nn.ReLU(),
            nn.Linear(hidden, out_features),
            nn.LayerNorm(out_features),
        )
        self.scale = LogitScale(0.07)

    def begin(self, data: Any) -> None:
        if data.places.shape[1] != 2:
            raise ValueError(f"{data.name} has no places; give columns longitude and latitude")

    def views(self, batch: TableBatch) -> tuple[Tensor, dict[str, Tensor]]:
        views = {name: view.float() for name, view in batch.views.items() if name in self.looks}
        if self.schema is not None:
            views["columns"] = self.schema.encode(batch.columns, "standard").to(self.device)
        return batch.places, views

    def loss(self, views: tuple[Tensor, Mapping[str, Tensor]]) -> Tensor:
        places, looks = views
        seen = self.fusion(torch.cat([look(looks[name]) for name, look in self.looks.items()], 1))
        z, v = self.gather(self.encoder(places).float(), seen)
        return symmetric_info_nce(v, z, temperature=self.scale.temperature)

    def door(self, batch: TableBatch) -> Door:
        """Places as degrees."""
        says = {"columns": ["longitude", "latitude"], "unit": "degrees"}
        return Door(self.encoder, {"places": batch.places}, {"places": {0: "rows"}}, says)

    def encode(self, batch: TableBatch) -> Tensor:
        """(B, D), from the places alone."""
        if batch.places.shape[1] != 2:
            raise ValueError("an embedding needs the columns longitude and latitude")
        return self.encoder(batch.places).float()

    def evaluate(self, data: Data, *, seed: int = 0) -> Scores:
        """R² of ridge regression of the label, where it is a number, from the embedding of test places."""
        test = data.splits().get("test")
        if test is None or data.labels is None or test.labels is None:
            return Scores()
        parts = [(embed(self, part).array, np.asarray(part.labels, dtype=np.float64)) for part in (data, test)]
        return Scores({"r2": linear_regression_probe(*parts[0], *parts[1], seed=seed).r2})


def _look(name: str, channels: int, out_features: int) -> nn.Module:
    """A view that is an array (B, channels, H, W), as a vector."""
    if name == "counts":
        return nn.Sequential(
            HexConv(channels, 16, 3),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            HexConv(16, 8, 3),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(8 * 49, out_features),
            nn.LayerNorm(out_features),
        )
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, stride=2, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, out_features),
    )
