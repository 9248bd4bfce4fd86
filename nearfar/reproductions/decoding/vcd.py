"""VCD: contrast with a noisy picture against hallucinated shapes."""

from __future__ import annotations

from nearfar.decoding.methods import VCD
from nearfar.reproductions.decoding.beds import bed
from nearfar.reproductions.decoding.pope import GREEDY, SAMPLE, SETTING, controls, pope
from nearfar.reproductions.harness import Claim, Reproduction


def run(seed: int) -> dict[str, dict[str, float]]:
    data, lm = bed("scenes", seed)
    decoders = {**controls(lm), "vcd": VCD(lm, writing=SAMPLE), "vcd, greedy": VCD(lm, writing=GREEDY)}
    return pope(decoders, data, seed)


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting=SETTING,
    claims=(
        Claim("VCD beats sampling on adversarial questions", "vcd", "sampling", "F1 adversarial"),
        Claim("VCD beats the plausibility constraint alone", "vcd", "mask only", "F1 adversarial", role="ablation"),
        Claim("VCD beats greedy decoding", "vcd", "greedy", "F1 adversarial", role="ablation"),
    ),
    explanation="""VCD's answers are sampling's to the third digit, and greedy ones are better than both. What noise
    brings out of a model that reads pictures of 24 pixels was not looked at; that it brings out little of what the
    model expects is a guess.""",
)
