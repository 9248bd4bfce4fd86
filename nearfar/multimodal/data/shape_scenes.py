"""Coloured shapes with captions whose truth is known: the default data of every image-text method.

A scene holds one to three objects, each a combination of 8 colours and 6 shapes in one of two sizes at a
named place, on a textured background. Twelve of the 48 combinations never occur in training, though each of
their colours and shapes does, so generalisation to new combinations can be measured. Captions come from
several templates with synonyms; the attributes record everything that was drawn, exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearfar.multimodal.data.shape_drawing import draw_scenes, sample_look

__all__ = [
    "COLORS",
    "HELD_OUT",
    "PLACES",
    "SHAPES",
    "SIZES",
    "ClassPrompts",
    "SceneEdits",
    "Scenes",
    "class_prompts",
    "describe",
    "render",
    "retrieval_gallery",
    "scene_edits",
    "shape_scenes",
]

COLORS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")
SIZES = ("small", "large")
PLACES = (
    "top left",
    "top",
    "top right",
    "left",
    "centre",
    "right",
    "bottom left",
    "bottom",
    "bottom right",
)

_PAIRS = ((0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 0), (7, 1), (0, 3), (2, 4), (4, 2), (6, 5))
HELD_OUT: NDArray[np.bool_] = np.zeros((len(COLORS), len(SHAPES)), dtype=bool)
"""(8, 6): which combinations of colour (row) and shape (column) never occur in training."""
HELD_OUT[tuple(np.array(_PAIRS).T)] = True
HELD_OUT.setflags(write=False)

_SPLITS = {"train": 0, "test_seen": 1, "test_heldout": 2}
_CORNERS = np.array([0, 2, 6, 8])
_MEANING = ("color", "shape", "size", "place")
_SIZE_WORDS = (("small", "little", "tiny"), ("large", "big", "huge"))
_PLACE_WORDS = (
    ("in the top left corner", "at the upper left"),
    ("at the top", "near the upper edge"),
    ("in the top right corner", "at the upper right"),
    ("on the left", "at the left side"),
    ("in the middle", "in the centre"),
    ("on the right", "at the right side"),
    ("in the bottom left corner", "at the lower left"),
    ("at the bottom", "near the lower edge"),
    ("in the bottom right corner", "at the lower right"),
)
_TEMPLATES = ("{}", "there is {}", "a picture of {}", "this image shows {}", "you can see {}")


@dataclass(frozen=True)
class Scenes:
    """Images, captions and the truth about them.

    Attributes
    ----------
    images
        uint8 (n, size, size, 3), RGB.
    captions
        One sentence per image, naming colour, shape, size and place of every object in any order.
    attributes
        The meaning, int64 (n, objects) with -1 where a scene has fewer objects: `color`, `shape`, `size` and
        `place`, indices into `COLORS`, `SHAPES`, `SIZES` and `PLACES`. Beside it, what no caption mentions
        (`offset`, `stretch`, `angle`, `tint`, `background`, `texture...`, `noise`: see
        `nearfar.multimodal.data.shape_drawing.sample_look`). `render(attributes)` draws the scenes again.
    """

    images: NDArray[np.uint8]
    captions: list[str]
    attributes: dict[str, NDArray]

    def __len__(self) -> int:
        return len(self.captions)

    @property
    def classes(self) -> NDArray[np.int64]:
        """int64 (n, objects): colour x 6 + shape, as in `class_prompts`, -1 where there is no object."""
        color, shape = self.attributes["color"], self.attributes["shape"]
        return np.where(color < 0, -1, color * len(SHAPES) + shape)


@dataclass(frozen=True)
class ClassPrompts:
    """Sentences for zero-shot classification into the 48 combinations.

    Attributes
    ----------
    names
        "red circle", "red square", ...: class c is colour c // 6 and shape c % 6.
    prompts
        For each class 18 sentences (every size at every place) to embed and average.
    held_out
        bool (48,): the classes that never occur in training.
    """

    names: list[str]
    prompts: list[list[str]]
    held_out: NDArray[np.bool_]


@dataclass(frozen=True)
class SceneEdits:
    """Pairs of scenes that differ in one attribute, with the instruction that leads from one to the other."""

    reference: Scenes
    instructions: list[str]
    target: Scenes


def shape_scenes(
    n: int, seed: int = 0, split: str = "train", objects: int | tuple[int, int] = 1, size: int = 32
) -> Scenes:
    """Draw `n` scenes with captions.

    Parameters
    ----------
    n
        Number of scenes.
    seed
        Equal arguments give equal scenes; the splits of one seed share no random number.
    split
        "train" and "test_seen" use the 36 combinations outside `HELD_OUT`, "test_heldout" only the 12 inside.
    objects
        Objects per scene, 1 to 3, or an inclusive range such as (1, 3) to draw from. Objects of a scene are
        different combinations; two or more stand in different corners.
    size
        Side of the images in pixels, at least 16.

    Raises
    ------
    ValueError
        For an unknown split or a number out of range.

    Notes
    -----
    Two of `n` captions may mean the same (one object has 648 meanings in training), which in-batch contrast
    counts as a negative. Mask equal meanings where that matters, and test retrieval on `retrieval_gallery`.
    """
    rng = _generator(n, seed, split, size)
    low, high = _object_range(objects)
    return _scenes(_meanings(n, split, low, high, rng), size, seed, rng)


def retrieval_gallery(
    n: int = 200, seed: int = 0, split: str = "test_seen", objects: int = 1, size: int = 32
) -> Scenes:
    """Draw `n` scenes of which no two mean the same, so that each caption has exactly one right image.

    Parameters and errors as in `shape_scenes`; also ValueError if there are fewer than `n` meanings (one
    object: 648 for "train" and "test_seen", 216 for "test_heldout").
    """
    rng = _generator(n, seed, split, size)
    low, high = _object_range(objects)
    kinds = int(HELD_OUT.sum() if split == "test_heldout" else (~HELD_OUT).sum())
    available = kinds * len(SIZES) * len(PLACES)
    if high == 1 and n > available:
        raise ValueError(f"n={n} distinct meanings were asked for, but one object has only {available} in {split!r}")
    found: dict[tuple[int, ...], NDArray[np.int64]] = {}
    while len(found) < n:
        drawn = _meanings(4 * n, split, low, high, rng)
        stacked = np.stack([drawn[name] for name in _MEANING], axis=-1)
        for row in stacked:
            found.setdefault(tuple(row[np.lexsort(row.T)].ravel()), row)
    chosen = np.stack(list(found.values())[:n])
    return _scenes({name: chosen[:, :, i] for i, name in enumerate(_MEANING)}, size, seed, rng)


def scene_edits(n: int, seed: int = 0, split: str = "train", size: int = 32) -> SceneEdits:
    """Draw `n` single-object scenes and change one attribute of each: data for composed retrieval.

    The target keeps everything else, background and pose included; both ends belong to `split`. An
    instruction reads "make it blue", "turn it into a star", "make it larger" or "move it to the top left".
    Parameters and errors as in `shape_scenes`.
    """
    rng = _generator(n, seed, split, size)
    before = _meanings(n, split, 1, 1, rng)
    after = {name: values.copy() for name, values in before.items()}
    allowed = HELD_OUT if split == "test_heldout" else ~HELD_OUT
    instructions = []
    for i in range(n):
        color, shape, big, place = (int(before[name][i, 0]) for name in _MEANING)
        colors = np.flatnonzero(allowed[:, shape] & (np.arange(len(COLORS)) != color))
        shapes = np.flatnonzero(allowed[color] & (np.arange(len(SHAPES)) != shape))
        choices = {
            "color": colors,
            "shape": shapes,
            "size": np.array([1 - big]),
            "place": np.delete(np.arange(len(PLACES)), place),
        }
        name = rng.choice([key for key, values in choices.items() if len(values)])
        value = int(rng.choice(choices[name]))
        after[name][i, 0] = value
        instructions.append(
            {
                "color": f"make it {COLORS[value % len(COLORS)]}",
                "shape": f"turn it into a {SHAPES[value % len(SHAPES)]}",
                "size": f"make it {('smaller', 'larger')[value % 2]}",
                "place": f"move it to the {PLACES[value]}",
            }[name]
        )
    reference = _scenes(before, size, seed, rng)
    changed = {**reference.attributes, **after}
    return SceneEdits(reference, instructions, Scenes(render(changed, size, seed), _captions(changed, rng), changed))


def class_prompts() -> ClassPrompts:
    """Prompts for zero-shot classification of single objects by colour and shape."""
    names = [f"{color} {shape}" for color in COLORS for shape in SHAPES]
    prompts = []
    for name in names:
        sentences = []
        for index in range(len(SIZES) * len(PLACES)):
            big, place = divmod(index, len(PLACES))
            size_words, place_words = _SIZE_WORDS[big], _PLACE_WORDS[place]
            phrase = f"a {size_words[index % 3]} {name} {place_words[index % 2]}"
            sentences.append(_TEMPLATES[index % len(_TEMPLATES)].format(phrase))
        prompts.append(sentences)
    return ClassPrompts(names, prompts, HELD_OUT.ravel().copy())


def describe(attributes: Mapping[str, NDArray], seed: int = 0) -> list[str]:
    """Captions for records such as `Scenes.attributes`, with templates and synonyms drawn by `seed`."""
    return _captions(attributes, np.random.default_rng([seed, 4]))


def render(attributes: Mapping[str, NDArray], size: int = 32, seed: int = 0) -> NDArray[np.uint8]:
    """Images uint8 (n, size, size, 3) of records such as `Scenes.attributes`; `seed` draws the grain.

    With the seed of the call that made the scenes the images come out equal; change `color`, `shape`,
    `size` or `place` first and only that changes.
    """
    if size < 16:
        raise ValueError(f"size must be at least 16 pixels, got {size}")
    return draw_scenes(attributes, size, seed)


def _generator(n: int, seed: int, split: str, size: int) -> np.random.Generator:
    if split not in _SPLITS:
        raise ValueError(f"split must be one of {tuple(_SPLITS)}, got {split!r}")
    for name, value, least in (("n", n, 1), ("seed", seed, 0), ("size", size, 16)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    return np.random.default_rng([seed, _SPLITS[split]])


def _object_range(objects: int | tuple[int, int]) -> tuple[int, int]:
    low, high = objects if isinstance(objects, tuple | list) else (objects, objects)
    if not 1 <= low <= high <= 3:
        raise ValueError(f"objects must be 1, 2, 3 or a range (low, high) within them, got {objects!r}")
    return low, high


def _meanings(n: int, split: str, low: int, high: int, rng: np.random.Generator) -> dict[str, NDArray[np.int64]]:
    allowed = np.flatnonzero(HELD_OUT if split == "test_heldout" else ~HELD_OUT)
    kinds = allowed[np.argsort(rng.random((n, len(allowed))), axis=1)[:, :high]]
    count = rng.integers(low, high + 1, size=n)
    corners = _CORNERS[np.argsort(rng.random((n, 4)), axis=1)[:, :high]]
    place = np.where(count[:, None] > 1, corners, rng.integers(len(PLACES), size=(n, 1)))
    meaning = {
        "color": kinds // len(SHAPES),
        "shape": kinds % len(SHAPES),
        "size": rng.integers(len(SIZES), size=(n, high)),
        "place": place,
    }
    absent = np.arange(high) >= count[:, None]
    return {name: np.where(absent, -1, values).astype(np.int64) for name, values in meaning.items()}


def _scenes(meaning: dict[str, NDArray[np.int64]], size: int, seed: int, rng: np.random.Generator) -> Scenes:
    n, slots = meaning["color"].shape
    attributes: dict[str, NDArray] = {**meaning, **sample_look(n, slots, rng)}
    return Scenes(render(attributes, size, seed), _captions(attributes, rng), attributes)


def _captions(attributes: Mapping[str, NDArray], rng: np.random.Generator) -> list[str]:
    color, shape, big, place = (attributes[name].tolist() for name in _MEANING)
    n, slots = len(attributes["color"]), attributes["color"].shape[1]
    size_word = rng.integers(3, size=(n, slots)).tolist()
    place_word = rng.integers(2, size=(n, slots)).tolist()
    template = rng.integers(len(_TEMPLATES), size=n).tolist()
    fronted = (rng.random((n,)) < 0.25).tolist()
    order = np.argsort(rng.random((n, slots)), axis=1).tolist()
    captions = []
    for i in range(n):
        phrases = []
        for k in order[i]:
            if color[i][k] < 0:
                continue
            thing = f"a {_SIZE_WORDS[big[i][k]][size_word[i][k]]} {COLORS[color[i][k]]} {SHAPES[shape[i][k]]}"
            phrases.append((thing, _PLACE_WORDS[place[i][k]][place_word[i][k]]))
        if fronted[i] and len(phrases) == 1:
            thing, where = phrases[0]
            captions.append(f"{where} there is {thing}")
            continue
        said = [f"{thing} {where}" for thing, where in phrases]
        listed = said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"
        captions.append(_TEMPLATES[template[i]].format(listed))
    return captions
