"""ReLIC: the invariance penalty makes proxy predictions invariant and the representation robust to style."""

from __future__ import annotations

import numpy as np
import torch

from nearfar.losses import relic_kl
from nearfar.reproductions.arms import arm, build
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.training import Method
from nearfar.vision.data import load
from nearfar.vision.evaluation import evaluate
from nearfar.vision.method import ImageMethod
from nearfar.vision.methods import ReLIC

ALPHAS = (0.0, 1.0, 5.0)


def invariance(method: ReLIC, images: torch.Tensor, pairs: int = 4) -> float:
    """KL between the proxy predictions of two augmentation pairs of held-out images, in nats."""
    found = []
    with method.frozen():
        for draw in range(pairs):
            method.generator.manual_seed(draw)
            o1, o2 = (method.network(recipe(images, method.generator)) for recipe in method.recipes)
            found.append(float(relic_kl(o1, o2, o1, o2, temperature=method.temperature)))
    return float(np.mean(found))


def run(seed: int) -> dict[str, dict[str, float]]:
    data = load()
    held_out = next(iter(data.splits().values()))
    images = held_out.batch(np.arange(min(256, len(held_out)))).images

    def measure(method: Method) -> dict[str, float]:
        assert isinstance(method, ImageMethod)
        return evaluate(method, data)

    def measure_relic(method: Method) -> dict[str, float]:
        assert isinstance(method, ReLIC)
        return {**measure(method), "proxy KL": invariance(method, images)}

    scores = {f"relic alpha={alpha:g}": arm("relic", data, seed, measure_relic, alpha=alpha) for alpha in ALPHAS}
    scores["simclr"] = arm("simclr", data, seed, measure)
    scores["untrained"] = measure_relic(build("relic", data, seed).eval())
    return scores


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting="""scikit-learn's handwriting in drawn styles at 16 px; a four-layer conv net, 500 steps of 128, AdamW;
    every arm has the same encoder, views, steps and seeds. The probe is fitted on training digits in seen styles
    and tested on other digits in seen styles and in styles that no arm was trained on.""",
    explanation="""The penalty does what it is for: the divergence between proxy predictions falls fivefold. It
    does not buy
    accuracy here. The two views of a digit are of different styles in every arm, so plain instance
    discrimination already has to ignore style and every arm reads seen styles at 97%; the unseen styles lie
    outside what any augmentation shows, where the penalty says nothing. The paper's gains are of hundreds of
    epochs on ImageNet. Alpha and temperature were not tuned.""",
    claims=(
        Claim(
            "ReLIC beats its untrained encoder on seen styles",
            "relic alpha=1",
            "untrained",
            "linear seen styles",
        ),
        Claim(
            "ReLIC is more accurate than SimCLR under style shift",
            "relic alpha=1",
            "simclr",
            "linear unseen styles",
        ),
        Claim(
            "the invariance penalty lowers the KL between proxy predictions",
            "relic alpha=5",
            "relic alpha=0",
            "proxy KL",
            better="lower",
        ),
        Claim(
            "the invariance penalty raises accuracy under style shift",
            "relic alpha=5",
            "relic alpha=0",
            "linear unseen styles",
        ),
    ),
)
