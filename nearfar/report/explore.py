"""A table of a run's vectors that viewers open: ids, likenesses, labels, vectors, places on a map, neighbours."""

from __future__ import annotations

import importlib.util
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nearfar import workflow
from nearfar.common.files import atomic_write
from nearfar.report.embedding import Mapped, mapped
from nearfar.runs.run import Run
from nearfar.sources.data import Data
from nearfar.system import require

MOST = 5000
"""Examples in the table unless asked for more: the map of them takes about a minute."""
SIDE = 128
"""Pixels of a picture's side in the table."""

VIEWER = "embedding_atlas"


def write_table(
    path: Path | str, out: Path | None = None, *, data: Any = None, most: int = MOST
) -> tuple[Path, Mapped]:
    """Write a finished run's data as a parquet that Embedding Atlas and other viewers open.

    Columns: ``id``; ``label`` where there are labels; ``text`` and ``image`` (``bytes`` of a PNG and ``path``, as in
    the Hub's data sets) where examples are those; ``vector``; ``x`` and ``y``, a map by t-SNE; ``neighbors`` with
    ``ids`` (rows of this table, nearest first) and ``distances`` (one minus the cosine).

    Args:
        path: the run.
        out: the file; ``explore.parquet`` in the run's folder, which is replaced, when not given.
        data: other data of the run's field.
        most: examples; of more, a drawn sample.

    Raises:
        CannotError: the system does not embed. FileExistsError: ``out`` exists. ValueError: too few examples.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if out is not None and out.exists():
        raise FileExistsError(f"{out} exists; choose another name")
    if out is not None and out.suffix != ".parquet":
        raise ValueError(f"the table is a .parquet file, got {out.name!r}")
    system, method, run = workflow.load_run(path)
    require(method, "embeds", system.slug)
    collection = workflow.run_data(system, workflow.like_the_run(run, data, {}))
    found = mapped(method, collection, most=most, side=SIDE) if isinstance(collection, Data) else None
    if found is None:
        raise ValueError(
            f"{getattr(collection, 'name', 'the data')} has too few examples to look at, or none with vectors"
        )
    columns: dict[str, Any] = {"id": pa.array(found.ids)}
    if found.labels is not None:
        columns["label"] = pa.array([label or None for label in found.labels])
    if any(found.cards.texts):
        columns["text"] = pa.array(found.cards.texts)
    if found.cards.pictures is not None:
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        images = [{"bytes": _png(p), "path": f"{row}.png"} for row, p in enumerate(found.cards.pictures)]
        columns["image"] = pa.array(images, type=kind)
    columns["vector"] = pa.array([*found.vectors.astype(np.float32)], type=pa.list_(pa.float32()))
    columns["x"], columns["y"] = (pa.array(found.places[:, axis].astype(np.float32)) for axis in (0, 1))
    near = [
        {"ids": ids.tolist(), "distances": (1 - cosines).astype(float).tolist()}
        for ids, cosines in zip(found.neighbours, found.cosines, strict=True)
    ]
    columns["neighbors"] = pa.array(
        near, type=pa.struct([("ids", pa.list_(pa.int64())), ("distances", pa.list_(pa.float32()))])
    )
    memory = io.BytesIO()
    pq.write_table(pa.table(columns), memory, compression="zstd")
    target = Run.open(path).path / "explore.parquet" if out is None else out
    with atomic_write(target) as file:
        file.write(memory.getbuffer())
    return target, found


def _png(pixels: np.ndarray) -> bytes:
    memory = io.BytesIO()
    Image.fromarray(pixels).save(memory, "PNG")
    return memory.getvalue()


def viewer_installed() -> bool:
    """Whether Embedding Atlas is there."""
    return importlib.util.find_spec(VIEWER) is not None


def viewer_command(table: Path, found: Mapped) -> list[str]:
    """The process that shows a table in a browser: everything is in it, so no model is loaded and nothing computed."""
    words = [sys.executable, "-m", f"{VIEWER}.cli", str(table), "--vector", "vector"]
    words += ["--x", "x", "--y", "y", "--neighbors", "neighbors"]
    if any(found.cards.texts):
        words += ["--text", "text"]
    if found.cards.pictures is not None:
        words += ["--image", "image"]
    return words
