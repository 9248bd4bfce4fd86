"""SigLIP: without a softmax over the batch, small batches lose less."""

from __future__ import annotations

from nearfar.multimodal.data import load
from nearfar.multimodal.evaluation import evaluate
from nearfar.reproductions.arms import arm, build
from nearfar.reproductions.claims import Claim, Reproduction

BATCH = 16


def run(seed: int) -> dict[str, dict[str, float]]:
    data = load()
    settings = {"batch_size": BATCH, "steps": 600}
    return {
        "siglip": arm("siglip", data, seed, lambda m: evaluate(m, data), settings=settings),
        "clip": arm("clip", data, seed, lambda m: evaluate(m, data), settings=settings),
        "bias 0": arm("siglip", data, seed, lambda m: evaluate(m, data), settings={**settings, "steps": 100}, bias=0.0),
        "bias -10": arm("siglip", data, seed, lambda m: evaluate(m, data), settings={**settings, "steps": 100}),
        "untrained": evaluate(build("siglip", data, seed).eval(), data),
    }


REPRODUCTION = Reproduction(
    run=run,
    seeds=5,
    setting="""Drawn scenes of coloured shapes with captions; a small conv net and a two-layer BERT, 600 steps of 16
    pairs, AdamW with the same rate in both arms. The bias is compared after 100 steps.""",
    claims=(
        Claim(
            "in small batches the sigmoid is as good as the softmax, up to 0.02",
            "siglip",
            "clip",
            "zero-shot seen combinations",
            margin=-0.02,
        ),
        Claim(
            "a bias of -10 learns faster than 0",
            "bias -10",
            "bias 0",
            "zero-shot seen combinations",
            role="ablation",
        ),
        Claim(
            "SigLIP beats its untrained towers",
            "siglip",
            "untrained",
            "zero-shot seen combinations",
            role="sanity",
        ),
    ),
)
