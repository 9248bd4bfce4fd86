"""Letting a system make things, into a file or into a folder that can be gone on with."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nearfar import catalogue
from nearfar.common.files import atomic_write
from nearfar.system import Entry, UsageError, require

ORDER = "generate.json"
"""What a folder's things were asked for by, so that another order does not go on with them."""


def generate_to(
    entry: Entry,
    system: Any,
    data: Any,
    out: Path,
    *,
    seed: int = 0,
    count: int | None = None,
    batch_size: int | None = None,
    origin: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Write what a system makes of data as its field does.

    A field that writes folders goes on with one that was interrupted: what stands there stays, and the rest is made as
    it would have been.

    Args:
        entry: the system's row.
        system: a trained method or a procedure.
        data: what it works on.
        out: a file or a folder, as the field writes.
        seed: of all that is drawn.
        count: at most so many examples, or so many new things.
        batch_size: examples that are worked on together.
        origin: plain values that say by what and of what the things are made; of a folder the same is asked.
        overwrite: replace what is there.

    Raises:
        CannotError: the system does not generate.
        UsageError: something else is there, or the field has no such option.
    """
    require(system, "generates", entry.slug)
    field = catalogue.field(entry.field)
    if field.write is None:
        raise UsageError(f"the field {entry.field} has no way to write what {entry.slug} generates")
    options: dict[str, Any] = {"seed": seed}
    if batch_size is not None:
        if "batch_size" not in inspect.signature(system.generate).parameters:
            raise UsageError(f"{entry.slug} has no --batch-size here; `nearfar show {entry.slug}` names its settings")
        options["batch_size"] = batch_size
    if field.pending is None:
        if count is not None:
            raise UsageError(f"{entry.slug} makes something of every example, and --count means nothing to it")
        if out.exists() and not overwrite and (out.is_file() or any(out.iterdir())):
            raise UsageError(f"{out} exists; choose another name, or give --overwrite")
        return field.write(system.generate(data, **options), out)
    asked = {**dict(origin or {}), "seed": seed}
    _take(out, asked, field.clear if overwrite else None)
    return field.write(system.generate(field.pending(data, out, count), **options), out)


def _take(out: Path, asked: Mapping[str, Any], clear: Any) -> None:
    """Make a folder this order's own, if it is empty, was begun by the same order, or may be cleared.

    Raises:
        UsageError: it is none of these.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file, and what is made is written into a folder")
    path = out / ORDER
    if clear is not None and out.is_dir():
        clear(out)
    elif out.is_dir() and any(out.iterdir()):
        before = _order(path)
        if before is None:
            raise UsageError(f"{out} holds something else; choose another name, or give --overwrite")
        other = [name for name in {**before, **asked} if before.get(name) != asked.get(name)]
        if other:
            name = other[0]
            raise UsageError(
                f"{out} was begun with {name} {before.get(name)!r}, not {asked.get(name)!r}; choose another name, or "
                "give --overwrite"
            )
        return
    with atomic_write(path, "w") as file:
        json.dump(dict(asked), file, indent=1, ensure_ascii=False)


def _order(path: Path) -> dict[str, Any] | None:
    """What a folder was begun by, if it says so."""
    if not path.is_file() or path.is_symlink() or path.stat().st_size > 1 << 20:
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
