"""Every system of the library: a row each, in ``catalogue/<field>/*.py`` as ``ENTRIES``, found by looking.

Reading it imports neither torch nor any field, so that ``nearfar list`` answers at once. Another package adds rows
through an entry point of the group ``nearfar.systems`` that names a module with ``ENTRIES`` (and, for a field of its
own, a package with a module ``field``).
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from nearfar.spelling import meant, one_of
from nearfar.system import Entry, Field, Parts

__all__ = ["ENTRIES", "FIELDS", "MEASURED", "METHODS", "Entry", "Parts", "field", "find", "slug_of"]

PLUGINS = "nearfar.systems"
ORDER = ("vision", "segmentation", "text", "graph", "multimodal")
"""Fields that are listed first; the others follow by name."""


def _own() -> Iterator[Entry]:
    folders = sorted(p for p in Path(__file__).parent.iterdir() if p.is_dir() and any(p.glob("[!_]*.py")))
    folders.sort(key=lambda p: ORDER.index(p.name) if p.name in ORDER else len(ORDER))
    for folder in folders:
        for file in sorted(folder.glob("[!_]*.py")):
            yield from importlib.import_module(f"nearfar.catalogue.{folder.name}.{file.stem}").ENTRIES


def _plugged() -> Iterator[Entry]:
    for point in importlib.metadata.entry_points(group=PLUGINS):
        yield from point.load().ENTRIES


ENTRIES: tuple[Entry, ...] = (*_own(), *_plugged())
"""All rows."""
METHODS: tuple[Entry, ...] = tuple(entry for entry in ENTRIES if entry.trains)
"""Rows that train."""
MEASURED: tuple[Entry, ...] = tuple(entry for entry in ENTRIES if entry.kind != "data set")
"""Rows that a reproduction measures."""
FIELDS: tuple[str, ...] = tuple(dict.fromkeys(entry.field for entry in ENTRIES))
_BY_SLUG = {entry.slug: entry for entry in ENTRIES}


def find(slug: str) -> Entry:
    """The row called ``slug``.

    Raises:
        KeyError: unknown slug; the message names the closest ones.
    """
    if slug in _BY_SLUG:
        return _BY_SLUG[slug]
    hint = meant(slug, _BY_SLUG, most=3, cutoff=0.4) or "; `nearfar list` shows them all."
    raise KeyError(f"there is no system called {slug!r}{hint}")


def slug_of(cls: type) -> str | None:
    """The slug under which a class is catalogued."""
    target = f"{cls.__module__}:{cls.__qualname__}"
    return next((entry.slug for entry in ENTRIES if entry.target == target), None)


def field(name: str) -> Field:
    """What the field declares; imports it.

    Raises:
        KeyError: no field of that name has rows.
    """
    if name not in FIELDS:
        raise KeyError(f"there is no field {name!r}{one_of(name, FIELDS)}")
    own = f"nearfar.{name}.field"
    if importlib.util.find_spec(f"nearfar.{name}") is not None:
        return importlib.import_module(own).FIELD
    for point in importlib.metadata.entry_points(group=PLUGINS):
        package = point.module.rpartition(".")[0] or point.module
        if any(entry.field == name for entry in point.load().ENTRIES):
            return importlib.import_module(f"{package}.field").FIELD
    raise KeyError(f"nothing installed declares the field {name!r}")
