"""Shards that appear whole or not at all, with an index beside each; a folder of them that was interrupted goes on."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nearfar.common.files import atomic_write, remove_parts
from nearfar.sources.shards.index import write_index
from nearfar.sources.shards.places import LocalShard

__all__ = ["MANIFEST", "begin_folder", "write_shard"]

MANIFEST = "pack.json"


def begin_folder(folder: Path, wanted: Mapping[str, Any]) -> None:
    """Make a folder for shards, or find the one that was begun with the same settings.

    Args:
        folder: new, empty, or begun earlier.
        wanted: what it is to hold, as plain values.

    Raises:
        FileExistsError: it holds something else.
    """
    manifest = folder / MANIFEST
    if manifest.is_file():
        try:
            begun = json.loads(manifest.read_text())
        except ValueError:
            begun = None
        if begun != json.loads(json.dumps(wanted)):
            other = [name for name in wanted if not isinstance(begun, dict) or begun.get(name) != wanted[name]]
            raise FileExistsError(
                f"{folder} holds shards made otherwise (another {', '.join(other) or 'form'}); choose another folder"
            )
        remove_parts(folder)
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} exists and holds other things; choose another folder for the shards")
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(manifest, "w") as file:
        json.dump(wanted, file, indent=1)


def write_shard(path: Path, examples: Iterator[tuple[str, Sequence[tuple[str, bytes]]]]) -> int:
    """A tar archive of examples, equal bytes for equal examples, and its index.

    Args:
        path: of the archive.
        examples: the key of each, with the endings and contents of its members.

    Returns:
        The bytes that both take.
    """
    with atomic_write(path) as file, tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for key, members in examples:
            for ending, content in members:
                told = tarfile.TarInfo(f"{key}.{ending}")
                told.size = len(content)
                archive.addfile(told, io.BytesIO(content))
    beside = write_index(LocalShard(path, path.parent))
    return path.stat().st_size + beside.stat().st_size
