"""The bed of the decoders that look at pictures: balanced yes-or-no questions about drawn scenes, as POPE asks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nearfar.decoding.data import Prompts
from nearfar.decoding.evaluation import answers_of
from nearfar.decoding.method import Decoder, Decodes, Writing
from nearfar.decoding.methods import VCD
from nearfar.encoders.causal import CausalLM

GREEDY = Writing(max_new_tokens=2, batch_size=100)
SAMPLE = Writing(max_new_tokens=2, batch_size=100, sample=True)
SETTING = """Drawn scenes of up to four shapes, 24 pixels a side, and a small LLaVA (two layers of width 64 each for
    sight and words) taught with partners together in nine of ten scenes and seven questions in ten answered with yes.
    600 test questions, half of them yes, absent shapes drawn at random, by frequency, or as the partner of one that
    is there (adversarial). Sampling at temperature 1 unless said otherwise; the controls are sampling under the
    plausibility constraint alone and greedy decoding."""


def controls(lm: CausalLM) -> dict[str, Decodes]:
    """What a contrastive decoder has to beat."""
    return {
        "sampling": Decoder(lm, writing=SAMPLE),
        "greedy": Decoder(lm, writing=GREEDY),
        "mask only": VCD(lm, weight=0.0, writing=SAMPLE),
    }


def pope(decoders: Mapping[str, Decodes], data: Prompts, seed: int) -> dict[str, dict[str, float]]:
    """Accuracy and F1 of yes for each kind of question and the share of yes, by decoder."""
    held = data.held_out()
    assert held.answers is not None
    assert held.kinds is not None
    truth, kinds = np.array([a == "yes" for a in held.answers]), np.array(held.kinds)
    found = {}
    for name, decoder in decoders.items():
        said = np.array([text == "yes" for text in answers_of(decoder, held, seed=seed)])
        found[name] = {"yes": float(said.mean())}
        for kind in dict.fromkeys(held.kinds):
            a, b = said[kinds == kind], truth[kinds == kind]
            hits = float((a & b).sum())
            found[name][f"accuracy {kind}"] = float((a == b).mean())
            found[name][f"F1 {kind}"] = 2 * hits / max(float(a.sum() + b.sum()), 1.0)
        found[name]["accuracy"] = float((said == truth).mean())
    return found
