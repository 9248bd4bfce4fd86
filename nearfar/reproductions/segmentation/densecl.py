"""DenseCL: contrast of matched cells beside MoCo's makes better maps than MoCo alone."""

from __future__ import annotations

from nearfar.reproductions.arms import arm, build
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.segmentation.data import load
from nearfar.segmentation.evaluation import evaluate


def run(seed: int) -> dict[str, dict[str, float]]:
    data = load("digit-collage")
    weights = {"densecl": 0.5, "moco": 0.0}
    scores = {
        name: arm("densecl", data, seed, lambda m: evaluate(m, data), dense_weight=weight)
        for name, weight in weights.items()
    }
    scores["untrained"] = evaluate(build("densecl", data, seed).eval(), data)
    return scores


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting="""1,200 collages of one to four of scikit-learn's digits on textured 64 x 64 canvases, tested on 150
    collages of other digits; a four-layer conv net of stride 8, 500 steps of 32, AdamW, queues of 512. The arms differ
    in the weight of the dense loss: 0.5, or 0, which is MoCo v2. A linear classifier of pixels on the frozen map is
    fitted to training collages. "matched" is the share of digits' cells whose most similar cell in another crop shows
    the same digit.""",
    explanation="""The dense loss does what it is for: a digit's cells find the same digit in another crop more
    often than with MoCo, for every seed. A linear classifier of pixels gains nothing from that at this length: both
    arms are near 0.17 and near the untrained encoder, which is where PixContrast, the other dense contrast, leaves
    after as many steps (0.32, see PixPro). DenseCL matches cells by features that know little at first; the paper
    trains for 200 epochs.""",
    claims=(
        Claim("DenseCL beats MoCo on pixels", "densecl", "moco", "pixel miou test"),
        Claim(
            "DenseCL beats its untrained encoder on pixels", "densecl", "untrained", "pixel miou test", role="sanity"
        ),
        Claim(
            "cells are matched better than by the untrained encoder",
            "densecl",
            "untrained",
            "matched test",
            role="sanity",
        ),
        Claim("cells are matched better than by MoCo", "densecl", "moco", "matched test", role="ablation"),
    ),
)
