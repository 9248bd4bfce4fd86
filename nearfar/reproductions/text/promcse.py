"""PromCSE: a prefix of a frozen encoder, and a hinge against the nearest wrong sentence."""

from __future__ import annotations

import copy
from typing import Any

from nearfar.encoders import TextEncoder
from nearfar.reproductions.arms import arm, build, train
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.text.data import Sentences, grammar, load
from nearfar.text.evaluation import evaluate
from nearfar.training import Method

SEEN = range(10)


def run(seed: int) -> dict[str, dict[str, float]]:
    held_out = load("grammar", examples=1).splits()
    anchors, positives, negatives = grammar.triplets(4000, seed=seed, topics=SEEN)
    triplets = Sentences(anchors, positives=positives, negatives=negatives, splits=held_out)
    # The stand-in for a pretrained language model: contrast of unlabelled sentences of every topic.
    pretrained = build("simcse", load("grammar"), seed)
    train("simcse", pretrained, load("grammar"), seed, steps=300)

    def measure(method: Method) -> dict[str, float]:
        return dict(evaluate(method, triplets))

    def encoder() -> TextEncoder:
        return copy.deepcopy(pretrained.encoder)  # type: ignore[return-value]

    shared: dict[str, Any] = {"keep_head": False}
    return {
        "promcse": arm("promcse", triplets, seed, measure, encoder=encoder(), **shared),
        "no hinge": arm("promcse", triplets, seed, measure, encoder=encoder(), hinge_weight=0.0, **shared),
        "whole encoder": arm("simcse", triplets, seed, measure, encoder=encoder(), settings={"steps": 300}, **shared),
        "pretrained": measure(pretrained.eval()),
    }


REPRODUCTION = Reproduction(
    run=run,
    setting="""4,000 triplets of ten topics of the generated grammar, tested on pairs and intents of all sixteen: six of
    them are a shift of domain. The frozen encoder is a two-layer transformer of width 128 that SimCSE trained for 300
    steps on unlabelled sentences, in the place of BERT. 300 steps of 64 triplets for every arm.""",
    claims=(
        Claim("prefix and hinge beat supervised SimCSE", "promcse", "whole encoder", "sts test"),
        Claim("the hinge helps", "promcse", "no hinge", "sts test", role="ablation"),
        Claim("the prefix improves the frozen encoder", "promcse", "pretrained", "sts test", role="sanity"),
    ),
)
