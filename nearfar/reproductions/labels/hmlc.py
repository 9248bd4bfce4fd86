"""G-HMLC and A-HMLC: dimensions of their own for every level beat one contrast of fine classes, and plain HMLC."""

from __future__ import annotations

from nearfar.labels.data import LabelledImages, load
from nearfar.labels.evaluation import evaluate
from nearfar.reproductions.arms import build, train
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.reproductions.labels.sets import few_classes

STEPS = 300
REAL = few_classes("omniglot", classes=60) is not None


def tree() -> LabelledImages:
    """Characters of Omniglot below their alphabets, or digits below kinds of strokes."""
    found = few_classes("omniglot", classes=60) or load("digit-tree")
    assert isinstance(found, LabelledImages)
    return found


def run(seed: int) -> dict[str, dict[str, float]]:
    data = tree()
    scores: dict[str, dict[str, float]] = {}
    arms = {"g-hmlc": "gaussian", "a-hmlc": "attention", "hmlc": "all"}
    for name, features in arms.items():
        method = build("hmlc", data, seed, features=features)
        scores[name] = measured(train("hmlc", method, data, seed, steps=STEPS), data, seed)
    fine = train("supcon", build("supcon", data, seed), data, seed, steps=STEPS)
    scores["fine classes alone"] = measured(fine, data, seed)
    return scores


def measured(method, data: LabelledImages, seed: int) -> dict[str, float]:  # type: ignore[no-untyped-def]
    found = evaluate(method, data, seed=seed)
    return {"fine": found["linear test"], "coarse": found["linear level 1 test"]}


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting=f"""{"Omniglot, 60 characters of its first alphabets" if REAL else "Digits below kinds of strokes"}, a
    four-layer conv net, {STEPS} steps of 128, AdamW. Linear probes of fine and of coarse classes.""",
    claims=(
        Claim("G-HMLC beats HMLC on fine classes", "g-hmlc", "hmlc", "fine"),
        Claim("A-HMLC beats HMLC on fine classes", "a-hmlc", "hmlc", "fine"),
        Claim(
            "levels beat fine classes alone on coarse ones", "g-hmlc", "fine classes alone", "coarse", role="ablation"
        ),
    ),
)
