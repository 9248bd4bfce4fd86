"""ER: maximise a bound on mutual information by entropy and reconstruction."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from nearfar.losses import discrete_entropy, discrete_reconstruction, vmf_entropy, vmf_reconstruction
from nearfar.losses.alignment.entropy import Estimator
from nearfar.parts import MLPHead, MomentumEncoder, Prototypes
from nearfar.parts.momentum import Schedule
from nearfar.training import Optimization
from nearfar.vision.method import ImageMethod


class ER(ImageMethod):
    """Rodriguez-Galvez et al., 2023, arXiv 2307.10907 (The role of entropy and reconstruction in multi-view SSL).

    What one view's embedding tells of the other's is at least its entropy minus the error of predicting it from the
    other view. Both are trained on directly, here with BYOL's networks: the error against the target network, the
    entropy of the online projections. The entropy keeps the embeddings apart without a target network that has to
    move slowly and without large batches. The log shows both in nats (the entropy with a minus sign).

    ``discrete`` works on soft assignments to prototypes instead, as SwAV and DINO do; there it may collapse to one
    prototype without a target network or with a small weight of the entropy. The released code holds the
    estimators only; which branches count is not said there: here the mean of both views.

    Args:
        encoder: image encoder, by name or as a module.
        hidden: width of the hidden layer of both heads.
        projection_dim: width of projections and predictions.
        predictor_layers: Linear layers of the predictor; 0 for none.
        support: where embeddings live: on the ``sphere``, or ``discrete``, in probabilities of prototypes.
        kappa: concentration of the densities on the sphere, above 0.
        estimator: of the entropy on the sphere; see :func:`nearfar.losses.vmf_entropy`.
        prototypes: their number where the support is discrete.
        temperature: divides the scores of prototypes, above 0.
        entropy: weight of the entropy, at least 0.
        momentum: of the target network at the start; ``None`` for no target network (both views of the online one
            are trained, as in SimCLR).
        momentum_schedule: ``cosine`` rises to 1 over the run.
        views: recipe of random views.
        optimization: LARS with BYOL's linear scaling.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "resnet50",
        *,
        hidden: int = 4096,
        projection_dim: int = 256,
        predictor_layers: int = 2,
        support: Literal["sphere", "discrete"] = "sphere",
        kappa: float = 10.0,
        estimator: Estimator = "plug-in",
        prototypes: int = 3000,
        temperature: float = 0.1,
        entropy: float = 1.0,
        momentum: float | None = 0.99,
        momentum_schedule: Schedule = "cosine",
        views: str = "byol",
        optimization: Optimization = Optimization("lars", lr=0.45, lr_batch=256, weight_decay=1e-6, warmup=0.1),
    ) -> None:
        super().__init__(encoder, views, optimization)
        if support not in ("sphere", "discrete"):
            raise ValueError(f"support must be 'sphere' or 'discrete', got {support!r}")
        self.head = MLPHead(self.features, hidden, projection_dim)
        self.predictor: nn.Module = nn.Identity()
        if predictor_layers > 0:
            self.predictor = MLPHead(projection_dim, hidden, projection_dim, layers=predictor_layers)
        self.prototypes = Prototypes(projection_dim, prototypes) if support == "discrete" else None
        self.target_network = None if momentum is None else MomentumEncoder(self.network, momentum, momentum_schedule)
        self.kappa, self.temperature, self.entropy = kappa, temperature, entropy
        self.estimator: Estimator = estimator

    def loss(self, views: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        z1, z2 = (self.network(view) for view in views)
        p1, p2 = self.predictor(z1), self.predictor(z2)
        t1, t2 = (z1, z2) if self.target_network is None else (self.target_network(view) for view in views)
        z1, z2, p1, p2, t1, t2 = self.gather(z1, z2, p1, p2, t1, t2)
        if self.prototypes is not None:
            self.prototypes.normalize_()
            z1, z2, p1, p2, t1, t2 = (self.assign(rows) for rows in (z1, z2, p1, p2, t1, t2))
            errors = discrete_reconstruction(p1, t2), discrete_reconstruction(p2, t1)
            entropies = discrete_entropy(z1), discrete_entropy(z2)
        else:
            errors = vmf_reconstruction(p1, t2, kappa=self.kappa), vmf_reconstruction(p2, t1, kappa=self.kappa)
            options = {"kappa": self.kappa, "estimator": self.estimator}
            entropies = vmf_entropy(z1, **options), vmf_entropy(z2, **options)  # type: ignore[arg-type]
        return {
            "reconstruction": torch.stack(errors).mean(),
            "entropy": -self.entropy * torch.stack(entropies).mean(),
        }

    def assign(self, rows: Tensor) -> Tensor:
        """Probabilities (N, K) of the prototypes."""
        assert self.prototypes is not None
        return torch.softmax(self.prototypes(rows) / self.temperature, dim=1)

    def after_step(self) -> None:
        if self.target_network is not None:
            self.target_network.update(self.network, self.progress)
