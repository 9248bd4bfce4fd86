"""REARM: pictures and texts refined by contrast and orthogonality, against LightGCN and without its parts."""

from __future__ import annotations

from typing import Any

from nearfar.recommend.data.shoppers import shoppers
from nearfar.recommend.evaluation import evaluate
from nearfar.recommend.method import Recommender
from nearfar.recommend.methods.rearm import Homography
from nearfar.reproductions.arms import arm
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.training import Optimization

METRIC = "recall@20"
EPOCHS = 30


def run(seed: int) -> dict[str, dict[str, float]]:
    data = shoppers(300, 300, seed=seed, mean_choices=8.0)

    def measure(method: object) -> dict[str, float]:
        assert isinstance(method, Recommender)
        return evaluate(method, data)

    settings = {"epochs": EPOCHS, "batch_size": 512}
    rate = Optimization("adamw", lr=5e-3, weight_decay=5e-4, schedule="constant")
    alone = Homography(together_users=0.0, together_items=0.0)
    arms: dict[str, tuple[str, dict[str, Any]]] = {
        "rearm": ("rearm", {"dim": 32}),
        "without orthogonality": ("rearm", {"dim": 32, "orthogonality": 0.0}),
        "without contrast": ("rearm", {"dim": 32, "contrast": 0.0}),
        "without common choices": ("rearm", {"dim": 32, "homography": alone}),
        "lightgcn": ("lightgcn", {"dim": 96, "layers": 2}),
    }
    return {
        name: arm(slug, data, seed, measure, settings=settings, optimization=rate, **changes)
        for name, (slug, changes) in arms.items()
    }


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting=f"""300 generated shoppers with about eight choices among 300 items, whose pictures and texts each show a
    part of what is liked; {EPOCHS} epochs of batches of 512, AdamW 5e-3 for every arm, widths of 32 (LightGCN 96, the
    same number in the end), the released weights of the losses for Baby.""",
    claims=(
        Claim("REARM beats LightGCN, which sees no features", "rearm", "lightgcn", METRIC),
        Claim("Orthogonality helps", "rearm", "without orthogonality", METRIC, role="ablation"),
        Claim("Contrast between the kinds helps", "rearm", "without contrast", METRIC, role="ablation"),
        Claim("Graphs of common choices help", "rearm", "without common choices", METRIC, role="ablation"),
    ),
)
