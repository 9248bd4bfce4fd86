"""Raw data in, embeddings out: the one loop that every evaluation uses."""

from __future__ import annotations

import datetime
import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning.fabric.utilities.apply_func import move_data_to_device
from torch import nn

from nearfar.evaluation import Embeddings
from nearfar.evaluation.embeddings.shards import Shards
from nearfar.sources.data import Data
from nearfar.sources.fingerprint import total
from nearfar.training.method import Method


class Written(NamedTuple):
    """How many vectors were written, and their width."""

    rows: int
    width: int


def embed(method: Method, data: Data, *, batch_size: int = 256, provenance: dict[str, str] | None = None) -> Embeddings:
    """The representations of all of ``data`` by ``method.encode``, in evaluation mode, in order, as float32.

    Examples that turn out to be unreadable are left out, with their ids and labels.
    """
    with method.frozen():
        array, kept = _rows(method, data, slice(0, len(data)), batch_size)
    labels = None if data.labels is None else data.labels[kept]
    return Embeddings(array=array, ids=data.ids[kept], labels=labels, provenance=_provenance(method, data, provenance))


def embed_to(
    method: Method,
    data: Data,
    path: Path | str,
    *,
    batch_size: int = 256,
    per_file: int = 65536,
    provenance: dict[str, str] | None = None,
    overwrite: bool = False,
    half: bool = False,
    share: tuple[int, int] = (1, 1),
) -> Written:
    """Embed ``data`` into a file (``.parquet``, ``.npz``, ``.npy``, ``.csv``, ``.faiss``) or, for any number of
    examples, into a folder.

    A folder (a ``path`` without suffix) is written file by file, so that memory does not grow with the data, and one
    that was interrupted is continued by the same call. Several processes, on one machine or on many that see the
    folder, each make a ``share`` of its files (the second of eight is ``(2, 8)``), so that every row is there once,
    whichever of them are stopped and called again. ``half`` stores float16. See
    :class:`nearfar.evaluation.embeddings.shards.Shards`.

    Raises:
        FileExistsError: the file exists, or the folder is complete or holds something else.
    """
    path = Path(path)
    if path.suffix:
        if share != (1, 1):
            raise ValueError(f"a share is of a folder's files; give a folder instead of {path.name}")
        found = embed(method, data, batch_size=batch_size, provenance=provenance)
        found.save(path, overwrite=overwrite, half=half)
        return Written(*found.array.shape)
    shards = shards_of(
        method, data, path, per_file=per_file, provenance=provenance, overwrite=overwrite, half=half, share=share
    )
    ids = data.ids  # once: of files and archives it is made anew each time
    for part in shards.missing():
        make_part(method, data, shards, part, ids, batch_size=batch_size)
    return Written(*shards.shape())


def shards_of(
    method: Method, data: Data, path: Path, *, provenance: dict[str, str] | None = None, **how: Any
) -> Shards:
    """The folder ``path`` for the vectors of ``data``, begun or gone on with; ``how`` are the arguments of
    :class:`nearfar.evaluation.embeddings.shards.Shards`."""
    origin = {"weights": digest(method.encoder), "collection": total(data), **_provenance(method, data, provenance)}
    return Shards(path, len(data), provenance=origin, **how)


def make_part(
    method: Method, data: Data, shards: Shards, part: slice, ids: np.ndarray, *, batch_size: int = 256
) -> None:
    """One of the files of ``shards``, unless it is there. ``ids`` are those of all of ``data``."""
    if shards.holds(part):
        return
    with method.frozen():
        array, kept = _rows(method, data, part, batch_size)
    try:
        shards.write(part, array, ids[kept], None if data.labels is None else data.labels[kept])
    except FileExistsError:
        if not shards.holds(part):  # which another process may have made meanwhile
            raise


def _rows(method: Method, data: Data, part: slice, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Representations of the examples in ``part``, and which rows of ``data.ids`` and ``data.labels`` they are."""
    rows: list[np.ndarray] = []
    kept: list[np.ndarray] = []
    done = part.start
    for start in range(part.start, part.stop, batch_size):
        indices = np.arange(start, min(start + batch_size, part.stop))
        output = method.encode(move_data_to_device(data.batch(indices), method.device)).float().cpu().numpy()
        # A graph is one example with many rows.
        fine = data.readable(indices) if len(output) == len(indices) else np.ones(len(output), dtype=bool)
        rows.append(output[fine])
        kept.append(done + np.flatnonzero(fine))
        done += len(output)
    return np.concatenate(rows), np.concatenate(kept)


def _provenance(method: Method, data: Data, more: dict[str, str] | None) -> dict[str, str]:
    from nearfar import __version__

    return {
        "method": type(method).__name__,
        "data": data.name,
        "nearfar": __version__,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **(more or {}),
    }


def digest(module: nn.Module) -> str:
    """Sixteen characters that tell one set of weights from another."""
    found = hashlib.sha256()
    for name, value in module.state_dict().items():
        found.update(name.encode())
        found.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()[:16]


def to_device(batch: Any, device: torch.device) -> Any:
    """A batch of any kind (tensors, named tuples, objects with ``.to``) on ``device``."""
    return move_data_to_device(batch, device)
