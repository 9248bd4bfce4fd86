"""BSS: with one style in a view, the representation carries over to a domain that was never seen."""

from __future__ import annotations

from typing import Any

import numpy as np

from nearfar.evaluation import LinearProbe
from nearfar.reproductions.arms import arm, build
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.training import Method, embed
from nearfar.vision.data import ImageArray
from nearfar.vision.data.digit_styles import StyleFamily
from nearfar.vision.data.styled_digits import styled_digits
from nearfar.vision.evaluation import evaluate

COMMON: dict[str, Any] = {"stroke_texture": 0.3, "scale": (0.8, 1.0), "shift": 0.06, "noise": (0.0, 0.03)}
DOMAINS = (
    StyleFamily(hues=((0.00, 0.10),), textures=("plain",), grounds=("flat",), **COMMON),
    StyleFamily(hues=((0.25, 0.35),), textures=("stripes",), grounds=("linear",), **COMMON),
    StyleFamily(hues=((0.50, 0.60),), textures=("dots",), grounds=("flat",), **COMMON),
    StyleFamily(hues=((0.75, 0.85),), textures=("checks",), grounds=("radial",), **COMMON),
)


class DomainImages(ImageArray):
    """Images that know their domain."""

    domains: np.ndarray


def domains(seed: int, size: int = 16) -> tuple[DomainImages, dict[str, DomainImages]]:
    """Every training digit in three domains, and other digits in these (``source``) and in the fourth, which goes
    round with the seed (``unseen domain``)."""
    unseen = DOMAINS[seed % len(DOMAINS)]
    seen = [family for family in DOMAINS if family is not unseen]

    def digits(split: str, families: list[StyleFamily], first_seed: int, share: int = 1) -> DomainImages:
        drawn = [styled_digits(split, family, size=size, seed=first_seed + k) for k, family in enumerate(families)]
        which = np.repeat(np.arange(len(families)), len(drawn[0][1]))
        kept = np.arange(len(which)) % share == 0
        images, labels = (np.concatenate([part[k] for part in drawn])[kept] for k in (0, 1))
        made = DomainImages(images, labels, name="digits in domains")
        made.domains = which[kept]
        return made

    held_out = {"source": digits("test", seen, 100, share=3), "unseen domain": digits("test", [unseen], 200)}
    held_out["unseen domain"] = _first(held_out["unseen domain"], len(held_out["source"]))
    train = digits("train", seen, 10 * seed)
    train._splits = dict(held_out)
    return train, held_out


def _first(data: DomainImages, count: int) -> DomainImages:
    made = DomainImages(data.images[:count], data.labels[:count] if data.labels is not None else None, name=data.name)
    made.domains = data.domains[:count]
    return made


def run(seed: int) -> dict[str, dict[str, float]]:
    train, held_out = domains(seed)
    source = held_out["source"]

    def measure(method: Method) -> dict[str, float]:
        probe = LinearProbe(seed=0).fit(embed(method, train).array, train.domains)
        told = float(probe.score(embed(method, source).array, source.domains))
        return {**evaluate(method, train), "domain told": told}

    return {
        "bss": arm("bss", train, seed, measure),
        "a style for each image": arm("bss", train, seed, measure, standardize="image"),
        "simclr": arm("bss", train, seed, measure, standardize="none"),
        "untrained": measure(build("bss", train, seed).eval()),
    }


REPRODUCTION = Reproduction(
    run=run,
    seeds=4,
    setting="""scikit-learn's handwriting at 16 px in four domains that share no hue, texture or shading; one of them is
    left out in turn, one for each seed. A four-layer conv net, 500 steps of 128, AdamW. The probe is fitted on digits
    in the three other domains and tested on other digits in these and in the one left out. Domain told: accuracy of a
    linear probe that names the domain.""",
    explanation="""Style standardisation takes out what tells the domains apart: a probe names them in 0.55 of the
    cases, where SimCLR's representation gives them away in all. That it also helps the digits shows where it could:
    SimCLR loses most on the fourth domain left out (0.83 against 0.92) and is near its ceiling on the other three,
    so the interval is wide. A style drawn for each image does as well here; the difference that the paper reports
    between the two needs domains that classes depend on, and these digits have every class in every domain.""",
    claims=(
        Claim(
            "BSS beats its untrained encoder on the unseen domain",
            "bss",
            "untrained",
            "linear unseen domain",
            role="sanity",
        ),
        Claim("BSS beats SimCLR on the unseen domain", "bss", "simclr", "linear unseen domain"),
        Claim(
            "one style in a view beats a style for each image on the unseen domain",
            "bss",
            "a style for each image",
            "linear unseen domain",
            role="ablation",
        ),
        Claim(
            "less of the domain is left than by SimCLR", "bss", "simclr", "domain told", better="lower", role="ablation"
        ),
    ),
)
