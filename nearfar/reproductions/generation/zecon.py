"""ZeCon: at one and the same style more of a picture stays than with pixels, and than with nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.svm import SVC

from nearfar.generation.data import Pictures, load
from nearfar.generation.data.drawn import grey_digits
from nearfar.generation.made import Made
from nearfar.generation.methods.zecon import Strengths, ZeCon
from nearfar.generation.restyling import lightness, restyling_scores, signal
from nearfar.generation.writing import asked
from nearfar.reproductions.harness import Claim, Reproduction

COUNT = 64
STYLE = {"near": 50_000.0, "direction": 100_000.0}
ARMS = {
    "zecon": Strengths(**STYLE, contrast=5_000.0, pixels=0.0),
    "style alone": Strengths(**STYLE, contrast=0.0, pixels=0.0),
    "pixels": Strengths(**STYLE, contrast=0.0, pixels=100_000.0),
    "no style": Strengths(near=0.0, direction=0.0, contrast=5_000.0, pixels=0.0),
}


def reader(count: int) -> SVC:
    """Reads digits by their lightness, light on dark or dark on light; it learned from the first ``count``."""
    grey, labels = grey_digits()
    x = torch.from_numpy(grey[:count]).float()[:, None].expand(-1, 3, -1, -1)
    plain = lightness(x).numpy()
    return SVC(C=10.0).fit(np.concatenate([plain, -plain]), np.tile(labels[:count], 2))


def read(svm: SVC, made: Sequence[Made], *, given: bool = False) -> float:
    """The share of pictures, or of those they were made from, whose digit is read as it was."""
    digits = [each.said["label"] for each in made]
    return float((svm.predict(lightness(signal(made, given=given)).numpy()) == digits).mean())


def run(seed: int) -> dict[str, dict[str, float]]:
    data = load("tinted-digits")
    svm = reader(len(data))
    part = asked(data).subset(np.random.default_rng(seed).permutation(len(asked(data)))[:COUNT])
    assert isinstance(data, Pictures)
    found: dict[str, dict[str, float]] = {}
    for name, strengths in ARMS.items():
        method = ZeCon(strengths=strengths)
        made = [*method.generate(part, seed=seed, batch_size=COUNT)]
        found[name] = {**restyling_scores(made, method.guide, method.text), "digit": read(svm, made)}
        found["source"] = {"digit": read(svm, made, given=True)}
    return found


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting=f"""Real handwriting of 8 pixels, each digit of a light colour on a dark one; a diffusion of 200 levels that
    was taught 1,497 of them, told nothing; {COUNT} held-out digits are to become purple, in the last 25 of 50 steps.
    What says how purple a picture is is a guide of colours, which stands in for CLIP, in pixels and in words. All arms
    have the same weights of style; "style alone" has nothing else, "pixels" the squared error against the source with a
    weight (100,000) chosen on training pictures to leave about as much style as ZeCon's contrast, "no style" only that
    contrast. Style is
    the cosine with the text; content the absolute correlation of lightness with the source; found the share whose
    source is the most correlated of all; digit the share that a support vector machine, taught light and dark
    handwriting in grey, reads as it was ("source": of the pictures themselves).""",
    claims=(
        Claim("The contrast keeps more content than style alone", "zecon", "style alone", "content"),
        Claim("It keeps more content than the squared error of pixels", "zecon", "pixels", "content"),
        Claim(
            "while its style is not behind that of pixels by more than 0.02", "zecon", "pixels", "style", margin=-0.02
        ),
        Claim("More digits are read as they were than with style alone", "zecon", "style alone", "digit"),
        Claim("More digits are read as they were than with pixels", "zecon", "pixels", "digit", role="ablation"),
        Claim("Guidance makes pictures more purple", "zecon", "no style", "style", margin=0.1, role="sanity"),
    ),
)
