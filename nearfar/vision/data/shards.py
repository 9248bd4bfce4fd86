"""Pictures inside of tar and zip archives, one or thousands of them, read in place."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

from nearfar.sources.order import mixed
from nearfar.sources.shards.finding import shard_contents, shards_by_part
from nearfar.sources.shards.index import Index, index_of, verdicts
from nearfar.sources.shards.members import Members, Part, part_of
from nearfar.sources.shards.places import Shard
from nearfar.sources.shards.samples import by_key, label_in
from nearfar.sources.skipped import BadDataError, Skipped, plain
from nearfar.sources.tables import labels_of
from nearfar.training import Data
from nearfar.vision.data.decode import PictureError, decode, quiet, why_unreadable
from nearfar.vision.data.deep import AS_THEY_ARE, Shown
from nearfar.vision.data.encoded import EncodedPictures
from nearfar.vision.data.folder import SUFFIXES, passed_over

__all__ = ["ShardedPictures", "in_parts", "picture_in"]

Also = Callable[[Index, Mapping[str, int]], Any]

ENDINGS = tuple(suffix[1:] for suffix in SUFFIXES)


class ShardedPictures(EncodedPictures):
    """Pictures inside of tar and zip archives, decoded when they are needed and never unpacked.

    Where each lies is read once and kept (:mod:`nearfar.sources.shards.index`), so that any picture is read without
    those before it: epochs are in an order drawn from all of them, and a run resumes anywhere.

    Members that differ only in what follows the first dot of their names are one example, as webdataset has it:
    ``000.jpg``, ``000.cls``, ``000.json``. Its picture is the member that ends in the suffix of a picture and nothing
    before it; where all have more before it (``000.left.jpg``, ``photo.2024.jpg``) each is an example of its own, and
    ``image`` names one kind. Its label is what its ``.json`` says under ``label``, ``class``, ``category`` or
    ``target``, or what its ``.cls`` holds. Where no example has one, labels are the folders that hold the pictures
    inside of the archives, if there are two or more.

    **Unreadable members** are left out and listed, as those of :class:`~nearfar.vision.data.ImageFolder` are: kind,
    header, size and end of every picture are looked at when a shard is seen for the first time. Damage to an archive
    itself loses the members around it alone.

    Args:
        shards: where they lie; at least one.
        size: side of the squares, and of views whose recipe names no size, in pixels.
        name: what to call the set.
        image: the ending of the pictures (``left.jpg``), where examples have several.
        mix: shards whose pictures are mixed at a time in an epoch's order; 0 for all.
        splits: held-out sets by name.
        strict: the first unreadable picture is an error.
        max_bad: largest share of unreadable pictures, in [0, 1]; more are an error.
        verify: decode every picture when a shard is seen for the first time.
        folder: name of the part, such as ``train``, where several have one list of what was left out.
        shown: the window and the bands of pictures that are not three colours of 8 bits.
        also: what to keep of each example besides, from the shard's index and the positions of its members by their
            endings; in :attr:`kept`.

    Raises:
        ValueError: no archive, no picture in them. OSError: a shard cannot be had.
        BadDataError: ``strict`` or ``max_bad`` does not allow what was found, here or while training.
    """

    def __init__(
        self,
        shards: Sequence[Shard],
        size: int = 96,
        *,
        name: str = "shards",
        image: str | None = None,
        mix: int = 0,
        splits: Mapping[str, Data] | None = None,
        strict: bool = False,
        max_bad: float = 0.1,
        verify: bool = False,
        folder: str = "",
        shown: Shown = AS_THEY_ARE,
        also: Also | None = None,
    ) -> None:
        if size < 1 or mix < 0:
            raise ValueError(f"size must be at least 1 pixel and mix at least 0 shards, got {size} and {mix}")
        self.size, self.name, self.mix, self.shown = size, name, mix, shown
        self._splits = dict(splits or {})
        with ThreadPoolExecutor(min(8, 2 * (os.cpu_count() or 1))) as pool:
            found = [*pool.map(lambda shard: _look(shard, image, verify, shown, also), shards)]
        self.members = Members(shards, [each.part for each in found])
        bad = [pair for each in found for pair in each.bad]
        self.skipped = Skipped(
            len(self.members) + len(bad), strict=strict, max_bad=max_bad, kind="pictures", folder=folder
        )
        if not len(self.members):
            first = f", the first: {': '.join(bad[0])}" if bad else ""
            raise ValueError(f"{name} holds no readable picture in {len(shards):,} archives{first}")
        self.skipped.set_aside(bad, plain(name))
        self.labels = _labels(found)
        self.kept = [value for each in found for value in each.kept]

    def __len__(self) -> int:
        return len(self.members)

    def order(self, rng: np.random.Generator) -> np.ndarray:
        """Every picture once; of ``mix`` shards at a time, see :func:`nearfar.sources.order.mixed`."""
        return mixed(self.members.shard, self.mix, rng)

    def encoded(self, row: int) -> bytes:
        try:
            return self.members.read(row)
        except ValueError as error:
            raise PictureError(str(error)) from error
        except OSError as error:  # not the picture's fault: the run stops, and resumes when the shard is there again
            raise BadDataError(f"{self.place(row)} cannot be read: {error}") from error

    def place(self, row: int) -> str:
        return self.members.place(row)

    @property
    def ids(self) -> np.ndarray:
        return np.array([self.place(row) for row in range(len(self))])

    def splits(self) -> Mapping[str, Data]:
        return self._splits

    def contents(self) -> Mapping[str, str]:
        return shard_contents(self.members.shards)


class _Found(NamedTuple):
    """The pictures of one shard, what each is labelled, the folder that it is in, what else is kept of it, and what
    was left out."""

    part: Part
    labels: list[str | None]
    folders: list[str]
    kept: list[Any]
    bad: list[tuple[str, str]]


def in_parts(shards: Sequence[Shard], name: str, size: int, **options: Any) -> ShardedPictures:
    """Shards as a collection, those named ``test`` and so on held out; see :mod:`nearfar.sources.splits`.

    Args:
        shards: where they lie. name: of the collection.
        size: see :class:`ShardedPictures`. options: its other arguments.
    """
    parts = shards_by_part(shards, name)
    held = {
        part: ShardedPictures(of, size, name=f"{name}, {part}", folder=part, **options)
        for part, of in parts.items()
        if part != "train"
    }
    folder = "train" if held else ""
    return ShardedPictures(parts["train"], size, name=name, folder=folder, splits=held, **options)


def picture_in(parts: Mapping[str, int], image: str | None = None) -> list[int]:
    """Which members of an example are pictures to learn from, by their endings; one, unless none has a plain name."""
    if image is not None:
        return [parts[image]] if image in parts else []
    plainly = [row for ending, row in parts.items() if ending in ENDINGS]
    return plainly[:1] or [row for ending, row in parts.items() if ending.rpartition(".")[2] in ENDINGS]


def _look(shard: Shard, image: str | None, verify: bool, shown: Shown, also: Also | None) -> _Found:
    index = index_of(shard)
    wanted = image.lower().lstrip(".") if image else None
    rows, labels, folders, kept = [], [], [], []
    for key, parts in by_key(index).items():
        folder = key.rpartition("/")[0]
        if any(passed_over(part) for part in folder.split("/")) or key.rpartition("/")[2].startswith("."):
            continue
        label = label_in(index, parts)
        for row in picture_in(parts, wanted):
            rows.append(row)
            labels.append(label)
            folders.append(plain(folder) or ".")
            if also is not None:
                kept.append(also(index, parts))
    members = Members([shard], [part_of(index, rows)])

    def judge() -> list[tuple[str, str]]:
        with quiet():
            pairs = ((members.name(row), _why(members, row, verify, shown)) for row in range(len(rows)))
            return [(name, reason) for name, reason in pairs if reason]

    # What nearfar packed it has decoded; a shard from elsewhere is then not fetched before it is needed.
    fine_before = not verify and index.beside
    wrong = {} if fine_before else dict(verdicts(shard, _judged(verify, shown), judge))
    fine = [place for place, row in enumerate(rows) if index.names[row] not in wrong]
    bad = [(f"{shard.name}/{plain(name)}", reason) for name, reason in (*_of_pictures(index), *wrong.items())]
    return _Found(
        part_of(index, [rows[place] for place in fine]),
        [labels[place] for place in fine],
        [folders[place] for place in fine],
        [kept[place] for place in fine] if also is not None else [],
        bad,
    )


def _of_pictures(index: Index) -> list[tuple[str, str]]:
    """What of an archive cannot be used, but for texts beside pictures."""
    return [(place, reason) for place, reason in index.bad if not place.lower().endswith((".txt", ".json", ".caption"))]


def _judged(verify: bool, shown: Shown) -> str:
    """How pictures are judged, in a word: what bands are wanted, and what is installed, decides which can be used."""
    asked = [] if shown.bands is None else ["bands", *map(str, shown.bands)]
    there = [name for name in ("pydicom", "tifffile", "pillow_heif") if find_spec(name) is not None]
    return "-".join(["decoded" if verify else "looked-at", *asked, *there])


def _why(members: Members, row: int, verify: bool, shown: Shown) -> str:
    try:
        content = members.read(row)
        if verify:
            decode(content, shown=shown)
            return ""
        return why_unreadable(content, shown)
    except (PictureError, ValueError) as error:
        return str(error)


def _labels(found: Sequence[_Found]) -> np.ndarray | None:
    told = [label for each in found for label in each.labels]
    if any(label is not None for label in told):
        return labels_of(["" if label is None else label for label in told])
    folders = [folder for each in found for folder in each.folders]
    return np.array(folders) if len(set(folders)) > 1 else None
