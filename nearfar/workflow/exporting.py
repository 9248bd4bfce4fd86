"""A finished run, written for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from nearfar import catalogue
from nearfar.exporting import FORMATS
from nearfar.runs.run import Run, RunError
from nearfar.system import Entry, imported, require
from nearfar.training import Method
from nearfar.training.door import Door
from nearfar.training.embed import to_device
from nearfar.workflow.running import like_the_run, load_run, run_data

__all__ = ["export_run", "formats"]

EXAMPLES = 4
"""How many examples an export is compared with the run on."""


def formats(field: str) -> list[str]:
    """What a run of a field can be written as, its own formats first."""
    return list(dict.fromkeys([*catalogue.field(field).exports, *FORMATS]))


def export_run(
    path: Path | str, to: str | None = None, out: Path | str | None = None, *, data: Any = None, size: int | None = None
) -> tuple[Path, str]:
    """Write a finished run as a folder that other programs open, compared with the run before it is kept.

    Args:
        path: the run's folder.
        to: one of :func:`formats`; the first of the field's own, or ``onnx``, when not given.
        out: a new folder; beside the run and named after it when not given.
        data: what the comparison is made on, read as the run's data were; those when not given.
        size: side of pictures in pixels, in place of data: the comparison is then made on noise.

    Returns:
        The folder, and the format.

    Raises:
        ValueError: the system cannot be written so; the message says why. FileExistsError: the folder is not empty.
        ImportError: a package is missing; the message names the extra. RunError: the run's data are not there.
    """
    entry, method, run = load_run(path)
    require(method, "embeds", entry.slug)
    own, known = catalogue.field(entry.field).exports, formats(entry.field)
    to = to or (known[0] if own else "onnx")
    if to not in known:
        raise ValueError(f"--to takes {', '.join(known)} for runs of the field {entry.field}, got {to!r}")
    folder = Path(out) if out is not None else run.path.with_name(f"{run.path.resolve().name}-{to}")
    if to in own:
        imported(own[to])(method, folder)
    else:
        with method.frozen():
            FORMATS[to](_door(entry, method, run, data, size), folder, _about(entry, method))
    return folder, to


def _door(entry: Entry, method: Method, run: Run, data: Any, size: int | None) -> Door:
    if size is not None:
        noise = torch.Generator().manual_seed(0)
        batch: Any = torch.randint(0, 256, (EXAMPLES, 3, size, size), dtype=torch.uint8, generator=noise)
    else:
        collection = run_data(entry, like_the_run(run, data, {}))
        if not hasattr(collection, "batch"):
            raise RunError(f"{collection.name} has no examples to compare an export on; name some with --data")
        batch = to_device(collection.batch(np.arange(min(EXAMPLES, len(collection)))), method.device)
    return method.door(batch)


def _about(entry: Entry, method: Method) -> dict[str, Any]:
    from nearfar import __version__

    named = getattr(method, "config", {}).get("encoder")
    encoder = {"encoder": named} if isinstance(named, str) else {}
    return {"made_by": f"nearfar {__version__}", "system": entry.slug, "paper": entry.paper, **encoder}
