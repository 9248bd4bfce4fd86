"""ProtoGCD: one classifier of prototypes for known and for new classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.labels.data import LabelledImages
from nearfar.labels.evaluation import predictions
from nearfar.labels.method import Seen
from nearfar.labels.methods.gcd import Discovering
from nearfar.losses import adaptive_pseudo_labels, gcd, marginal_entropy_gap, prototype_separation
from nearfar.parts import CosineClassifier, MLPHead
from nearfar.training import Optimization
from nearfar.vision.method import together


class ProtoGCD(Discovering):
    """Ma et al., 2025, TPAMI, arXiv 2504.03755.

    As GCD, with a learnable prototype for every class, old or new, in the space of the representation: the network
    teaches itself, the other view and the surest rows first with hard labels and later with all; prototypes are kept
    in use alike (the entropy of the mean prediction) and apart. No clustering is needed to name a group, and pictures
    of no class at all can be told by :meth:`score`. It needs the number of classes: estimate it with GCD.

    The released checkpoint is chosen by the labels of unlabelled pictures; here the last state counts.

    Args:
        encoder: image encoder, by name or as a module; the paper begins with DINO's weights.
        num_classes: number of prototypes, old and new classes; that of the data when not given.
        hidden, projection_dim: widths of the head's layers.
        weight_labelled: share of what labels teach, in [0, 1].
        entropy: weight of using all prototypes alike.
        separation: weight of keeping prototypes apart: 0.1 for CIFAR-100, 0.05 for fine-grained sets.
        temperature, temperature_labelled: of the contrasts with views and by class, above 0.
        first_share: of rows with hard labels at the start, in [0, 1].
        ramp: share of the run after which all labels are hard, in (0, 1].
        views: recipe of random views.
        optimization: SGD as released.
    """

    verbs = ("embeds", "predicts", "scores")

    def __init__(
        self,
        encoder: str | nn.Module = "vit-b16",
        *,
        num_classes: int | None = None,
        hidden: int = 2048,
        projection_dim: int = 256,
        weight_labelled: float = 0.35,
        entropy: float = 2.0,
        separation: float = 0.1,
        temperature: float = 1.0,
        temperature_labelled: float = 0.07,
        first_share: float = 0.0,
        ramp: float = 0.5,
        views: str = "simclr",
        optimization: Optimization = Optimization("sgd", lr=0.1, weight_decay=5e-5, floor=1e-3),
    ) -> None:
        super().__init__(encoder, views, optimization)
        if num_classes is None or num_classes < 2:
            raise ValueError("num_classes is needed: 2 or more classes, old and new")
        if not 0 < ramp <= 1 or not 0 <= first_share <= 1 or not 0 <= weight_labelled <= 1:
            raise ValueError(
                f"ramp must be in (0, 1], first_share and weight_labelled in [0, 1]; got {ramp}, {first_share}, "
                f"{weight_labelled}"
            )
        self.head = MLPHead(self.features, hidden, projection_dim, layers=3, norm="none")
        self.classifier = CosineClassifier(self.features, num_classes)
        self.weight_labelled, self.entropy, self.separation = weight_labelled, entropy, separation
        self.temperatures, self.first_share, self.ramp = (temperature, temperature_labelled), first_share, ramp

    @property
    def hard_share(self) -> float:
        """Of rows with hard labels: from ``first_share`` linearly to all."""
        return self.first_share + (1 - self.first_share) * min(self.progress / self.ramp, 1.0)

    def loss(self, seen: Seen) -> dict[str, Tensor]:  # type: ignore[override]
        h1, h2 = together(self.encoder, seen.views)
        z1, z2, h1, h2 = self.gather(self.head(h1), self.head(h2), h1, h2)
        (labels,) = self.gather(seen.labels)
        return self.terms((self.classifier(h1), self.classifier(h2)), (z1, z2), labels)

    def terms(self, logits: tuple[Tensor, Tensor], z: tuple[Tensor, Tensor], labels: Tensor) -> dict[str, Tensor]:
        """All terms of both views' cosines (N, K) with prototypes, projections (N, D) and class numbers (N,)."""
        known, both, w = labels >= 0, torch.cat(logits), self.weight_labelled
        plain, labelled = self.temperatures
        terms = gcd(*z, labels, weight_labelled=w, temperature=plain, temperature_labelled=labelled)
        terms["pseudo"] = (1 - w) * adaptive_pseudo_labels(*logits, share=self.hard_share)
        terms["entropy"] = (1 - w) * self.entropy * marginal_entropy_gap(both)
        terms["separation"] = (1 - w) * self.separation * prototype_separation(self.classifier.directions)
        rows = known.repeat(2)
        if bool(known.any()):
            terms["labels"] = w * F.cross_entropy(both[rows] / 0.1, labels[known].repeat(2))
        return terms

    def predict(self, batch: Any) -> Tensor:
        """Numbers (N,) of prototypes; those of labelled classes are the classes' own."""
        return self.classifier(self.encode(batch)).argmax(1)

    def score(self, batch: Any) -> Tensor:
        """How surely each picture (N,) is of one of the classes: the largest probability at temperature 0.1."""
        return (self.classifier(self.encode(batch)) / 0.1).softmax(1).amax(1)

    def groups(self, data: LabelledImages, *, seed: int = 0) -> np.ndarray:
        """The prototypes that pictures are closest to; nothing is random in it."""
        return predictions(self, data)

    def groups_of_others(self, known: LabelledImages, others: LabelledImages, *, seed: int = 0) -> np.ndarray:
        return predictions(self, others)

    def kept(self) -> nn.Module:
        return nn.ModuleDict({"encoder": self.encoder, "classifier": self.classifier})
