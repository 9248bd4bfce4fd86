"""DirectPred: a predictor set from the features' correlation beats a trained linear one; and the theory of why."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, nn

from nearfar.reproductions.arms import arm, build
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.training import Method
from nearfar.training.optimization import trainable
from nearfar.vision.data import load
from nearfar.vision.evaluation import evaluate
from nearfar.vision.methods import DirectPred


class TrainedLinear(DirectPred):
    """The same linear predictor, trained by gradients from the identity at ten times the encoder's rate."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        width = self.predictor.in_features
        self.predictor = nn.Linear(width, width, bias=False)  # type: ignore[assignment]
        nn.init.eye_(self.predictor.weight)

    def parameter_groups(self) -> list[dict[str, Any]]:
        own = list(self.predictor.parameters())
        others = [p for p in trainable(self) if all(p is not q for q in own)]
        return [{"params": others}, {"params": own, "lr_scale": 10.0}]

    def move_predictor(self, projections: Tensor) -> None:
        pass


def linear_theory(seed: int, *, predictor: bool = True, stop_gradient: bool = True) -> dict[str, float]:
    """The paper's linear networks, followed by Euler's method (arXiv 2102.06810).

    With ``X`` the covariance of the data and ``X'`` that of the augmentation,
    ``Wp' = -Wp W (X + X') W^T + Wa X W^T - eta Wp``, ``W' = Wp^T [-Wp W (X + X') + Wa X] - eta W`` and
    ``Wa' = beta (W - Wa)``.

    Returns:
        ``alignment``: mean |cosine| between the eigenvectors of ``W X W^T`` and what ``Wp`` makes of them;
        ``alignment before``: the same of the initial weights; ``weights``: the norm of ``W``.
    """
    size, steps, dt, eta, beta, noise = 12, 6000, 0.02, 0.04, 0.4, 0.1
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(size, size)))[0]
    x = basis @ np.diag(rng.uniform(0.5, 1.5, size)) @ basis.T
    both = x + noise * np.eye(size)
    w = rng.normal(size=(size, size)) / size**0.5
    wp = rng.normal(size=(size, size)) / size**0.5 if predictor else np.eye(size)
    wa = w.copy()

    def alignment() -> float:
        vectors = np.linalg.eigh(w @ x @ w.T)[1]
        moved = wp @ vectors
        return float(np.mean(np.abs((moved * vectors).sum(0)) / np.linalg.norm(moved, axis=0)))

    before = alignment()
    for _ in range(steps):
        error = (wa if stop_gradient else w) @ x - wp @ w @ both
        change = wp.T @ error - eta * w
        if not stop_gradient:
            change += wp @ w @ x - w @ both
        if predictor:
            wp = wp + dt * (error @ w.T - eta * wp)
        w = w + dt * change
        wa = wa + dt * beta * (w - wa)
    return {"alignment": alignment(), "alignment before": before, "weights": float(np.linalg.norm(w))}


def run(seed: int) -> dict[str, dict[str, float]]:
    data = load()

    def measure(method: Method) -> dict[str, float]:
        return evaluate(method, data)

    theory = linear_theory(seed)
    return {
        "directpred": arm("directpred", data, seed, measure),
        "directcopy": arm("directpred", data, seed, measure, alpha=1.0, eps=0.3),
        "trained linear predictor": arm("directpred", data, seed, measure, cls=TrainedLinear),
        "untrained": measure(build("directpred", data, seed).eval()),
        "theory": theory,
        "theory, before": {"alignment": theory["alignment before"]},
        "theory, no predictor": linear_theory(seed, predictor=False),
        "theory, no stop-gradient": linear_theory(seed, stop_gradient=False),
    }


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting="""scikit-learn's handwriting in drawn styles at 16 px; a four-layer conv net, 500 steps of 128, SGD with
    weight decay. The arms differ in the linear predictor: computed with alpha 0.5, computed with alpha 1, or trained.
    Of six ways to train it (drawn or the identity at the start, its own rate tenfold, the network's four times larger
    or smaller) the best by nearest neighbours on training digits held apart is used: 0.76, where the usual start gave
    0.62 and DirectPred 0.93.
    The theory's arms are its differential equations for linear networks of 12 dimensions, followed by Euler's method.
    """,
    claims=(
        Claim("DirectPred beats its untrained encoder", "directpred", "untrained", "knn seen styles", role="sanity"),
        Claim(
            "DirectPred beats a trained linear predictor", "directpred", "trained linear predictor", "knn seen styles"
        ),
        Claim(
            "DirectCopy beats a trained linear predictor",
            "directcopy",
            "trained linear predictor",
            "knn seen styles",
            role="ablation",
        ),
        Claim("a trained predictor aligns with the features' correlation", "theory", "theory, before", "alignment"),
        Claim(
            "without the predictor the weights collapse",
            "theory",
            "theory, no predictor",
            "weights",
            margin=1.0,
            role="ablation",
        ),
        Claim(
            "without the stop-gradient the weights collapse",
            "theory",
            "theory, no stop-gradient",
            "weights",
            margin=1.0,
            role="ablation",
        ),
    ),
)
