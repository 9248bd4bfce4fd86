"""Folders of pictures of any size and mode."""

from __future__ import annotations

import os
import stat
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path

import numpy as np

from nearfar.sources.fingerprint import file_contents
from nearfar.sources.skipped import Skipped, plain
from nearfar.training import Data
from nearfar.vision.data.decode import (
    FORMATS,
    GZIP,
    HEAD,
    PictureError,
    decode,
    is_heic,
    quiet,
    square,
    to_square,
    why_unreadable,
)
from nearfar.vision.data.deep import AS_THEY_ARE, Shown, Watched
from nearfar.vision.data.encoded import EncodedPictures
from nearfar.vision.data.scans import is_dicom

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pnm"),
    *((".avif",) if "AVIF" in FORMATS else ()),
    *(".heic", ".heif", ".hif", ".dcm", ".dicom", ".ima"),
)
# Files that lie beside pictures and are none; of others that are passed over people are told.
BESIDE = (
    *(
        ".txt",
        ".md",
        ".csv",
        ".tsv",
        ".json",
        ".jsonl",
        ".xml",
        ".yaml",
        ".yml",
        ".html",
        ".htm",
        ".db",
        ".ini",
        ".log",
    ),
    *(".xmp", ".aae", ".thm", ".pdf", ".py", ".ipynb", ".sh", ".zip", ".gz", ".tar", ".lock", ".part", ".mat", ".url"),
    *(".ini", ".pkl", ".npy", ".npz", ".h5", ".cfg", ".toml", ".license", ""),
)
# What notebooks, file managers and network disks leave among pictures, besides hidden folders.
LEFT_BY_TOOLS = ("@eadir", "__macosx", "#recycle", "$recycle.bin", "lost+found", "system volume information")
# Files looked at by one thread at a time.
CHUNK = 512
# Formats of 8 bits and no more, and how many of the others are decoded to say what values they hold.
EIGHT_BITS = (".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".avif", ".heic", ".heif", ".hif")
LOOKED_AT = 8
# Kinds of files whose content is told by other bytes than that of the rest.
SPECIAL = dict.fromkeys((".heic", ".heif", ".hif"), is_heic) | dict.fromkeys((".dcm", ".dicom", ".ima"), is_dicom)


class ImageFolder(EncodedPictures):
    """Pictures below a folder, decoded when they are needed.

    Each picture is turned upright (EXIF) and made RGB (transparent areas become white, palettes and CMYK are
    converted, more than 8 bits by ``shown``, the first frame of an animation is taken). Training crops are drawn from
    the whole picture (:meth:`training_batch`); evaluation and embedding see its central square at ``size``
    (:meth:`batch`).

    Labels are the names of the folders that directly hold the pictures, when there are at least two such
    folders; otherwise there are none.

    **Unreadable files.** At the start every file's kind, header, claimed size and end are looked at, a few
    kilobytes of each, and whatever looks odd is decoded; files that fail are left out, and the rest gives the same
    batches as a folder without them. Damage inside a file whose end is there is met when the file is first
    decoded. In training the next readable example that is not in the batch then stands in, in this step and
    every later one, for any number of workers and after resuming; embedding leaves the row out. With ``verify``
    every file is decoded at the start, and nothing is left to find. :attr:`skipped` has the reasons.

    Args:
        root: the folder. Links to files are followed, and links to folders too, each folder once; one that leads to a
            folder around ``root`` is not. Hidden folders and those that tools leave behind are passed over.
        size: side of the squares, and of views whose recipe names no size, in pixels.
        files: the picture files, found below ``root`` when not given.
        splits: held-out sets by name.
        strict: the first unreadable file is an error.
        max_bad: largest share of unreadable files, in [0, 1]; more are an error.
        verify: decode every file at the start.
        folder: name of the part, such as ``train``, where several have one list of skipped files.
        shown: the window and the bands of pictures that are not three colours of 8 bits.

    Raises:
        FileNotFoundError: no such folder. ValueError: no readable picture in it.
        BadDataError: ``strict`` or ``max_bad`` does not allow what was found, here or while training.
    """

    def __init__(
        self,
        root: Path | str,
        size: int = 96,
        *,
        files: Iterable[Path] | None = None,
        splits: Mapping[str, Data] | None = None,
        strict: bool = False,
        max_bad: float = 0.1,
        verify: bool = False,
        folder: str = "",
        shown: Shown = AS_THEY_ARE,
    ) -> None:
        self.root = Path(root)
        self.shown = shown
        if not self.root.is_dir():
            raise FileNotFoundError(f"there is no folder {root}")
        if size < 1:
            raise ValueError(f"size must be at least 1 pixel, got {size}")
        self.size = size
        self._splits = dict(splits or {})
        self.name = self.root.name
        closed: dict[str, str] = {}
        self.passed: Counter[str] = Counter()
        found = (
            _pictures(self.root, closed, self.passed) if files is None else [os.path.relpath(f, root) for f in files]
        )
        found.sort(key=lambda name: name.split(os.sep))
        self.skipped = Skipped(len(found) + len(closed), strict=strict, max_bad=max_bad, folder=folder)
        bad = dict(closed)
        bad |= self._bad(found, lambda path: (_why_undecodable if verify else why_unreadable)(path, shown))
        # Text only: a million of them are then small, and shared with loader workers.
        self.files = [name for name in found if name not in bad]
        if not self.files:
            first = next(iter(bad.items()), None)
            raise ValueError(
                f"{root} holds no readable picture: {len(found)} files with the suffixes {', '.join(SUFFIXES)} were "
                "found" + (f" and none could be decoded, the first: {plain(first[0])}: {first[1]}" if first else "")
            )
        self.skipped.set_aside(bad.items(), plain(str(root)))
        _tell(self.passed, plain(str(root)))
        self._tell_misnamed(plain(str(root)))
        folders = [plain(os.path.dirname(name)) or "." for name in self.files]
        self.labels = np.array(folders) if len(set(folders)) > 1 else None

    def __len__(self) -> int:
        return len(self.files)

    def splits(self) -> Mapping[str, Data]:
        return self._splits

    @property
    def ids(self) -> np.ndarray:
        return np.array([plain(name) for name in self.files])

    @property
    def notes(self) -> list[str]:
        """How many files of each kind there are, and what those that may be deep hold, by a few of them."""
        kinds = Counter(_suffix(name) or "no suffix" for name in self.files)
        told = ", ".join(f"{count:,} {plain(kind)}" for kind, count in kinds.most_common(6))
        deep = [name for name in self.files if _suffix(name) not in EIGHT_BITS]
        chosen = [deep[i] for i in np.unique(np.linspace(0, len(deep) - 1, LOOKED_AT).astype(int))] if deep else []
        watched = Watched(self.shown)
        with quiet():
            for name in chosen:
                with suppress(PictureError):
                    decode(os.path.join(self.root, name), 1, shown=watched)
        return [f"files: {told}{', ...' * (len(kinds) > 6)}", *watched.notes(len(chosen))]

    def contents(self) -> Mapping[str, str]:
        return file_contents(self.root, self.files)

    def encoded(self, row: int) -> str:
        """The file's path."""
        return os.path.join(self.root, self.files[row])

    def place(self, row: int) -> str:
        return self.files[row]

    def _tell_misnamed(self, where: str) -> None:
        """Say how many files are named as those of telephones or scanners and are of another kind."""
        named = [name for name in self.files if _suffix(name) in SPECIAL]
        other = [name for name in named if not _begins(os.path.join(self.root, name), SPECIAL[_suffix(name)])]
        if other:
            warnings.warn(
                f"in {where} {len(other):,} of {len(named):,} files named as HEIC or DICOM are neither and are read as "
                f"what they are, the first: {plain(other[0])}",
                stacklevel=3,
            )

    def _bad(self, names: list[str], why: Callable[[str], str]) -> dict[str, str]:
        """The reason of every file that ``why`` objects to."""

        def look(chunk: list[str]) -> list[tuple[str, str]]:
            verdicts = [(name, why(os.path.join(self.root, name))) for name in chunk]
            return [(name, reason) for name, reason in verdicts if reason]

        names_left = iter(names)
        chunks = iter(lambda: list(islice(names_left, CHUNK)), [])
        with quiet(), ThreadPoolExecutor(min(8, 2 * (os.cpu_count() or 1))) as pool:
            return dict(pair for pairs in pool.map(look, chunks) for pair in pairs)


def passed_over(folder: str) -> bool:
    """Whether a folder of this name holds no pictures of the collection."""
    return folder.startswith(".") or folder.lower() in LEFT_BY_TOOLS


def has_picture(root: Path) -> bool:
    """Whether a picture lies in a folder or below it, by its name."""
    for _, inside, names in os.walk(root):
        inside[:] = [name for name in inside if not passed_over(name)]
        if any(name.lower().endswith(SUFFIXES) and not name.startswith(".") for name in names):
            return True
    return False


def _pictures(root: Path, closed: dict[str, str], passed: Counter[str]) -> list[str]:
    """Names, relative to ``root``, of files that look like pictures.

    ``closed`` gets folders that cannot be listed, and ``passed`` how many other files and folders there are, by suffix
    or as ``hidden folders`` and ``links to folders around it``.
    """

    def note(error: OSError) -> None:
        closed[os.path.relpath(error.filename, root)] = f"the folder cannot be listed: {error.strerror}"

    found: list[str] = []
    seen = {os.path.realpath(root)}
    around = {*map(str, Path(os.path.realpath(root)).parents)}
    waiting = [os.fspath(root)]
    while waiting:  # folders of one's own come before those that links lead to, whatever the order of the listing
        links: list[str] = []
        for top in waiting:
            for folder, inside, names in os.walk(top, onerror=note):
                hidden = [name for name in inside if passed_over(name)]
                passed["hidden folders"] += len(hidden)
                down = [os.path.join(folder, name) for name in inside if name not in hidden]
                links += [path for path in down if os.path.islink(path)]
                # A link is not gone down here, and those that lead to one place are one folder.
                inside[:] = [n for n in inside if n not in hidden and not os.path.islink(os.path.join(folder, n))]
                seen.update(os.path.realpath(os.path.join(folder, name)) for name in inside)
                below = os.path.relpath(folder, root)
                prefix = "" if below == "." else below + os.sep
                for name in names:
                    suffix = _suffix(name)
                    if suffix in SUFFIXES or (not suffix and _is_dicom_file(os.path.join(folder, name))):
                        found += [] if name.startswith(".") else [prefix + name]
                    elif not name.startswith(".") and suffix not in BESIDE:
                        passed[suffix] += 1
        waiting = []
        for link in sorted(links):
            target = os.path.realpath(link)
            if target in around:
                passed["links to folders around it"] += 1
            elif target not in seen:
                seen.add(target)
                waiting.append(link)
    return found


def _suffix(name: str) -> str:
    """The suffix in lower case; of a picture that gzip packed the one before."""
    stem, suffix = os.path.splitext(name.lower())
    inside = os.path.splitext(stem)[1]
    return inside if suffix == ".gz" and inside in SUFFIXES else suffix


def _is_dicom_file(path: str) -> bool:
    """Whether a file without a suffix is a picture of a scanner, which often have none."""
    return os.path.basename(path).upper() != "DICOMDIR" and _begins(path, is_dicom)


def _begins(path: str, of_kind: Callable[[bytes], bool]) -> bool:
    """Whether an ordinary file's first bytes are those of a kind, or of something that gzip packed."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
        with open(path, "rb") as file:
            head = file.read(HEAD)
            return of_kind(head) or (path.lower().endswith(".gz") and head.startswith(GZIP))
    except OSError:
        return False


def _tell(passed: Counter[str], where: str) -> None:
    """Say which files were not taken for pictures; hidden folders nobody asks for."""
    told = [(kind, count) for kind, count in passed.most_common() if count and kind != "hidden folders"]
    if told:
        kinds = ", ".join(f"{count:,} {plain(kind)}" for kind, count in told[:6])
        warnings.warn(
            f"in {where} were passed over: {kinds}; read are {', '.join(SUFFIXES)}, and every folder once",
            stacklevel=3,
        )


def _why_undecodable(path: str, shown: Shown) -> str:
    try:
        decode(path, shown=shown)
    except PictureError as error:
        return str(error)
    return ""


__all__ = ["ImageFolder", "square", "to_square"]
