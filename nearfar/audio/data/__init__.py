"""Where sounds come from: folders, tables of files, arrays, and generated ones whose truth is known."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.audio.data.captions import CaptionedBatch, CaptionedSounds
from nearfar.audio.data.shards import sounds_in_parts
from nearfar.audio.data.sounds import SoundBatch, SoundFiles, Sounds, sound_files
from nearfar.sources.archives import read_npz
from nearfar.sources.opening import as_array, as_path, nothing_there
from nearfar.sources.roles import with_roles
from nearfar.sources.shards.finding import shards_at
from nearfar.sources.sound import SUFFIXES, SoundError, at_rate
from nearfar.sources.splits import split_of
from nearfar.sources.tables import TABLES, Table, labels_of, read_table, suffix_of, why_no_text
from nearfar.training import Data

__all__ = [
    "EMBEDDED",
    "CaptionedBatch",
    "CaptionedSounds",
    "SoundBatch",
    "SoundError",
    "SoundFiles",
    "Sounds",
    "load",
]

EMBEDDED = {
    "noises": "recordings of eight kinds of events, under noise",
    "voices": "speakers who say different things through different channels; those of the test set are others",
    "dialogs": "dialogs with a machine that sometimes fails to hear, a quarter of them written down",
    "words": "ten words said by many speakers; those of the test set are others",
    "events": "events of eight kinds, three pitches and two tempi, with captions",
    "compositions": "events alone, one after another and at once, with captions and sentences that are wrong",
}
FILES = ("path", "file", "filename", "file_name", "filepath", "audio", "sound", "wav", "recording")
LABELS = ("label", "class", "category", "speaker", "target", "y")
CAPTION = re.compile(r"(caption|text|sentence|transcript)s?[_ ]?\d*")
NEGATIVE = re.compile(r"(negative|wrong)s?[_ ]?\d*")


def load(
    data: str | Path | Data | None = None,
    *,
    resample: int = 0,
    longest: float = 30.0,
    root: str = "",
    audio_column: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    count: int = 0,
    strict: bool = False,
    max_bad: float = 0.1,
) -> Data:
    """Sounds from wherever they are.

    Args:
        data: a folder of sound files (``.wav``, ``.flac``, ``.ogg``, ``.mp3`` and the like) of any rate and length,
            the folders that hold them being their classes and folders ``train`` and ``test`` its parts; one such file;
            tar or zip archives of such files, here or at a URL (:class:`nearfar.audio.data.shards.SoundShards`);
            a ``.csv``, ``.tsv``, ``.json``, ``.jsonl`` or ``.parquet`` table with a column of files (``path``,
            ``file``, ``filename``, ``audio``) and perhaps ``label`` (or ``class``, ``category``, ``speaker``),
            ``split``, columns of captions (``caption``, ``caption_1`` ...) and of sentences that are wrong
            (``negative``, ``negative_1`` ...); a table of dialogs with ``turns`` as OD3's
            (:func:`nearfar.audio.data.dialogs.read`); an ``.npz`` file with ``waves`` (N, T), ``rate`` and perhaps
            ``labels``; an embedded name, ``noises`` when nothing is given.
        resample: samples a second that files are brought to, 16,000 when 0. Embedded sounds have 8,000.
        longest: seconds of a file that are embedded, from its beginning; for training, files of twice that and more are
            cut into sections.
        root: folder that the files of a table are in; the table's own when empty.
        audio_column: the column of files of a table, if not one of those.
        text_column: its column of captions, if not ``caption``.
        label_column: its column of labels, if not one of those.
        count: number of sounds, or of speakers, that embedded sets generate; each has its own.
        strict: stop at the first sound that cannot be used, instead of leaving it out and listing it.
        max_bad: largest share of sounds that may be unusable, in [0, 1]; more stop the run.
    """
    if isinstance(data, Data):
        return data
    if resample < 0:
        raise ValueError(f"resample must be at least 1 sample a second, or 0 for 16,000; got {resample}")
    if str(data) == "dialogs":
        from nearfar.audio.data import dialogs

        return dialogs.made(count or 240)
    if data is None or str(data) in EMBEDDED:
        return _generated(str(data or "noises"), count, resample)
    if isinstance(data, Mapping) and "waves" in data:
        arrays = {str(name): as_array(value, str(name)) for name, value in data.items()}
        return _arrays(arrays, "the mapping", "sounds", resample)
    options: dict[str, Any] = {"rate": resample or 16000, "seconds": longest, "strict": strict, "max_bad": max_bad}
    if isinstance(data, str | Path):
        archives = shards_at(data, unless=lambda folder: bool(sound_files(folder)))
        if archives is not None:
            return sounds_in_parts(archives.shards, archives.name, **options)
    path = as_path(data, "sounds", EMBEDDED, "a mapping with waves (N, T), their rate and perhaps labels (N,)")
    if path.is_dir():
        return _folder(path, options)
    if not path.is_file():
        raise nothing_there(path, EMBEDDED)
    if path.suffix.lower() in SUFFIXES:
        return SoundFiles([path], names=[path.name], root=path.parent, name=path.stem, **options)
    if path.suffix.lower() == ".npz":
        return _npz(path, resample)
    if suffix_of(path) in TABLES:
        named = {"sounds": audio_column, "captions": text_column, "labels": label_column}
        return _table(path, Path(root) if root else path.parent, named, options)
    accepted = ", ".join((*SUFFIXES, *TABLES, ".npz"))
    raise ValueError(f"{path} is no collection of sounds that this reads: a folder, or a file of {accepted}")


def _folder(path: Path, options: dict[str, Any]) -> SoundFiles:
    names = sound_files(path)
    if not names:
        raise ValueError(f"{path} holds no sound: no file below it ends in {', '.join(SUFFIXES)}")
    parts: dict[str, list[str]] = {}
    for name in names:
        parts.setdefault(split_of(name.split(os.sep)[0]) or "", []).append(name)
    if "train" not in parts:
        parts = {"train": names}
    held = {part: found for part, found in parts.items() if part not in ("train", "")}
    splits: dict[str, Data] = {part: _below(path, found, part, options) for part, found in held.items()}
    return _below(path, parts["train"], "train" if held else "", options, splits)


def _below(
    root: Path, names: list[str], part: str, options: dict[str, Any], splits: dict[str, Data] | None = None
) -> SoundFiles:
    """Files of one part of a folder; classes where at least two folders hold them."""
    folders = [os.path.dirname(name) for name in names]
    if part:
        folders = [folder.partition(os.sep)[2] for folder in folders]
    labels = np.array([folder or "." for folder in folders]) if len(set(folders)) > 1 else None
    name = f"{root.name} {part}".strip()
    paths = [root / each for each in names]
    return SoundFiles(paths, names=names, labels=labels, root=root, name=name, splits=splits, folder=part, **options)


def _npz(path: Path, resample: int) -> Sounds:
    return _arrays(read_npz(path), str(path), path.stem, resample)


def _arrays(arrays: Mapping[str, np.ndarray], where: str, name: str, resample: int) -> Sounds:
    if "waves" not in arrays or "rate" not in arrays or arrays["waves"].ndim != 2 or arrays["rate"].size != 1:
        held = ", ".join(f"{each} {array.shape}" for each, array in arrays.items())
        raise ValueError(f"{where} holds {held}; expected waves (N, T), their rate, and perhaps labels (N,)")
    rate = int(arrays["rate"].reshape(()))
    try:
        found = Sounds([*arrays["waves"]], rate, arrays.get("labels"), name=name)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    if resample in (0, rate):
        return found
    waves = [at_rate(wave, rate, resample) for wave in found.waves]
    return Sounds(waves, resample, found.labels, name=name)


def _table(path: Path, root: Path, named: dict[str, str | None], options: dict[str, Any]) -> Data:
    usual = {"sounds": FILES, "captions": ("caption",), "labels": LABELS}
    table, taken = with_roles(read_table(path), str(path), {role: (usual[role], named[role]) for role in usual})
    if "turns" in table.columns:
        from nearfar.audio.data import dialogs

        return dialogs.read(table, root, path.stem, options)
    files = table.first(*FILES)
    if files is None:
        raise ValueError(
            f"{path} has the columns {', '.join(table.columns)}; expected one of files: {', '.join(FILES)}, or "
            "--audio-column"
        )
    captions, negatives = (
        [name for name in table.columns if pattern.fullmatch(name)] for pattern in (CAPTION, NEGATIVE)
    )
    table = table.without(lambda row: _why_no_row(table, row, files, captions))
    parts: dict[str, list[int]] = {}
    said = table.first("split", "part", "subset") or ["train"] * len(table.places)
    for row, part in enumerate(said):
        parts.setdefault(split_of(str(part)) or str(part), []).append(row)
    first = "train" if "train" in parts else next(iter(parts), "")
    if not first:
        raise ValueError(f"{path} holds no row with a file" + (f"; {': '.join(table.bad[0])}" if table.bad else ""))
    made: dict[str, Data] = {}
    for part, rows in sorted(parts.items(), key=lambda each: each[0] == first):
        bad = table.bad if part == first else []
        name = path.stem if part == first else f"{path.stem} {part}"
        more = {
            "name": name,
            "bad": bad,
            "splits": made if part == first else {},
            "folder": "" if part == first else part,
        }
        made[part] = _part(table, rows, root, captions, negatives, {**options, **more})
    made[first].taken = taken
    return made[first]


def _why_no_row(table: Table, row: int, files: list[Any], captions: list[str]) -> str:
    if why_no_text(files[row]):
        return "it names no file"
    if captions and not any(not why_no_text(table.columns[name][row]) for name in captions):
        return "it has no caption"
    return ""


def _part(
    table: Table, rows: list[int], root: Path, captions: list[str], negatives: list[str], options: dict[str, Any]
) -> Data:
    """Rows of a table as a collection; several rows of one file are one sound with several captions."""
    files, labels = table.first(*FILES), table.first(*LABELS)
    assert files is not None
    first: dict[str, int] = {}
    sentences: dict[str, tuple[list[str], list[str]]] = {}
    for row in rows:
        first.setdefault(files[row], row)
        for found, columns in zip(sentences.setdefault(files[row], ([], [])), (captions, negatives), strict=True):
            found += [t for name in columns if not why_no_text(t := table.columns[name][row]) and t not in found]
    names = [*first] if captions else [files[row] for row in rows]
    of = [first[name] for name in names] if captions else rows
    marks = None if labels is None else labels_of([labels[row] for row in of])
    splits = options.pop("splits")
    sounds = SoundFiles(
        [root / name for name in names],
        names=names,
        labels=marks,
        root=root,
        splits={} if captions else splits,
        **options,
    )
    if not captions:
        return sounds
    kept = [sentences[names[row]] for row in sounds.kept_rows]
    return CaptionedSounds(sounds, [a for a, _ in kept], negatives=[b for _, b in kept], splits=splits)


def _generated(name: str, count: int, rate: int) -> Data:
    from nearfar.audio.data import generated, synthesis

    if rate not in (0, synthesis.RATE):
        raise ValueError(f"embedded sounds have {synthesis.RATE:,} samples a second, got resample={rate}")
    make = getattr(generated, name)
    return make(count) if count else make()
