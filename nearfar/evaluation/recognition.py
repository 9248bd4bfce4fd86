"""What was recognised against what was said: edit distance and word error rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["edit_distance", "word_error_rate"]


def edit_distance(first: Sequence[Any], second: Sequence[Any]) -> int:
    """Levenshtein's: the fewest elements that are replaced, inserted and left out to make one of the other."""
    above = [*range(len(second) + 1)]
    for row, a in enumerate(first, 1):
        here = [row]
        for column, b in enumerate(second, 1):
            here.append(min(above[column] + 1, here[-1] + 1, above[column - 1] + (a != b)))
        above = here
    return above[-1]


def word_error_rate(said: Sequence[str], recognised: Sequence[str]) -> float:
    """Edits of words over all texts, divided by the words that were said: at least 0, and above 1 where much is
    inserted.

    Args:
        said, recognised: N texts each, words parted by spaces.

    Raises:
        ValueError: lengths that differ, or no word said.
    """
    if len(said) != len(recognised):
        raise ValueError(f"{len(said)} texts were said and {len(recognised)} recognised")
    words = sum(len(text.split()) for text in said)
    if not words:
        raise ValueError("nothing was said, so there is no word error rate")
    return sum(edit_distance(a.split(), b.split()) for a, b in zip(said, recognised, strict=True)) / words
