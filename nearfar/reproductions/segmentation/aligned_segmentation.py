"""Aligned appearances: feature alignment beside cross-entropy on the same images generalises to unseen appearances."""

from __future__ import annotations

from typing import Any

from nearfar.reproductions.arms import arm, build
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.segmentation.data import load
from nearfar.segmentation.evaluation import evaluate

STEPS = 1200
ALIGNMENT: dict[str, Any] = {"alignment": 0.1}


def run(seed: int) -> dict[str, dict[str, float]]:
    data = load()
    arms: dict[str, dict[str, Any]] = {
        "cross-entropy alone": {"alignment": 0.0},
        "cosine": {**ALIGNMENT, "metric": "cosine"},
        "l2": {**ALIGNMENT, "metric": "l2"},
        "mmd": {**ALIGNMENT, "metric": "mmd"},
    }
    scores = {
        name: arm("aligned-segmentation", data, seed, lambda m: evaluate(m, data), settings={"steps": STEPS}, **changes)
        for name, changes in arms.items()
    }
    untrained = build("aligned-segmentation", data, seed).eval()
    scores["untrained"] = evaluate(untrained, data)
    return scores


REPRODUCTION = Reproduction(
    run=run,
    setting=f"""160 procedural street scenes of 64x128 in four appearances; tested on 40 other scenes in those and
    in two appearances that training never showed. A small four-stage conv net, {STEPS} steps of 2 scenes. Every arm
    sees the same two appearances of the same scenes at every step. Weight and depths of the alignment were chosen on
    other scenes in one of the training appearances, left out of training for that.""",
    seeds=3,
    explanation="""Aligned distributions (MMD) raise accuracy on unseen appearances; cosine and L2 point the same way,
    not beyond doubt with three seeds, and cost a little on seen ones. The segmenters are still learning after 1,200
    steps (0.32 of 16 classes on seen appearances, thin things near 0), and a weight of 1 in place of 0.1 lowered
    accuracy when the weight was chosen: without negatives, features can be made alike by making all places alike.""",
    claims=(
        Claim("it segments better than untrained", "cosine", "untrained", "miou seen appearances", role="sanity"),
        *(
            Claim(
                f"{metric} alignment raises accuracy on unseen appearances",
                metric,
                "cross-entropy alone",
                "miou unseen appearances",
                role="main" if metric == "cosine" else "ablation",
            )
            for metric in ("cosine", "l2", "mmd")
        ),
        Claim(
            "cosine alignment raises agreement between unseen appearances",
            "cosine",
            "cross-entropy alone",
            "agreement unseen appearances",
        ),
    ),
)
