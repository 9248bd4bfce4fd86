"""Members of a shard that are one example: those that differ only in what follows the first dot of their names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from nearfar.sources.shards.index import Index

__all__ = ["CLASS", "by_key", "described", "label_in", "split_name"]

CLASS = ("label", "class", "category", "target")
"""Keys of a description that name a class."""


def split_name(name: str) -> tuple[str, str]:
    """Key and ending of a member: ``a/b.left.jpg`` is ``a/b`` and ``left.jpg``, the ending in lower case."""
    folder, slash, file = name.rpartition("/")
    stem, _, ending = file.partition(".")
    return f"{folder}{slash}{stem}", ending.lower()


def by_key(index: Index) -> dict[str, dict[str, int]]:
    """Positions of the members of each example by their endings, examples in the shard's order."""
    found: dict[str, dict[str, int]] = {}
    for row, name in enumerate(index.names):
        key, ending = split_name(name)
        found.setdefault(key, {})[ending] = row
    return found


def described(index: Index, parts: Mapping[str, int]) -> Mapping[str, Any]:
    """What an example's ``.json`` says, if it has one that is an object."""
    text = index.texts.get(parts.get("json", -1))
    if text is None:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def label_in(index: Index, parts: Mapping[str, int], keys: Sequence[str] = CLASS) -> str | None:
    """The class that an example's ``.json`` names, or else its ``.cls``; ``None`` where neither does."""
    told = described(index, parts)
    for key in keys:
        value = told.get(key)
        if isinstance(value, str | int) and not isinstance(value, bool):
            return str(value)
    text = index.texts.get(parts.get("cls", -1))
    return None if text is None else text.strip()
