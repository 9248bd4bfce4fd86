"""Where series come from: archives, tables, arrays, and generated ones whose truth is known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nearfar.common.memory import check_room
from nearfar.series.data.archive import FORMATS, read_archive, sibling
from nearfar.series.data.columns import calendar, read_columns
from nearfar.series.data.series_set import SeriesBatch, SeriesSet, WindowBatch, Windows
from nearfar.sources.archives import read_npz
from nearfar.sources.opening import as_array, nothing_there
from nearfar.sources.tables import TABLES, read_text_file, suffix_of
from nearfar.spelling import one_of
from nearfar.training import Data

__all__ = ["EMBEDDED", "SeriesBatch", "SeriesSet", "WindowBatch", "Windows", "load"]

EMBEDDED = {
    "rhythms": "series of four classes that differ in the period of an oscillation, under noise and drift",
    "states": "series of three channels that pass through four hidden states",
    "patients": "segments of four channels, of trials of patients of two classes",
    "seasons": "one series with a season longer than a window, as windows of past and future",
}
PAST = 96


def load(
    data: str | Path | np.ndarray | Data | None = None,
    *,
    ahead: int = 0,
    past: int = PAST,
    channels: str = "",
    time_column: str | None = None,
    series_column: str | None = None,
    label_column: str | None = None,
    count: int = 0,
    strict: bool = False,
    max_bad: float = 0.1,
) -> Data:
    """Series from wherever they are.

    Args:
        data: a ``.tsv``, ``.txt``, ``.ts`` or ``.arff`` file of the UCR and UEA archives (a ``_TEST`` file beside a
            ``_TRAIN`` file is its test set); a ``.csv``, ``.json``, ``.jsonl`` or ``.parquet`` table, plain or ``.gz``,
            with a row per step (columns ``time`` or ``date``, perhaps ``id``, ``patient``, ``trial``, ``label``,
            ``state``, and the channels) or with a row per series; ``.npy`` of (T,), (N, T) or (N, T, C); ``.npz`` with
            ``train_x`` and perhaps ``train_y``, ``test_x``, ``test_y`` (or ``x``, ``y``); an array; an embedded name,
            ``rhythms`` when nothing is given. Empty cells and NaN are gaps.
        ahead: for forecasters, the steps that a window is asked to tell; above 0 the one series is cut into windows,
            the first 60% for training, then 20% for validation and 20% for test.
        past: steps that a window sees.
        channels: names of the columns to take, between commas; all when empty.
        time_column: the column of a table that says when a row was, if not ``time``, ``date`` or the like.
        series_column: the one that says of which series it is, if not ``id`` or the like.
        label_column: the one of labels, if not ``label`` or ``class``.
        count: number of series, or of patients, that embedded sets generate; each has its own.
        strict: stop at the first row that cannot be used, instead of leaving it out and listing it.
        max_bad: largest share of rows that may be unusable, in [0, 1]; more stop the run.
    """
    named = {"times": time_column, "series": series_column, "labels": label_column}
    found = data if isinstance(data, Data) else _series(data, count, named, strict=strict, max_bad=max_bad)
    if isinstance(found, SeriesSet) and channels:
        found = _only(found, [name.strip() for name in channels.split(",")])
    if ahead and isinstance(found, SeriesSet):
        if len(found) > 1:
            raise ValueError(
                f"{found.name} holds {len(found)} series, and windows are cut from one; give a table with one series"
            )
        clock = calendar(found.times[0]) if found.times is not None else None
        return Windows(found.series[0], past=past, ahead=ahead, clock=clock, name=found.name, channels=found.channels)
    return found


def _series(
    data: str | Path | np.ndarray | None, count: int, named: Mapping[str, str | None], **options: object
) -> Data:
    if data is None or (isinstance(data, str) and data in EMBEDDED):
        return _generated(str(data or "rhythms"), count)
    if not isinstance(data, str | Path):
        return _array(as_array(data, "series"), "array")
    path = Path(data)
    if not path.is_file():
        raise nothing_there(path, EMBEDDED)
    suffix = suffix_of(path)
    if suffix == ".npz":
        return _npz(path)
    if suffix == ".npy":
        return _array(_npy(path), path.stem)
    if suffix in FORMATS and not (suffix == ".tsv" and _has_header(path)):
        series, labels = read_archive(path)
        beside = sibling(path)
        test = SeriesSet(*read_archive(beside), name=beside.stem) if beside else None
        return SeriesSet(series, labels, name=path.stem, test=test)
    if suffix in TABLES:
        return read_columns(path, named, **options)  # type: ignore[arg-type]
    raise ValueError(f"{path} is no file of series that this reads: {', '.join((*FORMATS, *TABLES, '.npy', '.npz'))}")


def _has_header(path: Path) -> bool:
    """Whether the first line holds names: no cell after the first is a number."""
    first = read_text_file(path)[:100_000].decode(errors="replace").split("\n", 1)[0].split("\t")
    return not any(cell.strip().replace(".", "", 1).lstrip("-").isdigit() for cell in first[1:])


def _array(values: np.ndarray, name: str) -> SeriesSet:
    if values.ndim not in (1, 2, 3) or values.dtype.kind not in "biuf":
        raise ValueError(
            f"{name} has shape {values.shape} of {values.dtype}; expected numbers (T,), (N, T) or (N, T, C)"
        )
    return SeriesSet([values] if values.ndim == 1 else [*values], name=name)


def _npy(path: Path) -> np.ndarray:
    check_room(path.stat().st_size, f"{path}, an array,")
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        why = "Python objects, which could run any code" if "allow_pickle" in str(error) else f"no array: {error}"
        raise ValueError(f"{path} holds {why}; expected numbers, saved by np.save") from error


def _npz(path: Path) -> SeriesSet:
    arrays = read_npz(path)
    x = arrays.get("train_x", arrays.get("x"))
    if x is None or x.ndim not in (2, 3):
        raise ValueError(
            f"{path} holds {', '.join(f'{n} {a.shape}' for n, a in arrays.items())}; expected train_x or x, (N, T) or "
            "(N, T, C)"
        )
    test = None
    if "test_x" in arrays:
        test = SeriesSet([*arrays["test_x"]], arrays.get("test_y"), name=f"{path.stem} test")
    return SeriesSet([*x], arrays.get("train_y", arrays.get("y")), name=path.stem, test=test)


def _only(found: SeriesSet, names: list[str]) -> SeriesSet:
    unknown = [name for name in names if name.lower() not in found.channels]
    if unknown:
        raise ValueError(
            f"{found.name} has no channel {unknown[0]!r}{one_of(unknown[0], found.channels, are='it has')}"
        )
    columns = [found.channels.index(name.lower()) for name in names]
    return SeriesSet(
        [each[:, columns] for each in found.series],
        found.labels,
        ids=found.ids,
        groups=found.groups,
        times=found.times,
        channels=[found.channels[c] for c in columns],
        name=found.name,
        skipped=found.skipped,
    )


def _generated(name: str, count: int) -> Data:
    from nearfar.series.data import generated

    if name == "seasons":
        return generated.seasons()
    usual = {"rhythms": 160, "states": 24, "patients": 18}[name]
    return getattr(generated, name)(count or usual)
