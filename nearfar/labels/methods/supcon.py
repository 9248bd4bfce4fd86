"""SupCon: supervised contrastive learning."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nearfar.labels.method import LabelMethod, Seen, own_class
from nearfar.losses import supcon
from nearfar.parts import MLPHead
from nearfar.training import Optimization
from nearfar.vision.method import together


class SupCon(LabelMethod):
    """Khosla et al., 2020, arXiv 2004.11362.

    Every other view of the batch with the same class is a positive, all others are negatives. A picture of unknown
    class is the positive of its own views alone, so that without any label this is SimCLR's loss. With fewer than two
    pictures of a class in a batch it adds nothing over that: let batches be several times as large as the number of
    classes. Where the classes themselves form a hierarchy take HMLC.

    Defaults are those for CIFAR in the released code, whose loss is this one times temperature / 0.07.

    Args:
        encoder: image encoder, by name or as a module.
        projection_dim: width of the space where views are compared.
        temperature: divides the similarities, above 0.
        views: recipe of random views.
        optimization: SGD as released; its 10 warm-up epochs of 1000 are a hundredth of the run.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "resnet50-cifar",
        *,
        projection_dim: int = 128,
        temperature: float = 0.1,
        views: str = "simclr",
        optimization: Optimization = Optimization("sgd", lr=0.5, weight_decay=1e-4, decay_all=True, warmup=0.01),
    ) -> None:
        super().__init__(encoder, views, optimization)
        self.head = MLPHead(self.features, self.features, projection_dim, norm="none")
        self.temperature = temperature

    def loss(self, seen: Seen) -> Tensor:  # type: ignore[override]
        z = torch.cat(self.gather(*together(self.network, seen.views)))
        (labels,) = self.gather(seen.labels)
        return supcon(z, own_class(labels).repeat(len(seen.views)), temperature=self.temperature)
