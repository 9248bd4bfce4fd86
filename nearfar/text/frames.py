"""What dialogs are annotated with, as trees: domains, their intents, the slots of these, and values."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from nearfar.text.trees import jaccard

__all__ = ["VIEWS", "Frame", "elements", "frame_of", "frame_views", "likeness", "tree_similarity"]

Frame = Mapping[str, Mapping[str, Mapping[str, Sequence[str]]]]
"""Domain, intent, slot, values: ``{"hotel": {"inform": {"area": ["north"]}, "bye": {}}}``."""

VIEWS = ("D", "I", "S", "V", "DI", "IS", "SV", "DIS", "ISV", "DISV")
"""The parts of a tree that are compared, by the levels of their paths: Domain, Intent, Slot, Value."""

PLACEHOLDERS = ("default_domain", "default_intent")
"""Names that say that a level is not known."""


def frame_of(value: Any) -> Frame:
    """Annotations as they come in data: names without outer spaces and in lower case, values as a list.

    A value may stand alone, and be an object with ``value``, as in the data that SPACE-2 was trained on.

    Raises:
        ValueError: something that is not objects in objects in objects.
    """

    def within(level: Any, what: str) -> dict[str, Any]:
        if not isinstance(level, Mapping):
            raise ValueError(f"{what} is a {type(level).__name__} and no object")
        return {str(name).strip().lower(): below for name, below in level.items()}

    found: dict[str, dict[str, dict[str, list[str]]]] = {}
    for domain, intents in within(value, "the frame").items():
        found[domain] = {}
        for intent, slots in within(intents, f"domain {domain!r}").items():
            filled = within(slots, f"intent {intent!r}")
            found[domain][intent] = {slot: _values(values) for slot, values in filled.items()}
    return found


def _values(given: Any) -> list[str]:
    if given is None:
        return []
    listed = given if isinstance(given, list | tuple) else [given]
    bare = (value.get("value", "") if isinstance(value, Mapping) else value for value in listed)
    return [str(value).strip().lower() for value in bare]


def frame_views(frame: Frame | None) -> tuple[frozenset[tuple[str, ...]], ...]:
    """The sets of names and paths that are a tree under each of :data:`VIEWS`, without placeholders; empty sets of
    nothing."""
    paths: set[tuple[str | None, ...]] = set()
    for domain, intents in (frame or {}).items():
        paths.add((domain, None, None, None))
        for intent, slots in intents.items():
            paths.add((domain, intent, None, None))
            for slot, values in slots.items():
                paths.add((domain, intent, slot, None))
                paths.update((domain, intent, slot, value) for value in values)
    found = []
    for view in VIEWS:
        levels = ["DISV".index(level) for level in view]
        parts = (tuple(path[level] for level in levels) for path in paths)
        found.append(frozenset(part for part in parts if None not in part and not _placeholder(part)))
    return tuple(found)  # type: ignore[arg-type]


def _placeholder(part: tuple[str | None, ...]) -> bool:
    return any(name in each for each in part if each is not None for name in PLACEHOLDERS)


def elements(frames: Sequence[Frame | None]) -> Tensor:
    """The sets of :func:`frame_views` as numbers: (N, 10, E) int64, -1 where a set has fewer than E elements.

    Equal elements have equal numbers everywhere, on any machine; two others share one with a probability of 2^-63.
    """
    sets = [[[_number(part) for part in view] for view in frame_views(frame)] for frame in frames]
    width = max((len(view) for row in sets for view in row), default=1) or 1
    padded = [[view + [-1] * (width - len(view)) for view in row] for row in sets]
    return torch.tensor(padded, dtype=torch.long).view(len(frames), len(VIEWS), width)


def _number(part: tuple[str, ...]) -> int:
    digest = hashlib.blake2b("\0".join(part).encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def tree_similarity(numbers: Tensor) -> Tensor:
    """SPACE-2's similarities of trees (N, 10, E), see :func:`elements`: Jaccard's under each view, (10, N, N) in [0, 1]
    with 1 on the diagonal."""
    found = [jaccard(view).fill_diagonal_(1.0) for view in numbers.unbind(1)]
    return torch.stack(found)


def likeness(first: Frame, second: Frame) -> float:
    """How alike two trees are, in [0, 1]: the mean over views of Jaccard's similarity where either has something there;
    1 of equal trees, 0 where one is empty."""
    if not first or not second:
        return 0.0
    if first == second:
        return 1.0
    pairs = [(a, b) for a, b in zip(frame_views(first), frame_views(second), strict=True) if a or b]
    return sum(len(a & b) / len(a | b) for a, b in pairs) / max(len(pairs), 1)
