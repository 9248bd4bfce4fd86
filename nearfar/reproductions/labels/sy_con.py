"""Sy-CON: one set of negatives for present and past keeps more than CaSSLe's weighted sum and than fine-tuning."""

from __future__ import annotations

from typing import Any

from nearfar.labels.evaluation import evaluate
from nearfar.reproductions.arms import build, train
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.reproductions.labels.cassle import KEPT, stream
from nearfar.reproductions.labels.sets import named

STEPS = 500
ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "sy-con": ("sy-con", {}),
    "cassle": ("cassle", {}),
    "not shared": ("sy-con", {"shared": False}),
    "fine-tuning": ("cassle", {"weight": 0.0}),
}


def run(seed: int) -> dict[str, dict[str, float]]:
    data = stream()
    scores = {}
    for name, (slug, changes) in ARMS.items():
        method = train(slug, build(slug, data, seed, **changes), data, seed, steps=STEPS)
        found = evaluate(method, data, seed=seed)
        scores[name] = {key: found[key] for key in KEPT}
    return scores


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting=f"""{named(" in five tasks of two classes")}, 3,000 pictures, a four-layer conv net, {STEPS} steps of 64 in
    all, AdamW, a queue of 512. CaSSLe and fine-tuning learn by SimCLR's loss. Measured after the last task: a linear
    probe over all classes; kNN within each task for forgetting.""",
    claims=(
        Claim("Sy-CON beats CaSSLe after the last task", "sy-con", "cassle", "linear all tasks"),
        Claim("Sy-CON beats fine-tuning", "sy-con", "fine-tuning", "linear all tasks"),
        Claim("the past's negatives help", "sy-con", "not shared", "linear all tasks", role="ablation"),
    ),
)
