"""SBCL: subclasses as large as rare classes beat SupCon under a long tail."""

from __future__ import annotations

from typing import Any

from nearfar.labels.evaluation import evaluate
from nearfar.reproductions.arms import build, train
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.reproductions.labels.gml import tailed
from nearfar.reproductions.labels.sets import CIFAR

STEPS = 400


def run(seed: int) -> dict[str, dict[str, float]]:
    data = tailed()
    scores: dict[str, dict[str, float]] = {}
    arms: dict[str, dict[str, Any]] = {"sbcl": {"warmup_epochs": 10, "recluster_epochs": 10}, "supcon": {}}
    for slug, changes in arms.items():
        method = train(slug, build(slug, data, seed, **changes), data, seed, steps=STEPS)
        scores[slug] = dict(evaluate(method, data, seed=seed))
    scores["untrained"] = dict(evaluate(build("sbcl", data, seed).eval(), data, seed=seed))
    return scores


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting=f"""{"CIFAR-10 at 16 px, its classes from 500 down to 10 pictures" if CIFAR else "Long-tailed digits"},
    balanced held-out pictures, a four-layer conv net, {STEPS} steps of 128, AdamW; subclasses from the 10th epoch on. A
    linear probe on the frozen encoder, the same for both.""",
    claims=(
        Claim("SBCL beats SupCon over classes", "sbcl", "supcon", "balanced test"),
        Claim("SBCL beats SupCon on rare classes", "sbcl", "supcon", "few test"),
        Claim("SBCL beats its untrained encoder", "sbcl", "untrained", "balanced test", role="sanity"),
    ),
)
