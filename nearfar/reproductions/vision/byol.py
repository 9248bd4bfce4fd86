"""BYOL: predictor and stop-gradient are what keeps it from collapsing."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from nearfar.reproductions.arms import arm, build
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.vision.data import load
from nearfar.vision.evaluation import evaluate
from nearfar.vision.methods import BYOL


class NoStopGradient(BYOL):
    """The online network predicts itself and gradients flow through both sides."""

    def loss(self, views: tuple[Tensor, Tensor]) -> Tensor:
        z1, z2 = (self.network(view) for view in views)
        p1, p2 = self.predictor(z1), self.predictor(z2)
        return 4 - 2 * (F.cosine_similarity(p1, z2).mean() + F.cosine_similarity(p2, z1).mean())


def run(seed: int) -> dict[str, dict[str, float]]:
    data = load()
    scores = {
        "byol": arm("byol", data, seed, lambda m: evaluate(m, data)),
        "no predictor": arm("byol", data, seed, lambda m: evaluate(m, data), predictor_layers=0),
        "no stop-gradient": arm("byol", data, seed, lambda m: evaluate(m, data), cls=NoStopGradient),
        "untrained": evaluate(build("byol", data, seed).eval(), data),
    }
    return scores


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting="""scikit-learn's handwriting in drawn styles at 16 px; a four-layer conv net, 800 steps of 128, SGD.
    One arm has no predictor, one lets gradients flow into the target side (and has no momentum copy).""",
    claims=(
        Claim("BYOL beats its untrained encoder", "byol", "untrained", "knn seen styles"),
        Claim("without the predictor it learns less", "byol", "no predictor", "knn seen styles", role="ablation"),
        Claim(
            "without the stop-gradient it learns less", "byol", "no stop-gradient", "knn seen styles", role="ablation"
        ),
        Claim(
            "without the predictor the representation loses dimensions",
            "byol",
            "no predictor",
            "effective_rank",
            role="ablation",
        ),
        Claim(
            "without the stop-gradient the representation loses dimensions",
            "byol",
            "no stop-gradient",
            "effective_rank",
            role="ablation",
        ),
    ),
)
