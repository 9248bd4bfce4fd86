"""DoLa: contrast with an earlier layer brings out facts that the frequent answer hides."""

from __future__ import annotations

import torch

from nearfar.decoding.engine import Streams
from nearfar.decoding.method import Decoder, Writing
from nearfar.decoding.methods import DoLa
from nearfar.reproductions.decoding.beds import bed, measured
from nearfar.reproductions.harness import Claim, Reproduction

SHORT = Writing(max_new_tokens=3, batch_size=100)
LAYERS = (2, 4)


def run(seed: int) -> dict[str, dict[str, float]]:
    data, lm = bed("rare", seed)
    dola = DoLa(lm, only=LAYERS, writing=SHORT)
    decoders = {
        "greedy": Decoder(lm, writing=SHORT),
        "dola": dola,
        "static layer 2": DoLa(lm, only=(2,), writing=SHORT),
        "static layer 4": DoLa(lm, only=(4,), writing=SHORT),
        "dola, jsd": DoLa(lm, only=LAYERS, divergence="jsd", writing=SHORT),
    }
    found = measured(decoders, data, seed)
    held = data.held_out()
    looks = Streams(dola.branches(held.batch(torch.arange(len(held)).numpy())), early=dola.early).start()
    found["dola"]["share of the lower layer"] = float((dola.contrasted(looks, 0.1)[1] == 0).float().mean())
    return found


REPRODUCTION = Reproduction(
    run=run,
    seeds=5,
    setting="""Made facts of which half of the keys have one frequent value: a six-layer Llama of width 64, stopped
    early, trained with the loss of every even layer's own words besides (weight 0.1), because layers of so small a
    model say nothing by themselves; the paper's models have no such loss. Greedy, candidates 2 and 4, no repetition
    penalty. 40 held-out keys, 20 of them rare.""",
    claims=(
        Claim(
            "DoLa beats greedy decoding on rare facts by more than three points",
            "dola",
            "greedy",
            "accuracy rare",
            margin=0.03,
        ),
        Claim("Choosing the layer beats layer 2 alone", "dola", "static layer 2", "accuracy rare", role="ablation"),
        Claim("DoLa does not lose frequent facts", "dola", "greedy", "accuracy frequent", margin=-0.05, role="sanity"),
    ),
    explanation="""The primary proof is numeric: the scores equal the released code's. Tiny models have no clean
    division into early and late layers, and masking alone changes nothing under greedy decoding, so that a gain or
    its absence here says little about models of 32 layers.""",
)
