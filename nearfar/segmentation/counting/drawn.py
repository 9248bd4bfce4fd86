"""Drawn pictures of coloured shapes with phrases that name some of them, hard distractors among the rest."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from nearfar.segmentation.counting.pictures import CountedPictures, Named
from nearfar.training import Data

COLOURS = {"red": (214, 48, 44), "green": (52, 160, 66), "blue": (48, 92, 224), "yellow": (236, 204, 56)}
SHAPES = ("circles", "squares", "triangles")
SIZES = {"small": 0.065, "large": 0.1}
"""Half of a shape's side as a share of the picture's."""
HELD_OUT = (("red", "triangles"), ("green", "circles"), ("blue", "squares"))
"""Combinations that no phrase of training names, though it shows them, and names their colours and shapes."""
FEWEST, MOST = 6, 16
SIZE = 48
"""Side of the embedded pictures in pixels, where none is asked for."""
_SUPERSAMPLED = 4


def drawn_pictures(
    count: int,
    *,
    size: int = SIZE,
    held_out: bool = False,
    seed: int = 0,
    name: str = "counted-shapes",
    splits: Mapping[str, Data] | None = None,
) -> CountedPictures:
    """``count`` pictures with three phrases each; the same arguments give the same pictures.

    A phrase names a colour and a shape ("red circles"), or a size and a shape ("large circles"). One to six objects
    are what the first phrase names; the second and the third name some of the others, mostly of the same shape or
    colour. The rest of 6 to 16 objects are drawn from everything.

    Args:
        count: at least 1.
        size: side in pixels, at least 32.
        held_out: the first phrases name combinations of :data:`HELD_OUT`, which no phrase does otherwise.
        seed: another seed is another set.
        name: what to call the set.
        splits: held-out sets by name.
    """
    if size < 32:
        raise ValueError(f"size must be at least 32 pixels, got {size}")
    rng = np.random.default_rng([seed, held_out])
    drawn = [_picture(size, held_out, rng) for _ in range(count)]
    pictures = np.stack([pixels for pixels, _ in drawn])
    return CountedPictures(pictures, [named for _, named in drawn], name=name, splits=splits)


def counted_shapes(size: int | None = None, scenes: int | None = None) -> CountedPictures:
    """The embedded set: ``scenes`` pictures for training (800 when not given); two held-out sets of 100, one with the
    combinations that training never names."""
    side = size or SIZE
    splits: dict[str, Data] = {
        "test": drawn_pictures(100, size=side, seed=1, name="test"),
        "new combinations": drawn_pictures(100, size=side, held_out=True, seed=2, name="new combinations"),
    }
    return drawn_pictures(scenes or 800, size=side, splits=splits)


def _picture(size: int, held_out: bool, rng: np.random.Generator) -> tuple[np.ndarray, list[Named]]:
    colours = list(COLOURS)
    combinations = [(c, s) for c in colours for s in SHAPES]
    known = [each for each in combinations if each not in HELD_OUT]
    target = (HELD_OUT if held_out else known)[rng.integers(len(HELD_OUT if held_out else known))]
    total = int(rng.integers(FEWEST, MOST + 1))
    things = [target] * int(rng.integers(1, 7))
    near = [c for c in combinations if c != target and (c[0] == target[0] or c[1] == target[1])]
    while len(things) < total:
        chosen = near if rng.random() < 0.7 else combinations
        other = chosen[rng.integers(len(chosen))]
        if other != target:
            things.append(other)
    sizes = [list(SIZES)[rng.integers(2)] for _ in things]
    places = _places(len(things), rng)
    things, sizes = things[: len(places)], sizes[: len(places)]
    pixels = _draw(size, things, sizes, places, rng)
    others = list(dict.fromkeys(t for t in things if t != target and t not in HELD_OUT))
    # Hard ones first: those that share a word with the target.
    others.sort(key=lambda t: (t[0] != target[0] and t[1] != target[1], rng.random()))
    phrases = [" ".join(target), *(" ".join(each) for each in others[:1])]
    sized = f"{sizes[0]} {things[0][1]}"
    named = [Named(p, _points(p.split(), things, sizes, places, size)) for p in (*phrases, sized)]
    return pixels, named


def _points(words: list[str], things: list, sizes: list, places: np.ndarray, size: int) -> np.ndarray:
    found = [all(w in (*t, s) for w in words) for t, s in zip(things, sizes, strict=True)]
    return places[np.flatnonzero(found)] * size


def _places(count: int, rng: np.random.Generator) -> np.ndarray:
    """Centres (K, 2) in [0, 1] of cells of a jittered 4 x 4 grid, so that nothing covers anything."""
    cells = rng.permutation(16)[:count]
    return (np.stack([cells % 4, cells // 4], 1) + 0.5 + rng.uniform(-0.1, 0.1, (len(cells), 2))) / 4


def _draw(size: int, things: list, sizes: list, places: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    side = size * _SUPERSAMPLED
    shade = rng.uniform(90, 170, 3)
    coarse = np.clip(shade + rng.normal(0, 14, (8, 8, 3)), 0, 255).astype(np.uint8)
    canvas = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_LINEAR)
    for (colour, shape), word, place in zip(things, sizes, places, strict=True):
        ink = np.clip(np.array(COLOURS[colour]) + rng.uniform(-24, 24, 3), 0, 255).tolist()
        reach = SIZES[word] * rng.uniform(0.9, 1.1) * side
        x, y = place * side
        if shape == "circles":
            cv2.circle(canvas, (round(x), round(y)), round(reach), ink, -1)
            continue
        corners = 4 if shape == "squares" else 3
        turn = rng.uniform(-0.3, 0.3) + (np.pi / 4 if corners == 4 else -np.pi / 2)
        angles = turn + 2 * np.pi * np.arange(corners) / corners
        outline = np.stack([x + 1.2 * reach * np.cos(angles), y + 1.2 * reach * np.sin(angles)], 1)
        cv2.fillPoly(canvas, [outline.round().astype(np.int32)], ink)
    pixels = np.asarray(cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA), np.float64)
    return np.clip(pixels + rng.normal(0, 4, pixels.shape), 0, 255).round().astype(np.uint8)
