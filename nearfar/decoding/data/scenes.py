"""Drawn scenes with questions, for small vision-language models that have learned to expect too much.

A scene holds up to three of six shapes, one to a quarter of the picture. Three pairs of shapes belong together: in
training a shape's partner is beside it in nine of ten scenes, and questions are answered with yes more often than
with no, so that a model learns to see the partner that is not there. Test questions are balanced as in POPE: half are
about a shape that is there; absent ones are drawn at random (``random``), by frequency (``popular``), or are the
partner of a shape that is there (``adversarial``). Captions name what is there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nearfar.common.randomness import derive_seed

SHAPES = ("circle", "square", "triangle", "cross", "ring", "bar")
PARTNER = (1, 0, 3, 2, 5, 4)
SIZE, PATCH = 24, 6
KINDS = ("random", "popular", "adversarial")
IMAGE = "<image>"
PATCHES = (SIZE // PATCH) ** 2
WORDS = (IMAGE, "is", "there", "a", "?", "yes", "no", "what", "how", "many", "1", "2", "3", "4", *SHAPES)
POPULARITY = np.array([0.28, 0.24, 0.16, 0.14, 0.10, 0.08])


class Asked(NamedTuple):
    """Images (N, H, W, 3) uint8, questions, right answers, wrong answers, kinds."""

    images: np.ndarray
    prompts: list[str]
    answers: list[str]
    others: list[str]
    kinds: list[str]


def questions(n: int, seed: int, *, kinds: tuple[str, ...] = KINDS) -> Asked:
    """Balanced test questions about scenes in which partners are together by chance only, and of their kinds."""
    rng = np.random.default_rng(derive_seed(seed, "scene questions"))
    held, prompts, answers, kind_of = [], [], [], []
    for row in range(n):
        kind, yes = kinds[row % len(kinds)], bool(row // len(kinds) % 2)
        present = _present(rng, together=0.3)
        absent = [s for s in range(len(SHAPES)) if s not in present]
        if yes:
            about = int(rng.choice(present))
        elif kind == "random":
            about = int(rng.choice(absent))
        elif kind == "popular":
            about = max(absent, key=lambda s: POPULARITY[s])
        else:
            lonely = [PARTNER[s] for s in present if PARTNER[s] not in present]
            if not lonely:
                present = [s for s in present if PARTNER[s] not in present or s < PARTNER[s]]
                lonely = [PARTNER[s] for s in present if PARTNER[s] not in present]
            about = int(rng.choice(lonely))
        held.append(present)
        prompts.append(_question(about))
        answers.append("yes" if yes else "no")
        kind_of.append(kind)
    return Asked(draw(held, rng), prompts, answers, ["no" if a == "yes" else "yes" for a in answers], kind_of)


def captions(n: int, seed: int, *, train: bool) -> Asked:
    """Scenes to be described; the other answer has a shape swapped for, or joined by, a partner that is not there.

    Of every third prompt the number of shapes is asked instead, a skill that contrast should leave alone, and there is
    no other answer.
    """
    rng = np.random.default_rng(derive_seed(seed, "captions", int(train)))
    held, prompts, answers, others, kind_of = [], [], [], [], []
    for row in range(n):
        present = _present(rng, together=0.3)
        lonely = [s for s in present if PARTNER[s] not in present]
        counted = row % 3 == 2
        held.append(present)
        prompts.append(f"{IMAGE} how many ?" if counted else f"{IMAGE} what is there ?")
        answers.append(str(len(present)) if counted else describe(present))
        wrong = [*present, PARTNER[lonely[0]]] if lonely else present[:-1] or [PARTNER[present[0]]]
        others.append("" if counted else describe(wrong))
        kind_of.append("count" if counted else "caption")
    return Asked(draw(held, rng), prompts, answers, others, kind_of)


def lessons(n: int, seed: int) -> Asked:
    """What a model is taught: partners nearly always together, and seven questions in ten answered with yes."""
    rng = np.random.default_rng(derive_seed(seed, "scene lessons"))
    held, prompts, answers = [], [], []
    for row in range(n):
        present = _present(rng, together=0.9)
        held.append(present)
        if row % 4 == 0:
            prompts.append(f"{IMAGE} what is there ?")
            answers.append(describe(present))
        elif row % 4 == 1 and row % 8 == 1:
            prompts.append(f"{IMAGE} how many ?")
            answers.append(str(len(present)))
        else:
            absent = [s for s in range(len(SHAPES)) if s not in present]
            yes = rng.random() < 0.7
            prompts.append(_question(int(rng.choice(present if yes else absent))))
            answers.append("yes" if yes else "no")
    return Asked(draw(held, rng), prompts, answers, [""] * n, [""] * n)


def describe(present: list[int]) -> str:
    """The shapes by name, in the order of :data:`SHAPES`."""
    return " ".join(SHAPES[s] for s in sorted(present))


def draw(held: list[list[int]], rng: np.random.Generator) -> np.ndarray:
    """(N, SIZE, SIZE, 3) uint8: each shape in a quarter of its own, of a colour of its own, on a noisy ground."""
    n, half = len(held), SIZE // 2
    images = rng.normal(90, 22, (n, SIZE, SIZE, 3))
    y, x = np.mgrid[:half, :half] - (half - 1) / 2
    distance, tilt = np.hypot(x, y), half / 2 - 1.2
    masks = (
        distance < tilt,
        (abs(x) < tilt) & (abs(y) < tilt),
        (y > -tilt) & (y < tilt) & (abs(x) < (y + tilt) / 2),
        (abs(x) < 1.3) & (abs(y) < tilt) | (abs(y) < 1.3) & (abs(x) < tilt),
        (distance < tilt) & (distance > tilt - 2),
        (abs(y) < 1.6) & (abs(x) < tilt),
    )
    for row, present in enumerate(held):
        for quarter, shape in zip(rng.permutation(4), present, strict=False):
            top, left = divmod(int(quarter), 2)
            part = images[row, top * half : (top + 1) * half, left * half : (left + 1) * half]
            part[masks[shape]] = 0.35 * part[masks[shape]] + 0.65 * rng.uniform(120, 230, 3)
    return images.clip(0, 255).astype(np.uint8)


def _present(rng: np.random.Generator, together: float) -> list[int]:
    first = int(rng.choice(len(SHAPES), p=POPULARITY))
    found = [first]
    if rng.random() < together:
        found.append(PARTNER[first])
    if rng.random() < 0.5:
        rest = [s for s in range(len(SHAPES)) if s not in (first, PARTNER[first])]
        second = int(rng.choice(rest))
        found.append(second)
        if rng.random() < together:
            found.append(PARTNER[second])
    return found[:4]


def _question(shape: int) -> str:
    return f"{IMAGE} is there a {SHAPES[shape]} ?"
