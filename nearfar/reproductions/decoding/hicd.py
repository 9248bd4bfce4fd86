"""HICD: contrast with dispersed heads, and whether it matters which heads they are."""

from __future__ import annotations

import numpy as np

from nearfar.decoding.method import Decoder
from nearfar.decoding.methods import HICD
from nearfar.decoding.methods.hicd import random_heads
from nearfar.losses import inducing_heads
from nearfar.reproductions.decoding.beds import bed, measured
from nearfar.reproductions.decoding.cad import SHORT
from nearfar.reproductions.harness import Claim, Reproduction

COUNT, DRAWS = 3, 10


def run(seed: int) -> dict[str, dict[str, float]]:
    data, lm = bed("facts", seed, model="facts-deep")
    chooser = HICD(lm, count=COUNT, writing=SHORT)
    right, wrong = chooser.importances(data)
    layers, heads = right.shape
    ranked = inducing_heads(right, wrong, count=layers * heads)
    decoders = {
        "greedy": Decoder(lm, writing=SHORT),
        "hicd": HICD(lm, heads=tuple(ranked[:COUNT]), writing=SHORT),
        "hicd, cut": HICD(lm, heads=tuple(ranked[:COUNT]), how="cut", writing=SHORT),
        "hicd, lowest heads": HICD(lm, heads=tuple(ranked[-COUNT:]), writing=SHORT),
        **{
            f"random {draw}": HICD(lm, heads=random_heads(ranked[:COUNT], layers, heads, draw), writing=SHORT)
            for draw in range(DRAWS)
        },
    }
    found = measured(decoders, data, seed)
    for scores in found.values():
        scores["conflict and part"] = (scores["accuracy conflict"] + scores["accuracy part"]) / 2
    drawn = [found.pop(f"random {draw}") for draw in range(DRAWS)]
    mean = {name: float(np.mean([s[name] for s in drawn])) for name in drawn[0]}
    spread = float(np.std([s["conflict and part"] for s in drawn]))
    found["random heads"] = {**mean, "conflict and part, a deviation above": mean["conflict and part"] + spread}
    found["hicd"]["conflict and part, a deviation above"] = found["hicd"]["conflict and part"]
    return found


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting="""Made facts as for CAD, with a Llama of four layers of four heads. Three heads are chosen on 200 training
    questions with their right and another answer; weight 1.1, greedy, 400 held-out questions. Random heads: the mean of
    ten draws.""",
    claims=(
        Claim("HICD beats greedy decoding", "hicd", "greedy", "conflict and part"),
        Claim(
            "The chosen heads beat random ones by a deviation of these",
            "hicd",
            "random heads",
            "conflict and part, a deviation above",
            role="ablation",
        ),
        Claim(
            "The chosen heads beat those of the lowest score",
            "hicd",
            "hicd, lowest heads",
            "conflict and part",
            role="ablation",
        ),
    ),
)
