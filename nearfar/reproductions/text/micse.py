"""miCSE: with few sentences, attention that agrees across dropout masks helps contrast."""

from __future__ import annotations

import torch

from nearfar.losses import attention_mutual_information
from nearfar.reproductions.arms import arm, build
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.text.data import Sentences, load
from nearfar.text.evaluation import evaluate
from nearfar.training import Method

FEW = 256


def run(seed: int) -> dict[str, dict[str, float]]:
    whole = load("grammar")
    assert isinstance(whole, Sentences)
    few = Sentences(whole.sentences[seed * FEW : (seed + 1) * FEW], splits=whole.splits())

    def measure(method: Method) -> dict[str, float]:
        scores = dict(evaluate(method, few))
        method.train()
        torch.manual_seed(seed)
        tokens = method.encoder.tokenize(whole.sentences[-128:] * 2)  # type: ignore[operator]
        with torch.no_grad():
            _, attention = method.encoder.attended(tokens, 0, 2)  # type: ignore[operator]
        scores["attention"] = float(attention_mutual_information(*attention.chunk(2)))
        return scores

    return {
        "micse": arm("micse", few, seed, measure, attention_weight=1e-3),
        "simcse": arm("micse", few, seed, measure, attention_weight=0.0),
        "untrained": measure(build("micse", few, seed).eval()),
    }


REPRODUCTION = Reproduction(
    run=run,
    setting="""256 sentences of the generated grammar, other ones for each seed, tested on its held-out pairs. A
    two-layer transformer of width 128 from random weights, mean pooling, 300 steps of 64; the attention of both layers
    counts, with the paper's weight for small sets, 1e-3. SimCSE is the same run with weight 0.""",
    claims=(
        Claim("agreeing attention helps with few sentences", "micse", "simcse", "sts test"),
        Claim("attention agrees more across dropout masks", "micse", "simcse", "attention", role="ablation"),
        Claim("it beats its untrained encoder", "micse", "untrained", "sts test", role="sanity"),
    ),
)
