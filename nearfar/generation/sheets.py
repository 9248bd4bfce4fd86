"""What a system makes, on a page: inputs, what was made of them, and what should have come out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from nearfar.generation.data.blank import Blank
from nearfar.generation.made import Made
from nearfar.generation.writing import inputs

COUNT = 8
LEAST = 64
GAP = 2


def pictures(method: Any, data: Any) -> list[tuple[str, np.ndarray]]:
    """Captioned RGB arrays: inputs with what was made of them and references; then things made from nothing."""
    if "generates" not in method.verbs:
        return []
    made = [*method.generate(inputs(data, COUNT), seed=0)]
    found = [(described(made), sheet(made))]
    if getattr(method, "from_nothing", False):
        found.append(("Made from noise alone", sheet([*method.generate(Blank(COUNT), seed=0)])))
    return found


def described(made: Sequence[Made]) -> str:
    """What the rows of a sheet are, from above."""
    first = made[0]
    names = [f"what was made{f' ({name})' if name else ''}" for name in first.things]
    rows = [*(["what was given"] if first.given else []), *names]
    rows += ["what should have come out"] if _another(first) else []
    return f"From above: {', '.join(rows)}"


def sheet(made: Sequence[Made]) -> np.ndarray:
    """(H, W, 3) uint8: a column for each example, from above what was given, all that was made, the reference."""
    rows = []
    for each in made:
        things = [each.given, *each.things.values(), each.reference if _another(each) else None]
        rows.append([_large(thing.picture()) for thing in things if thing is not None])
    width = max(picture.shape[1] for column in rows for picture in column)
    count = max(map(len, rows))
    heights = [max(c[y].shape[0] for c in rows if y < len(c)) for y in range(count)]
    found = np.full((sum(heights) + GAP * (count - 1), len(rows) * (width + GAP) - GAP, 3), 255, np.uint8)
    for x, column in enumerate(rows):
        top = 0
        for y, picture in enumerate(column):
            left = x * (width + GAP)
            found[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
            top += heights[y] + GAP
    return found


def _another(made: Made) -> bool:
    """Whether there is a reference that is not what was given."""
    return made.reference is not None and made.reference is not made.given


def _large(picture: np.ndarray) -> np.ndarray:
    """A picture whose pixels are repeated until they can be seen."""
    times = max(1, LEAST // max(picture.shape[:2]))
    return cv2.resize(picture, None, fx=times, fy=times, interpolation=cv2.INTER_NEAREST) if times > 1 else picture
