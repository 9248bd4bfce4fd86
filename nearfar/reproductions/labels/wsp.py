"""WSP: weak labels times position beat weak labels alone, and views alone."""

from __future__ import annotations

from typing import Any

from nearfar.labels.data import LabelledImages, load
from nearfar.labels.evaluation import subject_auc
from nearfar.reproductions.arms import build, train
from nearfar.reproductions.harness import Claim, Reproduction

ARMS: dict[str, dict[str, Any]] = {"wsp": {}, "weak labels alone": {"sigma": 1e6}, "column": {"normalise": "column"}}


def run(seed: int) -> dict[str, dict[str, float]]:
    data = load("slices")
    assert isinstance(data, LabelledImages)
    scores = {"untrained": auc(build("wsp", data, seed).eval(), data)}
    for name, changes in ARMS.items():
        scores[name] = auc(train("wsp", build("wsp", data, seed, **changes), data, seed), data)
    unlabelled = {mark: values for mark, values in data.marks.items() if mark != "weak"}
    blind = LabelledImages(data.images, None, marks=unlabelled)
    scores["views alone"] = auc(train("wsp", build("wsp", data, seed), blind, seed), data)
    return scores


def auc(method: Any, data: LabelledImages) -> dict[str, float]:
    """Over five draws of 40 subjects whose true class is known."""
    found = [subject_auc(method, data, seed=draw)["subject auc test"] for draw in range(5)]
    return {"subject auc": sum(found) / len(found)}


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting="""Drawn slices (12 each) of 120 volumes whose weak label is wrong in a quarter of them and whose sign of
    illness moves with depth, at 16 px; a four-layer conv net, 400 steps of 64, AdamW. Logistic regression on 40 volumes
    of known class, 120 other volumes ranked by the mean of their slices, mean of five draws.""",
    claims=(
        Claim("WSP beats weak labels alone", "wsp", "weak labels alone", "subject auc"),
        Claim("WSP beats contrast of views", "wsp", "views alone", "subject auc"),
        Claim("WSP beats its untrained encoder", "wsp", "untrained", "subject auc", role="sanity"),
    ),
)
