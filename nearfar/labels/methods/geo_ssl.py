"""Geography-aware self-supervised learning: another time of the same place, and where on Earth it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.labels.data import LabelledBatch
from nearfar.labels.method import LabelMethod, Seen
from nearfar.losses import info_nce
from nearfar.parts import FeatureQueue, MLPHead, MomentumEncoder
from nearfar.training import Optimization


class GeoSSL(LabelMethod):
    """Ayush et al., 2021, ICCV, arXiv 2011.09980.

    MoCo v2 for pictures that have a place: a query's key is a picture of the same place at another time, so that
    seasons and light are ignored, and a side head must tell from the query in which of many regions the place lies.
    Where pictures have neither times nor places take MoCo.

    Regions are clusters of positions, found before the start: on the sphere, so that the date line divides nothing, or
    of plain latitude and longitude as released.

    Args:
        encoder: image encoder, by name or as a module.
        projection_dim: width of queries and keys.
        queue_size: number of past keys kept as negatives.
        momentum: of the key network.
        temperature: divides the similarities, above 0; 0.02 in the published commands.
        temporal: whether the key is of another time; otherwise it is another view of the query's picture.
        regions: number of clusters of places; 0 for no side head.
        geo_weight: of the side head's cross-entropy, at least 0.
        sphere: cluster points of the unit sphere instead of latitude and longitude.
        views: recipe of random views.
        optimization: SGD with MoCo v2's cosine.
    """

    needs_labels = False
    can_collapse = True
    centres: Tensor

    def __init__(
        self,
        encoder: str | nn.Module = "resnet50",
        *,
        projection_dim: int = 128,
        queue_size: int = 65536,
        momentum: float = 0.999,
        temperature: float = 0.02,
        temporal: bool = True,
        regions: int = 100,
        geo_weight: float = 1.0,
        sphere: bool = True,
        views: str = "moco-v2",
        optimization: Optimization = Optimization("sgd", lr=0.03, lr_batch=256, weight_decay=1e-4, decay_all=True),
    ) -> None:
        super().__init__(encoder, views, optimization)
        if regions < 0 or not geo_weight >= 0:
            raise ValueError(f"regions and geo_weight must be at least 0, got {regions} and {geo_weight}")
        self.head = MLPHead(self.features, self.features, projection_dim, norm="none")
        self.key_network = MomentumEncoder(self.network, momentum, "constant")
        self.queue = FeatureQueue(queue_size, projection_dim)
        self.geo = nn.Sequential(nn.ReLU(), nn.Linear(projection_dim, regions)) if regions else None
        self.register_buffer("centres", torch.zeros(regions, 3 if sphere else 2))
        self.temperature, self.temporal, self.geo_weight, self.sphere = temperature, temporal, geo_weight, sphere

    def begin(self, data: Any) -> None:
        super().begin(data)
        if self.geo is None:
            return
        where = getattr(data, "marks", {}).get("coordinates")
        if where is None:
            raise ValueError(f"{data.name} has no latitude and longitude; give them, or take regions=0")
        if np.abs(where[:, 0]).max() > 90 or np.abs(where[:, 1]).max() > 360:
            raise ValueError(f"latitudes of {data.name} must lie in [-90, 90] and longitudes in [-360, 360] degrees")
        from sklearn.cluster import KMeans

        points = _points(torch.from_numpy(where), self.sphere).numpy()
        distinct = len(np.unique(points, axis=0))
        if distinct < len(self.centres):
            raise ValueError(f"{data.name} has {distinct} places, fewer than {len(self.centres)} regions")
        found = KMeans(len(self.centres), n_init=4, random_state=self.seed).fit(points)
        self.centres.copy_(torch.from_numpy(found.cluster_centers_))

    def views(self, batch: LabelledBatch) -> Seen:  # type: ignore[override]
        images = batch.pictures.images
        if images.ndim == 5 and not self.temporal:
            batch = batch._replace(pictures=batch.pictures._replace(images=images[:, 0]))
        return super().views(batch)

    def loss(self, seen: Seen) -> dict[str, Tensor]:  # type: ignore[override]
        queries, keys = self.network(seen.views[0]), self.key_network(seen.views[1])
        self._new_keys = keys
        terms = {"contrast": self.contrast(queries, keys)}
        if self.geo is not None:
            terms["regions"] = self.geo_weight * F.cross_entropy(
                self.geo(queries), self.region(seen.marks["coordinates"])
            )
        return terms

    def contrast(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Queries (N, D) find their keys (N, D) among the queue."""
        return info_nce(queries, keys, negatives=self.queue.keys, in_batch=False, temperature=self.temperature)

    def region(self, coordinates: Tensor) -> Tensor:
        """The nearest cluster (N,) of latitudes and longitudes (N, 2) in degrees."""
        return torch.cdist(_points(coordinates, self.sphere).to(self.centres), self.centres).argmin(1)

    def after_step(self) -> None:
        self.key_network.update(self.network)
        self.queue.enqueue(*self.gather(self._new_keys))


def _points(coordinates: Tensor, sphere: bool) -> Tensor:
    """Latitudes and longitudes (N, 2) in degrees as points of the unit sphere (N, 3), or as they are."""
    if not sphere:
        return coordinates
    lat, lon = torch.deg2rad(coordinates).unbind(1)
    return torch.stack([lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()], dim=1)
