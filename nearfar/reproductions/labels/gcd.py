"""GCD: contrast by class and k-means that keeps labels find old and new classes better than k-means without labels."""

from __future__ import annotations

from typing import Any

from nearfar.labels.data import LabelledImages, load
from nearfar.labels.data.digits import opened
from nearfar.reproductions.arms import build, train
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.reproductions.labels.sets import handwriting

CLASSES, OLD = 10, 6


def open_world() -> LabelledImages:
    """MNIST with the labels of half of 0 to 5, or the embedded digits."""
    found = handwriting()
    if found is None:
        data = load("open-digits")
        assert isinstance(data, LabelledImages)
        return data
    import numpy as np

    source = found.subset(np.flatnonzero(found.marks["domain"] == 0)).with_(name="MNIST", splits={})
    return opened(source, range(OLD), 0.5)


def groups(method: Any, data: LabelledImages, seed: int) -> dict[str, float]:
    return dict(method.evaluate(data, seed=seed))


def run(seed: int) -> dict[str, dict[str, float]]:
    import numpy as np

    data = open_world()
    scores = {"untrained": groups(build("gcd", data, seed).eval(), data, seed)}
    scores["gcd"] = groups(train("gcd", build("gcd", data, seed), data, seed), data, seed)
    blind = data.hiding(np.ones(len(data), bool))
    views: Any = build("gcd", data, seed, weight_labelled=0.0)
    views.needs_labels = False
    scores["views alone"] = groups(train("gcd", views, blind, seed), data, seed)
    return scores


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting="""MNIST (1,500 pictures at 16 px), half of 0 to 5 labelled, nothing of 6 to 9; a four-layer conv net from
    scratch (the paper fine-tunes DINO), 400 steps of 128, AdamW. Accuracy on unlabelled pictures under one matching of
    ten groups and classes. All arms are grouped by the same k-means that keeps labels.""",
    claims=(
        Claim("GCD beats contrast of views", "gcd", "views alone", "all"),
        Claim("GCD finds new classes better than contrast of views", "gcd", "views alone", "new", role="ablation"),
        Claim("GCD beats its untrained encoder", "gcd", "untrained", "all", role="sanity"),
    ),
)
