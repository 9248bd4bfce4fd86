"""CoVi: mixes around the balance of two domains beat plain mixup and the source alone."""

from __future__ import annotations

from typing import Any

from nearfar.labels.data import LabelledImages, load
from nearfar.labels.evaluation import evaluate
from nearfar.reproductions.arms import build, train
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.reproductions.labels.sets import handwriting

ARMS: dict[str, dict[str, Any]] = {
    "covi": {},
    "mixup": {"search": "half"},
    "random mixes": {"search": "random"},
    "source alone": {"warmup": 0.999},
}


def shifted() -> LabelledImages:
    found = handwriting() or load("shifted-digits")
    assert isinstance(found, LabelledImages)
    return found


def run(seed: int) -> dict[str, dict[str, float]]:
    data = shifted()
    scores = {}
    for name, changes in ARMS.items():
        method = train("covi", build("covi", data, seed, **changes), data, seed)
        scores[name] = {"target accuracy": evaluate(method, data, seed=seed)["predicted target"]}
    return scores


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting="""Labelled MNIST to unlabelled USPS (1,500 pictures each at 16 px; the embedded half-inverted digits where
    they are not there), 1,000 held-out USPS pictures; a four-layer conv net, 500 steps of 64, AdamW, three tenths of
    them on the source alone. Accuracy of the last state; equal steps for all arms.""",
    claims=(
        Claim("CoVi beats the source alone", "covi", "source alone", "target accuracy"),
        Claim("the balance beats a fixed half", "covi", "mixup", "target accuracy", role="ablation"),
        Claim("the balance beats random mixes", "covi", "random mixes", "target accuracy", role="ablation"),
    ),
)
