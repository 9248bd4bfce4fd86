"""Geography-aware pre-training: other times of a place, and the region as a side task, beat MoCo."""

from __future__ import annotations

from typing import Any

from nearfar.labels.data import load
from nearfar.labels.evaluation import evaluate
from nearfar.reproductions.arms import build, train
from nearfar.reproductions.harness import Claim, Reproduction

ARMS: dict[str, dict[str, Any]] = {
    "geo and times": {},
    "times": {"regions": 0},
    "geo": {"temporal": False},
    "moco": {"temporal": False, "regions": 0},
}


def run(seed: int) -> dict[str, dict[str, float]]:
    data = load("places")
    scores = {"untrained": dict(evaluate(build("geo-ssl", data, seed).eval(), data, seed=seed))}
    for name, changes in ARMS.items():
        method = train("geo-ssl", build("geo-ssl", data, seed, **changes), data, seed)
        scores[name] = dict(evaluate(method, data, seed=seed))
    return scores


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting="""Drawn aerial tiles of 160 places at four dates, 80 other places held out, 16 px; light and season change
    strongly with the date. A four-layer conv net, 500 steps of 64, AdamW, a queue of 256, temperature 0.1. A linear
    probe of what is built at a place.""",
    claims=(
        Claim("times and regions beat MoCo", "geo and times", "moco", "linear test"),
        Claim("other times beat other views", "times", "moco", "linear test", role="ablation"),
        Claim("regions help MoCo", "geo", "moco", "linear test", role="ablation"),
        Claim("it beats its untrained encoder", "geo and times", "untrained", "linear test", role="sanity"),
    ),
)
