"""Collections of sounds: in memory, and in files of any rate and length."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nearfar.sources.data import Data
from nearfar.sources.fingerprint import digest_of, file_contents
from nearfar.sources.skipped import BadDataError, Skipped, plain
from nearfar.sources.sound import SUFFIXES, SoundError, Stretch, at_rate, header, read_stretch, why_no_wave

__all__ = ["SoundBatch", "SoundFiles", "Sounds", "collate", "resampled", "sound_files"]

# Bytes of decoded sound that a collection of files keeps in memory.
KEPT = 1 << 30


class SoundBatch(NamedTuple):
    """A batch of sounds.

    Attributes:
        waves: (N, T) float32 in about [-1, 1], each from its beginning, silence behind shorter ones.
        lengths: (N,) int64, samples of each, at least 1.
        rows: (N,) int64, positions in the collection.
        rate: samples a second.
    """

    waves: Tensor
    lengths: Tensor
    rows: Tensor
    rate: int


def collate(waves: Sequence[np.ndarray], rows: np.ndarray, rate: int) -> SoundBatch:
    """Waves of any lengths as a batch."""
    lengths = np.array([len(wave) for wave in waves], dtype=np.int64)
    together = np.zeros((len(waves), int(lengths.max())), np.float32)
    for place, wave in zip(together, waves, strict=True):
        place[: len(wave)] = wave
    rows = np.asarray(rows, dtype=np.int64)
    return SoundBatch(torch.from_numpy(together), torch.from_numpy(lengths), torch.from_numpy(rows), rate)


def resampled(batch: SoundBatch, rate: int) -> SoundBatch:
    """A batch at another rate, on the same device; a collection at the right rate saves the detour."""
    waves = [wave[:n] for wave, n in zip(batch.waves.cpu().numpy(), batch.lengths.tolist(), strict=True)]
    found = collate([at_rate(wave, batch.rate, rate) for wave in waves], batch.rows.cpu().numpy(), rate)
    device = batch.waves.device
    return SoundBatch(found.waves.to(device), found.lengths.to(device), batch.rows, rate)


class Sounds(Data):
    """Sounds in memory.

    Args:
        waves: arrays (T,), of any lengths.
        rate: samples a second of all of them.
        labels: one for each, or ``None``.
        ids: one for each; their numbers otherwise.
        name: what to call the collection.
        splits: held-out sets by name.
        trials: what verification asks of this set: (n, 3) int64 of two rows and whether they are of one label; of all
            pairs where it is ``None``.
        skipped: what the source held besides.
        factors: known factors of generated sounds, one value for each, by name.

    Raises:
        ValueError: no sounds, a rate below 1, a wave that is none, or labels that are not one for each.
    """

    gives: type | None = SoundBatch

    def __init__(
        self,
        waves: Sequence[np.ndarray],
        rate: int,
        labels: Any = None,
        *,
        ids: Sequence[Any] | None = None,
        name: str = "sounds",
        splits: Mapping[str, Data] | None = None,
        trials: np.ndarray | None = None,
        skipped: Skipped | None = None,
        factors: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        if rate < 1:
            raise ValueError(f"{name} has a rate of {rate}; at least 1 sample a second is needed")
        if not len(waves):
            raise ValueError(f"{name} holds no sounds")
        self.waves = [np.asarray(wave) for wave in waves]
        for row, wave in enumerate(self.waves):
            if wave.ndim != 1 or wave.dtype.kind not in "iuf":
                raise ValueError(f"sound {row} of {name} must be samples (T,), got {wave.dtype} of {wave.shape}")
            if reason := why_no_wave(wave):
                raise ValueError(f"sound {row} of {name}: {reason}")
        self.waves = [_in_range(wave) for wave in self.waves]
        self.rate, self.name, self.trials, self.skipped = int(rate), name, trials, skipped
        self.factors = dict(factors or {})
        self.labels = None if labels is None else np.asarray(labels)
        if self.labels is not None and self.labels.shape != (len(self.waves),):
            raise ValueError(f"{name} has labels of shape {self.labels.shape} for {len(self.waves)} sounds")
        self._ids = np.arange(len(self.waves)) if ids is None else np.asarray(ids)
        self._splits = dict(splits or {})

    def __len__(self) -> int:
        return len(self.waves)

    @property
    def ids(self) -> np.ndarray:
        return self._ids

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"rate": self.rate}

    def splits(self) -> Mapping[str, Data]:
        return self._splits

    def contents(self) -> Mapping[str, str]:
        return {"sounds": digest_of(self.rate, self.waves, self.labels)}

    def batch(self, indices: np.ndarray) -> Any:
        return collate([self.waves[i] for i in indices], indices, self.rate)


def _in_range(wave: np.ndarray) -> np.ndarray:
    """Samples as float32; whole numbers are divided by the greatest of their type."""
    return wave.astype(np.float32) / (np.iinfo(wave.dtype).max if wave.dtype.kind in "iu" else 1)


class SoundFiles(Data):
    """Sound files, decoded when they are needed and kept while they fit in a gigabyte.

    Embedding and evaluation see the first ``seconds`` of every file. Training sees all of it: files longer than twice
    ``seconds`` are cut into equal sections of at least that. Each is mixed to one channel and brought to ``rate``.

    **Unreadable files.** The header of every file is looked at when the collection is made, and where all of it fits
    in memory every file is decoded at once; what fails, is cut off or is silent is left out. Damage that is found later
    takes the file out from then on: another stands in for it in training, and embedding leaves its row out.

    Args:
        paths: the files.
        names: what to call them, their ``ids``; the paths otherwise.
        labels: one for each, or ``None``.
        rate: samples a second that they are brought to.
        seconds: see above, above 0.
        root: the folder that the names are below, for fingerprints.
        name: what to call the collection.
        splits: held-out sets by name.
        strict: the first unreadable file is an error.
        max_bad: largest share of unreadable files, in [0, 1]; more are an error.
        folder: name of the part where several have one list of skipped files.
        bad: files found bad before, by place.

    Raises:
        ValueError: a rate or length that is none, or no readable sound.
        BadDataError: ``strict`` or ``max_bad`` does not allow what was found, here or while training.
    """

    gives: type | None = SoundBatch

    def __init__(
        self,
        paths: Sequence[Path | str],
        *,
        names: Sequence[str] | None = None,
        labels: Any = None,
        rate: int = 16000,
        seconds: float = 30.0,
        root: Path | None = None,
        name: str = "sounds",
        splits: Mapping[str, Data] | None = None,
        strict: bool = False,
        max_bad: float = 0.1,
        folder: str = "",
        bad: Sequence[tuple[str, str]] = (),
    ) -> None:
        if rate < 1 or not seconds > 0:
            raise ValueError(f"rate must be at least 1 and seconds above 0, got {rate} and {seconds}")
        self.rate, self.seconds, self.name = int(rate), float(seconds), name
        self._root = root
        self._splits = dict(splits or {})
        files = [os.fspath(path) for path in paths]
        shown = files if names is None else [*names]
        self._kept: dict[tuple[str, int, int], np.ndarray] = {}
        self._room = KEPT
        heads, wrong = self._looked_at(files)
        self.skipped = Skipped(len(files) + len(bad), strict=strict, max_bad=max_bad, kind="sounds", folder=folder)
        found = [*bad, *((shown[row], reason) for row, reason in sorted(wrong.items()))]
        good = [row for row in range(len(files)) if row not in wrong]
        if not good:
            first = f", the first: {plain(found[0][0])}: {found[0][1]}" if found else ""
            raise ValueError(f"{name} holds no readable sound: of {len(files)} files none could be used{first}")
        self.skipped.set_aside(found, plain(name))
        self.kept_rows = np.array(good)
        self.whole = [heads[row] for row in good]
        self._names = [plain(shown[row]) for row in good]
        self.labels = None if labels is None else np.asarray(labels)[good]
        self.beginnings = [(row, self._cut_to(head)) for row, head in enumerate(self.whole)]
        self.sections = [part for row, head in enumerate(self.whole) for part in self._cut(row, head)]
        self.divisible = len(self.sections) > 1

    def __len__(self) -> int:
        return len(self.whole)

    @property
    def ids(self) -> np.ndarray:
        return np.array(self._names)

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"rate": self.rate}

    def splits(self) -> Mapping[str, Data]:
        return self._splits

    def contents(self) -> Mapping[str, str]:
        root = self._root or Path()
        return file_contents(root, [os.path.relpath(head.path, root) for head in self.whole])

    def readable(self, rows: np.ndarray) -> np.ndarray:
        return np.array([self._names[row] not in self.skipped for row in rows], dtype=bool)

    def batch(self, indices: np.ndarray) -> Any:
        """The beginnings of files."""
        return self._read([self.beginnings[i] for i in indices], self.beginnings)

    def training_batch(self, indices: np.ndarray) -> Any:
        """Sections, by their numbers."""
        return self._read([self.sections[i] for i in indices], self.sections)

    @property
    def epoch_size(self) -> int:
        """Of sections."""
        return len(self.sections)

    def _cut_to(self, head: Stretch) -> Stretch:
        frames = max(round(self.seconds * head.rate), 1)
        return head if head.frames <= frames else head._replace(frames=frames, whole=False)

    def _cut(self, row: int, head: Stretch) -> list[tuple[int, Stretch]]:
        parts = max(int(head.frames / head.rate / self.seconds), 1)
        if parts == 1:
            return [(row, head)]
        ends = np.linspace(0, head.frames, parts + 1).astype(int).tolist()
        return [(row, head._replace(start=a, frames=b - a, whole=False)) for a, b in zip(ends, ends[1:], strict=False)]

    def _looked_at(self, files: list[str]) -> tuple[dict[int, Stretch], dict[int, str]]:
        """Headers and reasons against files, by row; sounds that all fit in memory are decoded for it."""

        def look(row: int) -> Stretch | str:
            try:
                return self._head(files[row])
            except SoundError as error:
                return str(error)

        def listen(row: int) -> str:
            try:
                self._wave(self._cut_to(heads[row]))
            except SoundError as error:
                return str(error)
            return ""

        with ThreadPoolExecutor(min(8, 2 * (os.cpu_count() or 1))) as pool:
            looked = dict(enumerate(pool.map(look, range(len(files)), chunksize=64)))
            heads = {row: found for row, found in looked.items() if isinstance(found, Stretch)}
            wrong = {row: found for row, found in looked.items() if isinstance(found, str)}
            needs = sum(min(head.frames / head.rate, self.seconds) for head in heads.values()) * self.rate * 4
            if needs <= KEPT:
                wrong |= {row: why for row, why in zip(heads, pool.map(listen, heads), strict=True) if why}
        return heads, wrong

    def _head(self, file: str) -> Stretch:
        """The whole of a file, from what its beginning says."""
        return header(file)

    def _decoded(self, stretch: Stretch) -> np.ndarray:
        return read_stretch(stretch, self.rate)

    def _wave(self, stretch: Stretch) -> np.ndarray:
        key = (stretch.path, stretch.start, stretch.frames)
        if (found := self._kept.get(key)) is not None:
            return found
        found = self._decoded(stretch)
        if found.nbytes <= self._room:
            self._room -= found.nbytes
            self._kept[key] = found
        return found

    def _read(self, wanted: Sequence[tuple[int, Stretch]], all_of: Sequence[tuple[int, Stretch]]) -> SoundBatch:
        """Sounds, and the rows they are of: another's where a file turns out to be unreadable."""
        waves, rows, taken = [], [], {row for row, _ in wanted}
        for row, stretch in wanted:
            instead = self._instead_of(row, taken, all_of)
            while True:
                try:
                    waves.append(self._wave(stretch))
                    break
                except SoundError as error:
                    self.skipped.add(self._names[row], str(error))
                    row, stretch = next(instead)
            taken.add(row)
            rows.append(row)
        return collate(waves, np.array(rows), self.rate)

    def _instead_of(
        self, row: int, taken: set[int], all_of: Sequence[tuple[int, Stretch]]
    ) -> Iterator[tuple[int, Stretch]]:
        """Stretches of the files after ``row``, first of those that are not in the batch."""
        after = sorted(all_of, key=lambda part: (part[0] - row - 1) % len(self))
        for again in (False, True):
            yield from (part for part in after if part[0] != row and (part[0] in taken) == again)
        raise BadDataError(f"{self.name} holds no readable sound any more")


def sound_files(root: Path) -> list[str]:
    """Names of sound files below a folder, sorted; hidden folders and links to folders are not gone down."""
    found = []
    for folder, inside, names in os.walk(root):
        inside[:] = sorted(name for name in inside if not name.startswith("."))
        below = os.path.relpath(folder, root)
        prefix = "" if below == "." else below + os.sep
        found += [
            prefix + name
            for name in sorted(names)
            if os.path.splitext(name)[1].lower() in SUFFIXES and not name.startswith(".")
        ]
    return found
