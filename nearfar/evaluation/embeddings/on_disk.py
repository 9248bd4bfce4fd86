"""Searching more vectors than memory holds: a folder of parquet files, exactly or through an inverted index on disk."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.common.extras import needed
from nearfar.evaluation._arrays import unit_rows
from nearfar.evaluation.embeddings.index import PROBED, TRAINED_ON
from nearfar.evaluation.embeddings.table import Embeddings

DESCRIPTION = "index.json"
AT_ONCE = 65_536
"""Rows that are held in memory together."""


class Vectors:
    """The parquet files of vectors in a folder, or one such file, read a part at a time.

    Attributes:
        files: their paths, in order.
        counts: rows of each.
    """

    def __init__(self, place: Path | str) -> None:
        import pyarrow.parquet as pq

        place = Path(place)
        self.files = sorted(place.glob("*.parquet")) if place.is_dir() else [place]
        if not self.files or not self.files[0].is_file():
            raise FileNotFoundError(f"there are no parquet files of vectors at {place}")
        self.counts = [pq.ParquetFile(path).metadata.num_rows for path in self.files]

    def __len__(self) -> int:
        return sum(self.counts)

    def parts(self) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """First row, directions (n, D) and ids (n,) of every part, in order."""
        first = 0
        for path in self.files:
            found = Embeddings.load(path)
            for start in range(0, len(found), AT_ONCE):
                rows = found.array[start : start + AT_ONCE]
                yield first + start, _directions(rows), found.ids[start : start + AT_ONCE]
            first += len(found)

    def ids(self, rows: np.ndarray) -> np.ndarray:
        """The ids of some rows, reading the files that hold them."""
        import pyarrow.parquet as pq

        found = np.empty(rows.shape, dtype=object)
        found[rows < 0] = ""
        first = 0
        for path, count in zip(self.files, self.counts, strict=True):
            here = (rows >= first) & (rows < first + count)
            if here.any():
                table = pq.read_table(path, columns=["id"] if "id" in pq.read_schema(path).names else [])
                names = table["id"].to_pylist() if table.num_columns else [*range(first, first + count)]
                found[here] = [names[row - first] for row in rows[here]]
            first += count
        return found

    def sample(self, count: int, seed: int = 0) -> np.ndarray:
        """Directions of some rows, as many of every file as it has of all, so that no more than one is in memory."""
        rng, kept = np.random.default_rng(seed), []
        for path in self.files:
            array = Embeddings.load(path).array
            some = min(max(round(count * len(array) / len(self)), 1), len(array))
            kept.append(_directions(array[np.sort(rng.choice(len(array), some, replace=False))]))
        return np.concatenate(kept)

    def described(self) -> list[list[Any]]:
        """What tells these files from others: names, rows and bytes."""
        return [[path.name, n, path.stat().st_size] for path, n in zip(self.files, self.counts, strict=True)]


def exact(vectors: Vectors, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The ``k`` largest cosines (M, k) of every query, descending, and their rows, by one passage over all files."""
    from nearfar.evaluation.probing._search import search

    wanted = _directions(queries)
    values = np.full((len(wanted), 0), -np.inf, np.float32)
    rows = np.full((len(wanted), 0), -1, np.int64)
    for first, part, _ in vectors.parts():
        new, at = search(wanted, part, min(k, len(part)), exclude_self=False)
        values, rows = np.hstack([values, new]), np.hstack([rows, at + first])
        best = np.argsort(-values, axis=1, kind="stable")[:, :k]
        values, rows = np.take_along_axis(values, best, 1), np.take_along_axis(rows, best, 1)
    return values, rows


class Inverted:
    """An inverted index on disk: of every query only the lists nearest to it are read.

    Args:
        folder: where it is, made by :meth:`build`.
        probe: lists that a search looks into, at least 1; more find more and take longer.

    Raises:
        FileNotFoundError: there is none. ImportError: without faiss.
    """

    def __init__(self, folder: Path | str, probe: int = PROBED) -> None:
        if probe < 1:
            raise ValueError(f"probe must be at least 1, got {probe}")
        faiss = _faiss()
        self.folder = Path(folder)
        if not (self.folder / DESCRIPTION).is_file():
            raise FileNotFoundError(f"there is no index of vectors in {self.folder}")
        self.described: dict[str, Any] = json.loads((self.folder / DESCRIPTION).read_text())
        self._index = faiss.read_index(str(self.folder / "index.faiss"), faiss.IO_FLAG_ONDISK_SAME_DIR)
        self._index.nprobe = min(probe, self._index.nlist)

    @classmethod
    def build(cls, vectors: Vectors, folder: Path | str, *, lists: int | None = None, seed: int = 0) -> Path:
        """Divide all vectors into lists by k-means, on disk; the folder appears whole or not at all.

        Memory is that of one file of vectors, of the vectors that the lists are found by (64 for each) and of nothing
        more. The folder needs the disk of the vectors in float32, and as much again while it is made.

        Args:
            vectors: what to search.
            folder: new.
            lists: how many; four times the root of the number of vectors when not given.
            seed: of the vectors by which lists are found.

        Raises:
            FileExistsError: there is something in the folder. ValueError: more lists than vectors.
        """
        faiss, ondisk = _faiss(), needed("faiss.contrib.ondisk", "search", "an index on disk")
        folder = Path(folder)
        if folder.exists():
            raise FileExistsError(f"{folder} exists; choose another name, or remove it")
        number = lists or min(max(4 * int(math.sqrt(len(vectors))), 1), len(vectors))
        if not 1 <= number <= len(vectors):
            raise ValueError(f"lists must be from 1 to the {len(vectors)} vectors there are, got {number}")
        making = folder.with_name(f".{folder.name}.part")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        try:
            sample = vectors.sample(min(TRAINED_ON * number, len(vectors)), seed)
            if len(sample) < number:
                raise ValueError(f"lists must be at most the {len(sample)} vectors they are found by, got {number}")
            trained: Any = faiss.index_factory(sample.shape[1], f"IVF{number},Flat", faiss.METRIC_INNER_PRODUCT)
            trained.train(sample)
            blocks: list[str] = []
            empty = faiss.serialize_index(trained)
            for first, part, _ in vectors.parts():
                block: Any = faiss.deserialize_index(empty)
                block.add_with_ids(part, np.arange(first, first + len(part), dtype=np.int64))
                blocks.append(str(making / f"block-{len(blocks):06d}"))
                faiss.write_index(block, blocks[-1])
            ondisk.merge_ondisk(trained, blocks, str(making / "lists.ivfdata"))
            faiss.write_index(trained, str(making / "index.faiss"))
            for block in blocks:
                Path(block).unlink()
            described = {"lists": number, "files": vectors.described(), "rows": len(vectors), "width": sample.shape[1]}
            (making / DESCRIPTION).write_text(json.dumps(described, indent=2) + "\n")
            making.rename(folder)
        finally:
            shutil.rmtree(making, ignore_errors=True)
        return folder

    def fits(self, vectors: Vectors) -> bool:
        """Whether it is of these vectors."""
        return bool(self.described["files"] == vectors.described())

    def nearest(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The ``k`` largest cosines (M, k) that were found for every query, descending, and their rows; row -1 where
        the lists that were looked into hold fewer."""
        values, rows = self._index.search(_directions(queries), k)
        return values, rows


def recall(found: np.ndarray, true: np.ndarray) -> float:
    """Share of the true rows (M, k) that were found (M, k), in [0, 1]."""
    return float(np.mean([len({*a.tolist()} & {*b.tolist()}) / len(b) for a, b in zip(found, true, strict=True)]))


def _directions(array: np.ndarray) -> np.ndarray:
    rows = np.ascontiguousarray(unit_rows(np.asarray(array, np.float32)), dtype=np.float32)
    if not np.isfinite(rows).all():
        raise ValueError("vectors that are NaN or infinite cannot be searched")
    return rows


def _faiss() -> Any:
    return needed("faiss", "search", "an index on disk")


__all__: Sequence[str] = ["Inverted", "Vectors", "exact", "recall"]
