"""SPACE-2: a tenth of annotated dialogs, compared as trees, as labels, or not at all."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.reproductions.arms import arm, build
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.text.data.dialogs import Dialogs, made
from nearfar.text.evaluation import evaluate
from nearfar.text.frames import tree_similarity
from nearfar.text.methods.space2 import SPACE2
from nearfar.training import Method

EXAMPLES, STEPS = 2000, 50


class WholeLabels(SPACE2):
    """Dialogs attract where their annotations are equal under every view, and not otherwise."""

    def similarity(self, trees: Tensor) -> Tensor:
        found = tree_similarity(trees)
        return (found.amin(0) == 1).to(torch.float64).expand_as(found)


def run(seed: int) -> dict[str, dict[str, float]]:
    few = made(EXAMPLES, seed=seed)
    none = Dialogs(few.sentences, [None] * len(few), splits=few.splits())
    every = made(EXAMPLES, seed=seed, annotated=1.0)
    settings = {"steps": STEPS, "batch_size": 32}

    def measure(method: Method) -> dict[str, float]:
        return dict(evaluate(method, few))

    return {
        "space-2": arm("space-2", few, seed, measure, settings=settings),
        "whole labels": arm("space-2", few, seed, measure, settings=settings, cls=WholeLabels),
        "no labels": arm("space-2", none, seed, measure, settings=settings),
        "every label": arm("space-2", every, seed, measure, settings=settings),
        "untrained": measure(build("space-2", few, seed).eval()),
    }


REPRODUCTION = Reproduction(
    run=run,
    setting=f"""{EXAMPLES} generated wishes for a hotel, a train and so on, a tenth of them annotated with domain,
    intents, slots and values; 400 others are held out, all annotated. ``sts`` is the rank correlation of cosines with
    how alike the trees of 600 pairs are, ``1-nn`` the intents of the nearest. A two-layer transformer of width 128
    from random weights in the place of ConvBERT, {STEPS} steps of 32 for every arm. Whole labels:
    supervised contrast of equal annotations.""",
    claims=(
        Claim("trees make embeddings near as meanings are, against no labels", "space-2", "no labels", "sts test"),
        Claim("and against labels that are equal or not", "space-2", "whole labels", "sts test"),
        Claim("the nearest have the same intents, against no labels", "space-2", "no labels", "1-nn test"),
        Claim("more annotations help", "every label", "space-2", "sts test", role="sanity"),
        Claim("it learns", "space-2", "untrained", "sts test", role="sanity"),
    ),
)
