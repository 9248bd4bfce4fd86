"""What directions of change do to pictures: whether each does one thing to all, and another thing than the others."""

from __future__ import annotations

from typing import Any

import numpy as np

from nearfar.generation.data.blank import Blank
from nearfar.generation.features import features
from nearfar.system import Scores

COUNT = 16
"""New pictures whose edits are looked at."""


def effect_scores(effects: np.ndarray) -> Scores:
    """How well directions are told by what they do.

    Args:
        effects: (K, N, F), what each of K directions, at least 2, changes in F features of each of N pictures, at least
            2.

    Returns:
        ``told apart``, the share of changes that are nearest, by cosine, to the mean change of their own direction in
        the other pictures (chance is 1 / K); ``consistency``, the mean cosine of a direction's changes in two pictures;
        ``overlap``, the mean absolute cosine of the mean changes of two directions, where lower is better.
    """
    unit = effects / np.maximum(np.linalg.norm(effects, axis=2, keepdims=True), 1e-12)
    directions, pictures, _ = unit.shape
    sums = unit.sum(1)
    right, alike = 0.0, []
    for n in range(pictures):
        rest = _unit(sums - unit[:, n])
        near = unit[:, n] @ rest.T
        right += float((near.argmax(1) == np.arange(directions)).mean()) / pictures
        alike.append(((unit[:, n] * (sums - unit[:, n])).sum(1) / (pictures - 1)).mean())
    means = _unit(sums)
    apart = np.abs(means @ means.T)[~np.eye(directions, dtype=bool)]
    found = {"told apart": right, "consistency": float(np.mean(alike)), "overlap": float(apart.mean())}
    return Scores(found, lower=["overlap"])


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def effects_of(method: Any, *, seed: int = 0, count: int = COUNT) -> Scores:
    """:func:`effect_scores` of a system that makes new pictures and, beside each, the same changed along directions.

    Features are those of random convolutions, each divided by its spread over the unchanged pictures. Empty where there
    are fewer than two directions.
    """
    made = [*method.generate(Blank(count), seed=seed, batch_size=count)]
    names = [name for name in made[0].things if name]
    if len(names) < 2 or len(made) < 2:
        return Scores()
    plain, *changed = (features(np.stack([each.things[name].picture() for each in made])) for name in ("", *names))
    return effect_scores((np.stack(changed) - plain) / (plain.std(0) + 1e-6))
