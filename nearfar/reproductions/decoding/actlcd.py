"""ActLCD: a policy that decides when to contrast layers, against always and never."""

from __future__ import annotations

from nearfar.decoding.method import Decoder
from nearfar.decoding.methods import ActLCD, DoLa
from nearfar.reproductions.arms import build, train
from nearfar.reproductions.decoding.beds import bed, measured
from nearfar.reproductions.decoding.dola import LAYERS, SHORT
from nearfar.reproductions.harness import Claim, Reproduction


def run(seed: int) -> dict[str, dict[str, float]]:
    data, lm = bed("rare", seed)
    method = build("actlcd", data, seed, model=lm, writing=SHORT)
    assert isinstance(method, ActLCD)
    train("actlcd", method, data, seed)
    decoders = {
        "never": Decoder(lm, writing=SHORT),
        "always": DoLa(lm, only=LAYERS, writing=SHORT),
        "actlcd": method,
    }
    found = measured(decoders, data, seed)
    found["actlcd"] |= method.shares(data.held_out())
    method.use = "behaviour"
    found["actlcd, behaviour network"] = measured({"b": method}, data, seed)["b"]
    for scores in found.values():
        scores["accuracy beside the better"] = scores["accuracy"]
    better = max(found["never"]["accuracy"], found["always"]["accuracy"])
    found["the better of never and always"] = {"accuracy": better}
    return found


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting="""The bed of DoLa: half of the keys have one frequent value. The policy (hidden widths 128 and 64,
    features: probabilities) learns from the answers of 120 keys in 300 steps and is measured on the 40 others.""",
    explanation="""Contrast never helps on this bed (always: 0.434, never: 0.703), so that the best policy is never
    to contrast. It is what was learned, for every seed, and nothing above it can be had.""",
    claims=(
        Claim("ActLCD beats contrasting always", "actlcd", "always", "accuracy"),
        Claim("ActLCD beats never contrasting", "actlcd", "never", "accuracy"),
        Claim(
            "ActLCD is at least as good as the better of the two, to two points",
            "actlcd",
            "the better of never and always",
            "accuracy",
            margin=-0.02,
            role="ablation",
        ),
    ),
)
