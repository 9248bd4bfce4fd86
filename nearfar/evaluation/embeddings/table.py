"""Embeddings with what they belong to and where they come from, in memory and in a file."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from nearfar.common.files import part_of
from nearfar.evaluation._arrays import to_numpy, unit_rows
from nearfar.evaluation.embeddings.folders import read_folder

_METADATA = b"nearfar"
SUFFIXES = (".parquet", ".npz", ".npy", ".csv", ".faiss")


@dataclass(frozen=True, eq=False)
class Embeddings:
    """N embedded examples.

    Attributes:
        array: (N, D) float32. Values are stored as they are, NaN included; every measure rejects those.
        ids: (N,) strings or integers, one per row.
        labels: (N,) strings or numbers, or ``None``.
        provenance: what the numbers can be traced back to, usually ``method``, ``run``, ``data``, ``version``
            and ``created``.

    Files: ``.parquet`` holds columns ``id``, ``label`` and ``embedding`` (fixed-size list of float32, or of float16),
    readable by any data frame or vector database; ``.npz`` holds the same for NumPy alone, without pickles.

    Raises:
        ValueError: no rows, not two-dimensional, or lengths that differ.
    """

    array: np.ndarray
    ids: np.ndarray
    labels: np.ndarray | None = None
    provenance: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        array = to_numpy(self.array, "array")
        if array.ndim != 2 or array.size == 0 or array.dtype.kind not in "biuf":
            raise ValueError(
                f"array must be numbers of shape (rows, features) with at least one of each, "
                f"got {array.dtype} of shape {array.shape}"
            )
        object.__setattr__(self, "array", np.ascontiguousarray(array, dtype=np.float32))
        object.__setattr__(self, "ids", self._column(self.ids, "ids", "iuU"))
        if self.labels is not None:
            object.__setattr__(self, "labels", self._column(self.labels, "labels", "biufU"))
        object.__setattr__(self, "provenance", {str(k): str(v) for k, v in self.provenance.items()})

    def _column(self, values: Any, name: str, kinds: str) -> np.ndarray:
        column = to_numpy(values, name)
        if column.shape != (len(self.array),):
            raise ValueError(
                f"{name} must have one entry for each of the {len(self.array)} rows, got shape {column.shape}"
            )
        if column.dtype.kind not in kinds:
            raise ValueError(
                f"{name} must be strings or {'integers' if name == 'ids' else 'numbers'}, got dtype {column.dtype}"
            )
        return column

    def __len__(self) -> int:
        return len(self.array)

    def normalized(self) -> Embeddings:
        """The same rows divided by their L2 norm (rows of zeros stay zero)."""
        return replace(self, array=unit_rows(self.array))

    def select(self, indices: Any) -> Embeddings:
        """The rows at ``indices`` (integers, in that order) or where ``indices`` (N booleans) is true."""
        chosen = to_numpy(indices, "indices")
        if chosen.ndim != 1 or chosen.dtype.kind not in "biu":
            raise ValueError(f"indices must be 1-d integers or booleans, got {chosen.dtype} of shape {chosen.shape}")
        labels = None if self.labels is None else self.labels[chosen]
        return replace(self, array=self.array[chosen], ids=self.ids[chosen], labels=labels)

    def save(self, path: str | Path, *, overwrite: bool = False, half: bool = False) -> Path:
        """Write to ``path``; the file appears whole or not at all.

        ``.parquet`` and ``.npz`` hold everything; ``.npy`` the vectors alone, for any other program; ``.csv`` a line
        each with ``id``, ``label`` (where known) and one column per dimension; ``.faiss`` an index of the directions
        (:func:`nearfar.evaluation.embeddings.index.written_index`), whose numbers are rows. The last three are not read
        back.

        Args:
            path: of the file.
            overwrite: replace one that is there.
            half: values as float16 in ``.parquet``, ``.npz`` and ``.npy``: half the bytes, three decimal digits.

        Raises:
            FileExistsError: ``path`` exists and ``overwrite`` is false.
            ValueError: another suffix; ``half`` with values beyond 65,504, or for a file of another kind.
        """
        path = check_place(path, overwrite=overwrite, half=half)
        write = {
            ".parquet": lambda file: self._write_parquet(file, half),
            ".npz": lambda file: self._write_npz(file, half),
            ".npy": lambda file: np.save(file, self._values(half)),
            ".csv": self._write_csv,
            ".faiss": self._write_faiss,
        }[path.suffix.lower()]
        with appearing(path, overwrite) as file:
            write(file)
        return path

    def _values(self, half: bool) -> np.ndarray:
        if not half:
            return self.array
        most = float(np.abs(self.array).max(initial=0.0, where=np.isfinite(self.array)))
        if most > float(np.finfo(np.float16).max):
            raise ValueError(f"values reach {most:g}, and float16 holds up to 65,504; leave half out")
        return self.array.astype(np.float16)

    def _write_faiss(self, file: IO[bytes]) -> None:
        from nearfar.evaluation.embeddings.index import written_index

        file.write(written_index(self.array))

    def _write_csv(self, file: IO[bytes]) -> None:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        writer = csv.writer(text)
        label = [] if self.labels is None else ["label"]
        writer.writerow(["id", *label, *range(self.array.shape[1])])
        for row in range(len(self)):
            named = [] if self.labels is None else [self.labels[row]]
            writer.writerow([self.ids[row], *named, *self.array[row].tolist()])
        text.detach()

    @classmethod
    def load(cls, path: str | Path) -> Embeddings:
        """Read what :meth:`save` wrote, or a folder of :class:`nearfar.evaluation.embeddings.shards.Shards`, or any
        parquet file with an ``embedding`` column of lists.

        Without an ``id`` column rows are numbered from 0. Nothing in a file is ever executed.

        Raises:
            FileNotFoundError: no such file.
            ValueError: another suffix, or content that is not embeddings.
        """
        path = Path(path)
        if path.is_dir():
            return cls(**read_folder(path, cls.load))
        read = {".parquet": _read_parquet, ".npz": _read_npz}.get(path.suffix.lower())
        if read is None:
            raise _unknown_suffix(path)
        if not path.is_file():
            raise FileNotFoundError(f"no embeddings at {path}")
        return cls(**read(path))

    def _write_npz(self, file: IO[bytes], half: bool) -> None:
        labels: dict[str, Any] = {} if self.labels is None else {"label": self.labels}
        provenance = np.array(json.dumps(self.provenance))
        np.savez(file, embedding=self._values(half), id=self.ids, **labels, provenance=provenance)

    def _write_parquet(self, file: IO[bytes], half: bool) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        vectors = pa.FixedSizeListArray.from_arrays(pa.array(self._values(half).ravel()), self.array.shape[1])
        columns = {"id": pa.array(self.ids)}
        if self.labels is not None:
            columns["label"] = pa.array(self.labels)
        table = pa.table({**columns, "embedding": vectors})
        metadata = {_METADATA: json.dumps({"provenance": self.provenance}).encode()}
        pq.write_table(table.replace_schema_metadata(metadata), file)


def check_place(path: str | Path, *, overwrite: bool, half: bool = False) -> Path:
    """Refuse a place that :meth:`Embeddings.save` could not write, before anything is computed."""
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise _unknown_suffix(path)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; choose another name or pass overwrite=True")
    if half and path.suffix.lower() in (".csv", ".faiss"):
        raise ValueError(f"half is for .parquet, .npz and .npy files, got {path.name!r}")
    return path


def _unknown_suffix(path: Path) -> ValueError:
    return ValueError(
        f"embeddings are stored as .parquet, .npz, .npy, .csv or .faiss, and read as the first two; got {path.name!r}"
    )


def _read_npz(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as archive:
        if "embedding" not in archive:
            raise ValueError(f"{path} holds no 'embedding' array, only {sorted(archive.files)}")
        array = archive["embedding"]
        return {
            "array": array,
            "ids": archive.get("id", np.arange(len(array))),
            "labels": archive.get("label"),
            "provenance": json.loads(str(archive["provenance"])) if "provenance" in archive else {},
        }


def _read_parquet(path: Path) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    if "embedding" not in table.column_names:
        raise ValueError(f"{path} holds no 'embedding' column, only {table.column_names}")
    column = table["embedding"]
    if not (pa.types.is_fixed_size_list(column.type) or pa.types.is_list(column.type)):
        raise ValueError(f"the 'embedding' column of {path} must hold lists of numbers, got {column.type}")
    widths = pc.unique(pc.list_value_length(column)).to_pylist()
    if len(widths) != 1 or widths[0] is None:
        raise ValueError(f"the embeddings of {path} must all have one length, got {widths[:5]}")
    values = pc.list_flatten(column).to_numpy().reshape(len(table), widths[0])
    header = json.loads((table.schema.metadata or {}).get(_METADATA, b"{}"))
    return {
        "array": values,
        "ids": _plain(table["id"]) if "id" in table.column_names else np.arange(len(table)),
        "labels": _plain(table["label"]) if "label" in table.column_names else None,
        "provenance": header.get("provenance", {}),
    }


def _plain(column: Any) -> np.ndarray:
    values = column.to_numpy()
    return values.astype(str) if values.dtype == object else values


@contextlib.contextmanager
def appearing(path: Path, overwrite: bool) -> Iterator[IO[bytes]]:
    """A temporary file beside ``path`` that takes its place when the block ends well."""
    with part_of(path) as (handle, temporary):
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            os.replace(temporary, path)
        else:
            _place(temporary, path)


def _place(temporary: str, path: Path) -> None:
    """Rename without replacing a file that appeared meanwhile, where the file system can."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise FileExistsError(f"{path} appeared while it was being written; it was left as it is") from None
    except OSError:  # no hard links here
        os.replace(temporary, path)
