"""Embeddings of any number of examples: a folder of parquet files, written one by one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.evaluation.embeddings.folders import MANIFEST, count_files, manifest_of
from nearfar.evaluation.embeddings.table import Embeddings, appearing

# Written anew by every attempt, so no sign of other content.
_PASSING = ("created",)


class Shards:
    """A folder with ``embeddings.json`` (what it is to hold) and ``part-000000.parquet``, ``part-000001.parquet``, ...

    Every file is an ordinary parquet file of embeddings and appears whole or not at all, so that a job that was
    interrupted goes on after the last one. Read the folder with :meth:`Embeddings.load`, or with anything that reads
    folders of parquet files.

    Args:
        folder: new, empty, or begun earlier with the same arguments.
        examples: how many examples it is made from, at least 1. An example that could not be read has no row.
        per_file: how many examples go into each file, but for the last; at least 1.
        provenance: as in :class:`Embeddings`.
        overwrite: replace what the folder holds, if that is embeddings.
        half: values as float16; see :meth:`Embeddings.save`.
        share: which of how many processes this is, from 1, each of which makes its own files of the folder; any that
            was interrupted is called again.

    Raises:
        FileExistsError: the folder holds something else, or is complete.
        ValueError: no examples; a share that is none.
    """

    def __init__(
        self,
        folder: str | Path,
        examples: int,
        *,
        per_file: int = 65536,
        provenance: dict[str, str] | None = None,
        overwrite: bool = False,
        half: bool = False,
        share: tuple[int, int] = (1, 1),
    ) -> None:
        if not 1 <= share[0] <= share[1]:
            raise ValueError(f"a share is 1 of 1, 2 of 8 and so on, got {share[0]} of {share[1]}")
        if overwrite and share[1] > 1:
            raise ValueError("one of several processes overwrites nothing that another makes; remove the folder first")
        if examples < 1 or per_file < 1:
            raise ValueError(f"examples and per_file must be at least 1, got {examples} and {per_file}")
        self.folder = Path(folder)
        self.examples, self.per_file, self.half, self.share = examples, per_file, half, share
        self.provenance = {str(k): str(v) for k, v in (provenance or {}).items()}
        wanted: dict[str, Any] = {"examples": examples, "per_file": per_file, "provenance": self.provenance}
        wanted |= {"half": True} if half else {}
        if overwrite:
            self._clear()
        begun = manifest_of(self.folder) if self.folder.is_dir() else None
        if begun is None:
            # What another process is just writing has a name with a dot before it.
            if self.folder.exists() and (
                not self.folder.is_dir() or any(not path.name.startswith(".") for path in self.folder.iterdir())
            ):
                raise FileExistsError(f"{self.folder} exists and is not a folder of embeddings; choose another name")
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                with appearing(self.folder / MANIFEST, overwrite=False) as file:
                    file.write(json.dumps(wanted, indent=2).encode())
                return
            except FileExistsError:  # another process with a share of its own began it meanwhile
                begun = manifest_of(self.folder) or {"provenance": {}}
        if _lasting(begun) != _lasting(wanted):
            raise FileExistsError(
                f"{self.folder} holds other embeddings, or part of them{_differing(begun, wanted)}; choose another "
                "name or pass overwrite=True"
            )
        # A share of more processes than there are files may have none to make, and is done.
        if share[0] <= count_files(examples, per_file) and not [*self.missing()]:
            mine = "" if share == (1, 1) else f" in what share {share[0]} of {share[1]} makes"
            raise FileExistsError(f"{self.folder} is complete{mine}; choose another name or pass overwrite=True")

    def missing(self) -> Iterator[slice]:
        """The examples of every file of this share that is not there yet, in order."""
        for number in range(self.share[0] - 1, count_files(self.examples, self.per_file), self.share[1]):
            if not self._path(number).is_file():
                start = number * self.per_file
                yield slice(start, min(start + self.per_file, self.examples))

    def holds(self, part: slice) -> bool:
        """Whether the file of one of the slices of :meth:`missing` is there by now."""
        return self._path(part.start // self.per_file).is_file()

    def write(self, part: slice, array: np.ndarray, ids: np.ndarray, labels: np.ndarray | None) -> Path:
        """The file of one of the slices of :meth:`missing`."""
        made = Embeddings(array, ids, labels, self.provenance)
        return made.save(self._path(part.start // self.per_file), half=self.half)

    def shape(self) -> tuple[int, int]:
        """Rows and width of all files, from their headers."""
        import pyarrow.parquet as pq

        headers = [pq.ParquetFile(path) for path in sorted(self.folder.glob("part-*.parquet"))]
        if not headers:  # a share without files, where there are fewer files than processes
            return 0, 0
        width = headers[0].schema_arrow.field("embedding").type.list_size
        return sum(header.metadata.num_rows for header in headers), int(width)

    def _path(self, number: int) -> Path:
        return self.folder / f"part-{number:06d}.parquet"

    def _clear(self) -> None:
        if self.folder.is_dir() and (self.folder / MANIFEST).is_file():
            for path in (*self.folder.glob("part-*.parquet"), self.folder / MANIFEST):
                path.unlink()


def _differing(begun: dict[str, Any], wanted: dict[str, Any]) -> str:
    """What the embeddings that are there were made of and these are not, in words."""
    kinds = {"collection": "data that has changed since", "weights": "other weights", "data": "other data"}
    then, now = begun["provenance"], wanted["provenance"]
    found = [words for name, words in kinds.items() if then.get(name) != now.get(name)]
    return f" (of {', '.join(found)})" if found else ""


def _lasting(manifest: dict[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in manifest["provenance"].items() if k not in _PASSING}
    return {**manifest, "provenance": kept}
