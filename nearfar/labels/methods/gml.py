"""GML: long-tailed recognition by mutual information of features and labels."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.labels.data import LabelledBatch
from nearfar.labels.keys import ClassQueue
from nearfar.labels.method import LabelMethod, Seen
from nearfar.losses import gml, prior_cross_entropy
from nearfar.parts import CosineClassifier, MLPHead, MomentumEncoder
from nearfar.training import Optimization


class GML(LabelMethod):
    """Suh and Seo, 2023, ICML, arXiv 2305.01160.

    A picture must fit the stored keys of its class better than those of the others, keys averaged within each class and
    the log frequency of the class added: contrast and logit adjustment in one formula. A cosine classifier, trained the
    same way, predicts without the prior, so that rare classes are not neglected. Every class has places of its own
    among the keys. Where all classes are common it does what SupCon with a classifier does.

    This is the form whose keys come from a slowly moving copy; the released best numbers have a larger, frozen teacher
    trained before, with distillation. Classes without a key leave the loss, where the released code is NaN.

    Args:
        encoder: image encoder, by name or as a module.
        num_classes: taken from the data.
        projection_dim: width of queries and keys.
        queue_size: number of keys, at least ``base`` for each class.
        base: keys that each class has room for at least.
        momentum: of the copy that makes the keys.
        temperature: at the start, above 0; it is learned.
        scale: multiplies the cosines of the classifier.
        weight: of the contrast, at least 0; with 0 the classifier alone learns, which is logit adjustment.
        views: recipe of random views.
        optimization: SGD as for CIFAR; its steps at 160 and 180 of 200 epochs are at 60% and 80% of the run here.
    """

    verbs = ("embeds", "predicts")

    def __init__(
        self,
        encoder: str | nn.Module = "resnet34-cifar",
        *,
        num_classes: int | None = None,
        projection_dim: int = 32,
        queue_size: int = 4096,
        base: int = 2,
        momentum: float = 0.999,
        temperature: float = 0.1,
        scale: float = 30.0,
        weight: float = 1.0,
        views: str = "simclr",
        optimization: Optimization = Optimization(
            "sgd", lr=0.1, weight_decay=5e-4, decay_all=True, warmup=0.025, schedule="step"
        ),
    ) -> None:
        super().__init__(encoder, views, optimization, count=3)
        if num_classes is None:
            raise ValueError("num_classes is needed: the number of classes to tell apart")
        self.head = MLPHead(self.features, self.features, projection_dim)
        self.classifier = CosineClassifier(self.features, num_classes, scale)
        self.key_network = MomentumEncoder(self.network, momentum, "constant")
        self.queue = ClassQueue(queue_size, projection_dim, num_classes, base)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(temperature)))
        self.register_buffer("prior", torch.full((num_classes,), 1 / num_classes))
        self.weight = weight

    def begin(self, data: Any) -> None:
        super().begin(data)
        counts = torch.from_numpy(data.counts).float()
        if (counts == 0).any():
            missing = data.classes[int((counts == 0).nonzero()[0])]
            raise ValueError(f"the class {missing} of {data.name} has no labelled picture; GML weighs by their number")
        prior = counts / counts.sum()
        self.prior.copy_(prior)  # type: ignore[operator]
        self.queue.divide(prior)

    def views(self, batch: LabelledBatch) -> Seen:  # type: ignore[override]
        self._rows = batch.pictures.rows
        return super().views(batch)

    def loss(self, seen: Seen) -> dict[str, Tensor]:  # type: ignore[override]
        known = seen.labels >= 0
        labels, rows = seen.labels[known], self._rows.to(known.device)[known]
        for_classes, for_queries, for_keys = (view[known] for view in seen.views)
        prior = self.prior
        assert isinstance(prior, Tensor)
        terms = {"classifier": prior_cross_entropy(self.classifier(self.encoder(for_classes)), labels, prior)}
        if not self.weight:
            return terms
        keys = F.normalize(self.key_network(for_keys), dim=1)
        # Written before the loss reads them, so that a query meets the key of its own picture.
        self.queue.enqueue(*self.gather(keys), *self.gather(labels), *self.gather(rows))
        queries = self.network(for_queries)
        found = gml(
            queries,
            labels,
            self.queue.keys.clone(),
            self.queue.labels,
            prior,
            log_temperature=self.log_temperature,
            own=rows[:, None] == self.queue.rows,
        )
        return terms | {name: self.weight * value for name, value in found.items()}

    def after_step(self) -> None:
        self.key_network.update(self.network)

    def predict(self, batch: Any) -> Tensor:
        """Class numbers (N,), without the prior of the training set."""
        return self.classifier(self.encode(batch)).argmax(1)

    def kept(self) -> nn.Module:
        return nn.ModuleDict({"encoder": self.encoder, "classifier": self.classifier})
