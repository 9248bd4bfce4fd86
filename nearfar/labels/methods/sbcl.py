"""SBCL: subclass-balancing contrastive learning."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nearfar.labels.clusters import balanced_kmeans, spread_centres, unit
from nearfar.labels.data import LabelledBatch
from nearfar.labels.method import LabelMethod, Seen, own_class
from nearfar.losses import sbcl, supcon
from nearfar.parts import MLPHead
from nearfar.training import Optimization, embed
from nearfar.vision.method import together


class SBCL(LabelMethod):
    """Hou et al., 2023, ICCV, arXiv 2306.15925.

    Under a long tail SupCon spends itself on head classes. Each class is split by clustering into subclasses about as
    large as the tail classes; contrast goes first inside subclasses, then among the subclasses of a class at a
    temperature of the class's own, higher where its pictures are spread. For the first ``warmup_epochs`` it is SupCon.
    Where classes are alike in size take SupCon.

    The released script clusters by plain k-means, because its balanced one cannot be called; the paper's balanced
    clustering is used here, of the projections of whole pictures instead of a random view. The released loss
    multiplies the first term by temperature / 0.07 once clusters exist (``first_scale=1.43``), but not before.

    Args:
        encoder: image encoder, by name or as a module.
        num_classes, num_pictures: taken from the data.
        projection_dim: width of the space where views are compared.
        temperature: divides the similarities, above 0.
        weight: of the contrast among subclasses, at least 0.
        first_scale: multiplies the contrast inside subclasses.
        least: a subclass has about as many pictures as the rarest class, or this many where that has fewer.
        warmup_epochs: epochs of SupCon before the first clustering.
        recluster_epochs: epochs between clusterings; the released code advises more for few classes.
        views: recipe of random views.
        optimization: SGD as released.
    """

    subclass: Tensor
    class_temperature: Tensor

    def __init__(
        self,
        encoder: str | nn.Module = "resnet34-cifar",
        *,
        num_classes: int | None = None,
        num_pictures: int | None = None,
        projection_dim: int = 128,
        temperature: float = 0.1,
        weight: float = 0.25,
        first_scale: float = 1.0,
        least: int = 10,
        warmup_epochs: int = 10,
        recluster_epochs: int = 10,
        views: str = "simclr",
        optimization: Optimization = Optimization("sgd", lr=0.5, weight_decay=1e-4, decay_all=True, warmup=0.01),
    ) -> None:
        super().__init__(encoder, views, optimization)
        if num_classes is None or num_pictures is None:
            raise ValueError("num_classes and num_pictures are needed: how many classes and pictures there are")
        if recluster_epochs < 1 or least < 1:
            raise ValueError(f"recluster_epochs and least must be at least 1, got {recluster_epochs} and {least}")
        self.head = MLPHead(self.features, self.features, projection_dim, norm="none")
        self.register_buffer("subclass", torch.full((num_pictures,), -1))
        self.register_buffer("class_temperature", torch.full((num_classes,), float(temperature)))
        self.temperature, self.weight, self.first_scale, self.least = temperature, weight, first_scale, least
        self.warmup_epochs, self.recluster_epochs = warmup_epochs, recluster_epochs

    def begin_epoch(self, data: Any, epoch: int) -> None:
        late = epoch - self.warmup_epochs
        if late >= 0 and late % self.recluster_epochs == 0:
            found = embed(self, data)
            with self.frozen():
                z = self.head(torch.from_numpy(found.array).to(self.device)).cpu().numpy()
            y = data.seen
            groups, temperatures = subclasses(z, y, len(self.class_temperature), self.least, self.temperature, epoch)
            self.subclass[torch.from_numpy(data.chosen).to(self.device)] = torch.from_numpy(groups).to(self.device)
            self.class_temperature.copy_(torch.from_numpy(temperatures))

    def views(self, batch: LabelledBatch) -> Seen:  # type: ignore[override]
        seen = super().views(batch)
        rows = batch.pictures.rows.to(self.subclass.device)
        return seen._replace(marks={**seen.marks, "subclass": self.subclass[rows]})

    def loss(self, seen: Seen) -> Tensor | dict[str, Tensor]:  # type: ignore[override]
        z1, z2 = self.gather(*together(self.network, seen.views))
        (labels,), (groups,) = self.gather(seen.labels), self.gather(seen.marks["subclass"])
        if (self.subclass < 0).all():
            return supcon(torch.cat([z1, z2]), own_class(labels).repeat(2), temperature=self.temperature)
        known = (labels >= 0) & (groups >= 0)
        return sbcl(
            z1[known],
            z2[known],
            labels[known],
            groups[known],
            self.class_temperature,
            temperature=self.temperature,
            weight=self.weight,
            first_scale=self.first_scale,
        )


def subclasses(
    z: np.ndarray, y: np.ndarray, classes: int, least: int, temperature: float, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The subclass of each row (N,), unique over all classes, -1 without a label; and the temperature of each class.

    A class of n rows has ``max(1, n // max(rarest, least))`` subclasses. Its temperature is proportional to how spread
    it is, ``mean distance from its mean / ln(n + 10)``, clipped to the 20th to 80th percentile over classes and scaled
    to mean ``temperature``; a class of one subclass has ``temperature``.
    """
    z, counts = unit(z), np.bincount(y[y >= 0], minlength=classes)
    rarest = int(counts[counts > 0].min())
    parts = np.maximum(counts // max(rarest, least), 1)
    groups, spread = np.full(len(y), -1), np.zeros(classes)
    first = 0
    for number in range(classes):
        rows = np.flatnonzero(y == number)
        if not len(rows):
            continue
        x = z[rows]
        # The released code adds 1e-6 to every difference.
        apart = np.linalg.norm(x - x.mean(0) + 1e-6, axis=1)
        spread[number] = apart.mean() / np.log(len(rows) + 10)
        if parts[number] > 1:
            rng = np.random.default_rng([seed, number])
            groups[rows] = first + balanced_kmeans(x, spread_centres(x, int(parts[number]), rng)).assignment
        else:
            groups[rows] = first
        first += int(parts[number])
    return groups, _temperatures(spread, counts > 0, parts, temperature)


def _temperatures(spread: np.ndarray, there: np.ndarray, parts: np.ndarray, temperature: float) -> np.ndarray:
    clipped = np.clip(spread, *np.percentile(spread[there], [20, 80]))
    found = temperature * clipped / max(clipped[there].mean(), 1e-12)
    return np.where((parts > 1) & there, np.maximum(found, 1e-3), temperature)
