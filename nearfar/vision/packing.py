"""Folders and archives of pictures as shards that train fast: shuffled, and each made small once."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from nearfar.common.randomness import derive_seed
from nearfar.sources.fingerprint import total
from nearfar.sources.labels import known
from nearfar.sources.shards.writing import begin_folder, write_shard
from nearfar.training import Data
from nearfar.vision.data.decode import PictureError, decode, quiet
from nearfar.vision.data.deep import AS_THEY_ARE, Shown
from nearfar.vision.data.encoded import EncodedPictures
from nearfar.vision.data.rows import ParquetPictures
from nearfar.vision.data.shards import ShardedPictures

__all__ = ["Packed", "pack", "shrunk"]

TRIED = 32
"""Pictures by which the disk that shards take is foretold."""

KEPT = {b"\xff\xd8\xff": "jpg", b"\x89PNG": "png", b"WEBP": "webp"}
"""What files that may be kept as they are begin with, WEBP after eight bytes, and their endings."""


class Packed(NamedTuple):
    """What was written.

    Attributes:
        pictures, shards: how many, of all parts.
        bytes: on the disk, indexes too.
        before: bytes of the pictures that it was made from.
        skipped: pictures that could not be read.
    """

    pictures: int
    shards: int
    bytes: int
    before: int
    skipped: int


def pack(
    data: Data,
    out: Path,
    *,
    size: int = 256,
    quality: int = 90,
    per_shard: int = 4096,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
) -> Packed:
    """Write pictures into tar shards in webdataset's layout: ``KEY.jpg``, ``KEY.json`` and, with labels, ``KEY.cls``.

    Pictures are in an order drawn from ``seed``, that of an epoch of training. One whose shorter side is longer than
    ``size`` is brought to it by averaging (which is its antialiasing) and written as JPEG; a smaller JPEG, PNG or WebP
    file is kept to the byte. ``KEY.json`` says where the picture came from and its label, ``KEY.cls`` the number of the
    class among all in the order of their names. Held-out sets are shards of their own names (``train-00000.tar``,
    ``test-00000.tar``). Equal pictures and settings give equal files. A call that was interrupted goes on where it
    stopped.

    Args:
        data: pictures in files, archives or parquet that is read in place.
        out: a new folder, or one that an interrupted call began. Nothing in it is ever overwritten.
        size: the shorter side in pixels.
        quality: of JPEG, in [1, 100].
        per_shard: pictures in a shard.
        seed: of the order.
        say: gets a line about the disk it will take, and one for each shard.

    Raises:
        ValueError: pictures that do not lie in files or archives, settings out of range.
        FileExistsError: ``out`` holds something else. OSError: there is no room for it.
    """
    if not isinstance(data, EncodedPictures):
        raise ValueError(f"{data.name} is not made of picture files or archives of them, which is what can be packed")
    for name, value, least, most in (
        ("size", size, 1, 65535),
        ("quality", quality, 1, 100),
        ("per_shard", per_shard, 1, 10**9),
    ):
        if not least <= value <= most:
            raise ValueError(f"{name} must be from {least} to {most:,}, got {value}")
    held = {name: part for name, part in data.splits().items() if isinstance(part, EncodedPictures)}
    parts: dict[str, EncodedPictures] = {"train": data, **held} if held else {"": data}
    settings = {"size": size, "quality": quality, "per_shard": per_shard, "seed": seed}
    described = {name or "all": total(part) for name, part in parts.items()}
    begin_folder(out, {**settings, "pictures": described, "classes": _classes(data)})
    before = sum(map(_bytes, parts.values()))
    _check_disk(parts, out, before, size, quality, say)
    shards = written = pictures = 0
    for name, part in parts.items():
        part.skipped.keep_in(out / "skipped.tsv")
        order = part.order(np.random.default_rng(derive_seed(seed, "pack", name)))
        classes = _classes(part if part.labels is not None else data)
        for number, start in enumerate(range(0, len(order), per_shard)):
            path = out / f"{name}{'-' * bool(name)}{number:05}.tar"
            rows = order[start : start + per_shard]
            if not path.is_file():
                write_shard(path, _examples(part, rows, start, classes, size, quality))
                say(f"{path.name}: {len(rows):,} pictures, {path.stat().st_size / 1e6:,.1f} MB")
            shards += 1
            written += sum(f.stat().st_size for f in (path, path.with_name(f"{path.name}.index")) if f.is_file())
            pictures += len(rows)
    skipped = sum(len(part.skipped) for part in parts.values())
    return Packed(pictures, shards, written, before, skipped)


def shrunk(source: str | bytes, size: int, quality: int, shown: Shown = AS_THEY_ARE) -> tuple[str, bytes]:
    """A picture's ending and content with its shorter side at ``size``; of one that is not longer, as it is.

    Raises:
        PictureError: it is none, or is damaged.
    """
    content = source if isinstance(source, bytes) else _content(source)
    pixels = decode(content, least=2 * size, shown=shown)
    height, width = pixels.shape[:2]
    kept = next((ending for sign, ending in KEPT.items() if content[8 * (ending == "webp") :].startswith(sign)), None)
    if min(height, width) <= size and kept is not None:  # of its own size then: what is reduced stays larger than this
        return kept, content
    if min(height, width) > size:
        scale = size / min(height, width)
        sides = max(round(width * scale), size), max(round(height * scale), size)
        pixels = cv2.resize(np.ascontiguousarray(pixels), sides, interpolation=cv2.INTER_AREA)
    bgr = np.ascontiguousarray(pixels[..., ::-1])
    fine, found = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not fine:
        raise PictureError(f"its {width} x {height} pixels cannot be written as JPEG")
    return "jpg", found.tobytes()


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise PictureError(error.strerror or str(error)) from error


def _examples(
    part: EncodedPictures, rows: np.ndarray, start: int, classes: Sequence[str], size: int, quality: int
) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """Examples of one shard, made by as many threads as there are cores; what cannot be read is listed."""
    number = {name: position for position, name in enumerate(classes)}
    labels = part.labels
    fine = None if labels is None else known(labels)

    def make(row: int) -> tuple[str, bytes] | PictureError:
        try:
            return shrunk(part.encoded(row), size, quality, part.shown)
        except PictureError as error:
            return error

    with quiet(), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for position, (row, made) in enumerate(zip(rows, pool.map(make, map(int, rows)), strict=True)):
            if isinstance(made, PictureError):
                part.skipped.add(part.place(int(row)), str(made))
                continue
            told: dict[str, Any] = {"file": part.place(int(row))}
            members = [made]
            if labels is not None and fine is not None and fine[row]:
                told["label"] = labels[row].item()
                members.append(("cls", b"%d" % number[str(labels[row])]))
            members.append(("json", json.dumps(told, ensure_ascii=False).encode()))
            yield f"{start + position:09}", members


def _classes(data: Data) -> list[str]:
    if data.labels is None:
        return []
    return [str(name) for name in np.unique(data.labels[known(data.labels)])]


def _bytes(part: EncodedPictures) -> int:
    """What the pictures take where they are now."""
    if isinstance(part, ShardedPictures):
        return int(part.members.packed.sum())
    if isinstance(part, ParquetPictures):
        return part.total_bytes
    sources = (part.encoded(row) for row in range(len(part)))
    return sum(len(each) if isinstance(each, bytes) else os.path.getsize(each) for each in sources)


def _check_disk(
    parts: Mapping[str, EncodedPictures], out: Path, before: int, size: int, quality: int, say: Callable[[str], None]
) -> None:
    """Foretell the bytes of all shards by a few pictures, and refuse what there is no room for."""
    count = sum(map(len, parts.values()))
    some = [(part, int(row)) for part in parts.values() for row in np.linspace(0, len(part) - 1, TRIED).astype(int)]
    sizes = []
    with quiet():
        for part, row in some:
            try:
                sizes.append(len(shrunk(part.encoded(row), size, quality, part.shown)[1]) + 2048)
            except PictureError:
                continue
    needed = int(count * np.mean(sizes)) if sizes else 0
    free = shutil.disk_usage(out).free + sum(file.stat().st_size for file in out.glob("*.tar"))
    if needed > free:
        raise OSError(f"{out} has room for {free / 1e9:,.1f} GB, and the shards need about {needed / 1e9:,.1f} GB")
    say(f"{count:,} pictures of {before / 1e6:,.1f} MB will take about {needed / 1e6:,.1f} MB in {out}")
