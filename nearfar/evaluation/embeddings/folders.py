"""Folders of parquet files that are one set of embeddings: what they hold, and all of it read into one array."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

MANIFEST = "embeddings.json"


def manifest_of(folder: Path) -> dict[str, Any] | None:
    """What a folder is to hold; ``None`` where it does not say."""
    path = folder / MANIFEST
    return json.loads(path.read_text()) if path.is_file() else None


def count_files(examples: int, per_file: int) -> int:
    """Files of so many examples each, the last of fewer."""
    return -(-examples // per_file)


def read_folder(folder: Path, read: Callable[[Path], Any]) -> dict[str, Any]:
    """Everything that a folder of :class:`nearfar.evaluation.embeddings.shards.Shards` holds, file by file.

    Args:
        folder: with ``embeddings.json`` and the files that it names.
        read: a file to something with ``array``, ``ids`` and ``labels``.

    Returns:
        ``array``, ``ids``, ``labels`` (``None`` where a file has none) and ``provenance``.

    Raises:
        ValueError: it is no such folder, or not complete.
    """
    import pyarrow.parquet as pq

    manifest = manifest_of(folder)
    if manifest is None:
        raise ValueError(f"{folder} is not a folder of embeddings: it has no {MANIFEST}")
    paths = sorted(folder.glob("part-*.parquet"))
    wanted = count_files(manifest["examples"], manifest["per_file"])
    if len(paths) != wanted:
        raise ValueError(f"{folder} holds {len(paths)} of {wanted} files; go on with the command that began it")
    rows = sum(pq.ParquetFile(path).metadata.num_rows for path in paths)
    array = np.empty((0, 0), np.float32)
    ids: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    done = 0
    for path in paths:
        part = read(path)
        if done == 0:
            array = np.empty((rows, part.array.shape[1]), np.float32)
        array[done : done + len(part.array)] = part.array
        done += len(part.array)
        ids.append(part.ids)
        if part.labels is not None:
            labels.append(part.labels)
    known = np.concatenate(labels) if len(labels) == len(paths) else None
    return {"array": array, "ids": np.concatenate(ids), "labels": known, "provenance": manifest["provenance"]}
