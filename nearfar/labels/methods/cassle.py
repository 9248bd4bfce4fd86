"""CaSSLe: continual self-supervised learning by predicting one's own past."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.labels.history import FrozenCopy, TaskMethod
from nearfar.labels.method import Seen
from nearfar.losses import barlow_twins, info_nce, negative_cosine, nt_xent
from nearfar.parts import MLPHead
from nearfar.training import Optimization
from nearfar.vision.method import together

Kind = Literal["contrastive", "decorrelative", "predictive", "mse"]


class CaSSLe(TaskMethod):
    """Fini et al., 2022, CVPR, arXiv 2112.04215.

    On tasks that come one after another SimCLR forgets. From the second task on a predictor must tell from the
    present projections those of the network as the last task left it, of the same views; what it can predict is not
    lost. The distillation has the form of the self-supervised loss: contrastive here, and those of Barlow Twins
    (``decorrelative``), BYOL (``predictive``) and VICReg (``mse``) to choose from. With ``weight=0`` it is SimCLR
    trained on task after task. Labels are never used in training.

    The released code leaves the past network in training mode, so that its batch norm moves; here it is in evaluation
    mode, as in its successor's code. The predictor goes on from task to task; a released run of each task starts a
    fresh one. The released loss of the first task divides by temperature 0.2.

    Args:
        encoder: image encoder, by name or as a module.
        num_tasks: of the stream; taken from the data.
        hidden: width of the hidden layers of projection and prediction heads.
        projection_dim: width of the space where views are compared.
        temperature: divides the similarities of both terms, above 0.
        kind: form of the distillation.
        weight: of the distillation, at least 0; 1 in the paper (25 for ``mse``).
        views: recipe of random views.
        optimization: the paper's LARS, its warm-up and cosine over the whole run instead of anew for each task.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "resnet18-cifar",
        *,
        num_tasks: int | None = None,
        hidden: int = 2048,
        projection_dim: int = 256,
        temperature: float = 0.2,
        kind: Kind = "contrastive",
        weight: float = 1.0,
        views: str = "simclr",
        optimization: Optimization = Optimization(
            "lars", lr=0.4, lr_batch=256, weight_decay=1e-5, trust=0.02, warmup=0.02
        ),
    ) -> None:
        super().__init__(encoder, views, optimization, num_tasks=num_tasks)
        if kind not in ("contrastive", "decorrelative", "predictive", "mse") or not weight >= 0:
            raise ValueError(
                f"kind must be contrastive, decorrelative, predictive or mse and weight at least 0; got {kind!r} and "
                f"{weight}"
            )
        self.head = MLPHead(self.features, hidden, projection_dim)
        self.predictor = MLPHead(projection_dim, hidden, projection_dim)
        self.former = FrozenCopy(self.network)
        self.temperature, self.kind, self.weight = temperature, kind, weight

    def begin_task(self, task: int, data: Any) -> None:
        super().begin_task(task, data)
        self.former.take(self.network)

    def loss(self, seen: Seen) -> dict[str, Tensor]:  # type: ignore[override]
        z = together(self.network, seen.views)
        terms = {"simclr": nt_xent(*self.gather(*z), temperature=self.temperature)}
        if self.past and self.weight:
            former = together(self.former, seen.views)
            terms["distillation"] = self.weight * self.distillation(together(self.predictor, z), former)
        return terms

    def distillation(self, predicted: tuple[Tensor, ...], former: tuple[Tensor, ...]) -> Tensor:
        """How far the predictions of both views, (N, D) each, are from the past projections, by :attr:`kind`."""
        predicted, former = self.gather(*predicted), self.gather(*former)
        if self.kind == "contrastive":
            # Every row of both views is a candidate, the other view of the same picture a negative.
            rows = torch.cat(predicted), torch.cat(former)
            return info_nce(*rows, temperature=self.temperature, symmetric=True)
        return torch.stack([self._distance(p, z) for p, z in zip(predicted, former, strict=True)]).mean()

    def _distance(self, p: Tensor, z: Tensor) -> Tensor:
        """Of the predictions of one view, (N, D), from its past projections."""
        if self.kind == "decorrelative":
            return 0.1 * barlow_twins(p, z, lambd=0.005)
        return 2 + 2 * negative_cosine(p, z) if self.kind == "predictive" else F.mse_loss(p, z)
