"""The survey: a pretext destroys the property that it makes a representation invariant to."""

from __future__ import annotations

from typing import Any

import numpy as np

from nearfar.evaluation import LinearProbe, linear_regression_probe
from nearfar.reproductions.arms import build, train
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.training import Method, embed
from nearfar.vision.data import ShapeImages, load
from nearfar.vision.views import Recipe

STEPS = 200
CROP = Recipe(scale=(0.3, 1.0))
COLOUR = Recipe(scale=None, brightness=0.6, contrast=0.6, saturation=0.6, hue=0.5, gray_p=0.3)
BOTH = COLOUR.with_(scale=(0.3, 1.0))
ARMS = {"crop": CROP, "colour": COLOUR, "both": BOTH}


def kept(method: Method, data: ShapeImages) -> dict[str, float]:
    """What of each property a linear read-out finds: accuracy for shape, R^2 for hue."""
    found = embed(method, data)
    x = found.array
    order = np.random.default_rng(0).permutation(len(x))
    train_rows, test_rows = order[: len(x) * 3 // 4], order[len(x) * 3 // 4 :]
    shape = data.factors.shape[:, 0]
    turn = 2 * np.pi * data.factors.hue[:, 0]
    hue = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    probe = LinearProbe(seed=0).fit(x[train_rows], shape[train_rows])
    fitted: Any = linear_regression_probe(x[train_rows], hue[train_rows], x[test_rows], hue[test_rows])
    return {"shape": float(probe.score(x[test_rows], shape[test_rows])), "hue": float(fitted.r2)}


def run(seed: int) -> dict[str, dict[str, float]]:
    data = load("shapes", size=16)
    assert isinstance(data, ShapeImages)
    scores = {"untrained": kept(build("simclr", data, seed).eval(), data)}
    for name, recipe in ARMS.items():
        method = build("simclr", data, seed, views=(recipe, recipe))
        scores[name] = kept(train("simclr", method, data, seed, steps=STEPS), data)
    return scores


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting=f"""2,000 drawn pictures of one coloured shape at 16 px, SimCLR with a four-layer conv net, {STEPS} steps of
    128, views by crops alone, by colours alone, by both. A linear probe of the shape and a ridge regression of the hue,
    on a held-out quarter.""",
    claims=(
        Claim("contrast of colours loses the hue that crops keep", "colour", "crop", "hue", better="lower"),
        Claim("crops and colours together keep the shape better than crops", "both", "crop", "shape", role="ablation"),
    ),
)
