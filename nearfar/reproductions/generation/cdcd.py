"""CDCD: pictures that agree more with their condition, in few steps."""

from __future__ import annotations

import numpy as np

from nearfar.generation.data import load
from nearfar.generation.evaluation import COUNT, agreement, distance, real_pictures
from nearfar.generation.method import pictures_made
from nearfar.generation.methods.cdcd import CDCD
from nearfar.generation.token_negatives import Contrast
from nearfar.generation.writing import asked
from nearfar.reproductions.arms import build, train
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.training import Data, Method

STEPS, WEIGHT = 280, 0.05
ARMS = {
    "cdcd": Contrast("intra", "step", WEIGHT),
    "no contrast": Contrast(weight=0.0),
}


def judged(method: Method, data: Data, seed: int) -> dict[str, float]:
    """New pictures of held-out conditions in five and in all steps."""
    assert isinstance(method, CDCD)
    found = {}
    for name, steps in (("in five steps", 5), ("in all steps", None)):
        method.sampling = steps
        made = [*method.eval().generate(asked(data).sample(2 * COUNT), seed=seed, batch_size=COUNT)]
        found[f"agreement {name}"] = agreement(made, data)["agreement"]
        found[f"frechet {name}"] = next(iter(distance([m.thing for m in made], real_pictures(asked(data))).values()))
    return found


def run(seed: int) -> dict[str, dict[str, float]]:
    data = load("digits")
    found = {}
    for name, contrast in ARMS.items():
        method = build("cdcd", data, seed, contrast=contrast)
        if not contrast.weight:
            found["untrained"] = judged(method, data, seed)
        found[name] = judged(train("cdcd", method.train(), data, seed, steps=STEPS), data, seed)
    found["no contrast, all steps"] = {"agreement in five steps": found["no contrast"]["agreement in all steps"]}
    found["real pictures"] = {"agreement in five steps": rounded(method, data)}
    return found


def rounded(method: Method, data: Data) -> float:
    """The agreement of held-out pictures themselves, in as few levels of grey as all arms have."""
    assert isinstance(method, CDCD)
    part = asked(data)
    batch = part.batch(np.arange(len(part)))
    grey = method.tokens.decode(method.tokens.encode(batch.images))
    return agreement(pictures_made(batch, grey), data)["agreement"]


REPRODUCTION = Reproduction(
    run=run,
    seeds=4,
    setting=f"""Real handwriting of 8 pixels in four levels of grey, 64 tokens; its class is the condition; 1,497
    digits for {STEPS} steps of 16, a transformer of 3 blocks of width 32, 20 levels of noise. "No contrast" is
    VQ-Diffusion. The contrast is the released one of reordered chunks, step by step, with a weight of {WEIGHT:g}
    instead of 5e-5, with which a run this short ends where it would without. {2 * COUNT} new digits of the classes of
    held-out ones are made in five and in all steps. Agreement is the share whose class a support vector machine that
    was taught the real digits recognises ("real pictures": that of held-out ones themselves); the Fréchet distance is
    that of features of random convolutions to held-out digits.""",
    explanation="""Looked at once each before measuring: with weights of 5e-5, 2e-3 and 0.05 agreement in five steps
    ended within two points of no contrast, and other digits as negatives, sample-wise with 0.05, ended in noise, as a
    divergence that is taken away has no lower bound. Likely the room between is small here: a digit and its reordered
    chunks ask nearly the same of a step wherever most tokens are masked.""",
    claims=(
        Claim(
            "In few steps more pictures agree with their class than without the contrast",
            "cdcd",
            "no contrast",
            "agreement in five steps",
        ),
        Claim(
            "In few steps pictures are nearer to real ones than without",
            "cdcd",
            "no contrast",
            "frechet in five steps",
            better="lower",
        ),
        Claim(
            "Five steps with the contrast agree not less than all steps without it",
            "cdcd",
            "no contrast, all steps",
            "agreement in five steps",
            margin=-0.02,
            role="ablation",
        ),
        Claim(
            "Training makes pictures agree with their class",
            "no contrast",
            "untrained",
            "agreement in five steps",
            role="sanity",
        ),
    ),
)
