"""Scenes of one coloured shape and words that change it: composed retrieval whose truth is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nearfar.multimodal.data.composed import Triplets
from nearfar.multimodal.data.shape_scenes import (
    COLORS,
    HELD_OUT,
    PLACES,
    SHAPES,
    SIZES,
    describe,
    render,
    retrieval_gallery,
    shape_scenes,
)
from nearfar.training import Data

__all__ = ["ComposedScenes", "composed_scenes"]

MEANING = ("color", "shape", "size", "place")
WORDS = {
    "color": ("make it {}", "the same in {}"),
    "shape": ("turn it into a {}", "a {} instead"),
    "size": ("make it {}er", "a {}er one"),
    "place": ("move it to the {}", "the same at the {}"),
}
NAMES = {"color": COLORS, "shape": SHAPES, "size": ("small", "larg"), "place": PLACES}


class ComposedScenes(NamedTuple):
    """Pictures (M, size, size, 3) uint8 with their captions, and T changes from a reference to a target picture.

    ``references`` and ``targets`` (T,) are numbers of pictures; ``kinds``, T of ``color``, ``shape``, ``size``,
    ``place``.
    """

    images: NDArray[np.uint8]
    captions: list[str]
    references: NDArray[np.int64]
    changes: list[str]
    targets: NDArray[np.int64]
    kinds: list[str]

    def triplets(self, name: str, splits: Mapping[str, Data] | None = None) -> Triplets:
        """As a collection, with the captions of references and targets."""
        return Triplets(
            self.images,
            self.references,
            self.changes,
            self.targets,
            captions=[self.captions[i] for i in self.references],
            edited=[self.captions[i] for i in self.targets],
            name=name,
            splits=splits,
        )


def composed_scenes(
    n: int, seed: int = 0, split: str = "train", *, edits: int = 4, size: int = 32, distinct: bool = False
) -> ComposedScenes:
    """Draw ``n`` scenes and change each in ``edits`` ways, one attribute at a time.

    A changed scene keeps everything else, background and pose included. So the other changes of a scene look as much
    like it as the right one does: neither the picture nor the words alone find the target.

    Args:
        n: scenes that are changed.
        seed: equal arguments give equal scenes.
        split: see :func:`nearfar.multimodal.data.shape_scenes.shape_scenes`; the changed scenes belong to it too.
        edits: changes of each scene, at least 1; fewer where no more are left.
        size: side in pixels, at least 16.
        distinct: no two pictures mean the same, so that each change has exactly one right picture.

    Raises:
        ValueError: a number out of range, or an unknown split.
    """
    if edits < 1:
        raise ValueError(f"edits must be at least 1, got {edits}")
    draw = retrieval_gallery if distinct else shape_scenes
    scenes = draw(n, seed=seed, split=split, size=size)
    rng = np.random.default_rng([seed, 6, n])
    allowed = HELD_OUT if split == "test_heldout" else ~HELD_OUT
    before = np.stack([scenes.attributes[name][:, 0] for name in MEANING], 1)
    taken = {tuple(row) for row in before.tolist()}
    owners: list[int] = []
    after: list[list[int]] = []
    changes: list[str] = []
    kinds: list[str] = []
    for row, meaning in enumerate(before.tolist()):
        options = _options(meaning, allowed)
        weights = np.array([1 / sum(kind == other for other, _ in options) for kind, _ in options])
        made = 0
        for at in rng.choice(len(options), len(options), replace=False, p=weights / weights.sum()):
            kind, value = options[at]
            changed = [*meaning]
            changed[MEANING.index(kind)] = value
            if made == edits or (distinct and tuple(changed) in taken):
                continue
            made += 1
            taken.add(tuple(changed))
            owners.append(row)
            after.append(changed)
            kinds.append(kind)
            changes.append(WORDS[kind][rng.integers(2)].format(NAMES[kind][value]))
    looks = {name: values[owners] for name, values in scenes.attributes.items()}
    looks |= {name: np.array(after)[:, i : i + 1] for i, name in enumerate(MEANING)}
    whole = {name: np.concatenate([values, looks[name]]) for name, values in scenes.attributes.items()}
    references = np.array(owners, dtype=np.int64)
    return ComposedScenes(
        render(whole, size, seed),
        describe(whole, seed),
        references,
        changes,
        n + np.arange(len(owners), dtype=np.int64),
        kinds,
    )


def _options(meaning: list[int], allowed: NDArray[np.bool_]) -> list[tuple[str, int]]:
    """Every change of one attribute that keeps a scene within its split."""
    color, shape, big, place = meaning
    found = [("color", int(c)) for c in np.flatnonzero(allowed[:, shape]) if c != color]
    found += [("shape", int(s)) for s in np.flatnonzero(allowed[color]) if s != shape]
    found += [("size", s) for s in range(len(SIZES)) if s != big]
    return found + [("place", p) for p in range(len(PLACES)) if p != place]
