"""Series from tables: one row per step (long), or one row per series (wide)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.series.data.archive import GAPS, trimmed
from nearfar.series.data.series_set import SeriesSet
from nearfar.sources.roles import with_roles
from nearfar.sources.skipped import Skipped
from nearfar.sources.tables import Table, labels_of, read_table

__all__ = ["calendar", "read_columns"]

TIME = ("time", "date", "timestamp", "datetime", "ds")
SERIES = ("id", "series", "series_id", "unique_id", "item_id", "segment")
PATIENT = ("patient", "subject")
TRIAL = ("trial", "recording", "session")
LABEL = ("label", "labels", "class")
STATE = ("state", "activity")
ROLES = {"times": TIME, "series": SERIES, "labels": LABEL}


def read_columns(
    path: Path, named: Mapping[str, str | None] | None = None, *, strict: bool = False, max_bad: float = 0.1
) -> SeriesSet:
    """A table as series; ``named`` has the columns of ``times``, ``series`` and ``labels`` that somebody asked for.

    With a column of time every row is a step: of the series that the columns ``id``, ``patient``, ``trial`` name, or of
    a single one. Without, every row is a series and every column of numbers, in order, a step.
    """
    roles = {role: (usual, (named or {}).get(role)) for role, usual in ROLES.items()}
    table, taken = with_roles(read_table(path), str(path), roles)
    skipped = Skipped(len(table.places) + len(table.bad), strict=strict, max_bad=max_bad, kind="rows")
    if table.first(*TIME) is not None or table.first(*TRIAL) is not None:
        found = _long(table, path, skipped)
    else:
        found = _wide(table, path, skipped)
    found.taken = taken.partition("; not taken")[0] if " as " in taken else ""
    return found


def _name(table: Table, names: Sequence[str]) -> str | None:
    return next((name for name in names if name in table.columns), None)


def _wide(table: Table, path: Path, skipped: Skipped) -> SeriesSet:
    special = {_name(table, names) for names in (SERIES, PATIENT, TRIAL, LABEL)}
    steps = [name for name in table.columns if name not in special]
    if not steps:
        raise ValueError(f"{path} has no columns of numbers: its columns are {', '.join(table.columns)}")
    values, bad = _matrix(table, steps)
    empty = np.isnan(values).all(1)
    bad |= {int(row): "every value is missing" for row in np.flatnonzero(empty) if int(row) not in bad}
    skipped.set_aside([*table.bad, *((table.places[row], why) for row, why in bad.items())], str(path))
    kept = [row for row in range(len(values)) if row not in bad]
    if not kept:
        raise ValueError(f"{path} holds no series; the first problem: {next(iter(skipped.items()))}")
    return SeriesSet(
        [trimmed(values[row][:, None]) for row in kept],
        labels_of(_chosen(table.first(*LABEL), kept)),
        ids=_ids(_chosen(table.first(*SERIES), kept)),
        groups=_groups(table, kept),
        name=path.stem,
        skipped=skipped,
    )


def _long(table: Table, path: Path, skipped: Skipped) -> SeriesSet:
    special = {_name(table, names) for names in (TIME, SERIES, PATIENT, TRIAL, LABEL, STATE)}
    channels = [name for name in table.columns if name not in special]
    if not channels:
        raise ValueError(f"{path} has no columns of numbers: its columns are {', '.join(table.columns)}")
    values, bad = _matrix(table, channels)
    time = _times(table.first(*TIME) or [*range(len(values))], bad)
    keys = [table.columns[name] for name in (_name(table, n) for n in (PATIENT, TRIAL, SERIES)) if name]
    owner = ["/".join(map(str, key)) for key in zip(*keys, strict=True)] if keys else [path.stem] * len(values)
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(owner):
        if row not in bad:
            rows.setdefault(name, []).append(row)
    ordered: dict[str, list[int]] = {}
    unsorted = 0
    for name, members in rows.items():
        order = sorted(members, key=lambda row: time[row])
        unsorted += order != members
        ordered[name] = []
        for row in order:
            if ordered[name] and time[row] == time[ordered[name][-1]]:
                bad[row] = f"series {name} has another row of the same time"
            else:
                ordered[name].append(row)
    empty = [name for name, members in ordered.items() if np.isnan(values[members]).all()]
    if len(ordered) > 1:  # a table of one series says for itself that it holds nothing
        for name in empty:
            bad |= dict.fromkeys(ordered.pop(name), f"every value of series {name} is missing")
    skipped.set_aside([*table.bad, *((table.places[row], why) for row, why in sorted(bad.items()))], str(path))
    if not ordered:
        raise ValueError(f"{path} holds no series; the first problem: {next(iter(skipped.items()))}")
    if unsorted:
        warnings.warn(f"the rows of {unsorted} series of {path} were not in the order of time; they are now")
    first = [members[0] for members in ordered.values()]
    state = labels_of(table.first(*STATE))
    return SeriesSet(
        [values[members] for members in ordered.values()],
        labels_of(_chosen(table.first(*LABEL), first)),
        ids=np.array([*ordered]),
        groups=_groups(table, first),
        times=[np.array([time[row] for row in members]) for members in ordered.values()],
        states=None if state is None else [state[members] for members in ordered.values()],
        channels=channels,
        name=path.stem,
        skipped=skipped,
    )


def _matrix(table: Table, names: list[str]) -> tuple[np.ndarray, dict[int, str]]:
    """(rows, columns) numbers, NaN for gaps, and the rows with a cell that is neither."""
    values = np.full((len(table.places), len(names)), np.nan)
    bad: dict[int, str] = {}
    for column, name in enumerate(names):
        cells = table.columns[name]
        try:
            values[:, column] = np.array(cells, dtype=np.float64)  # None and empty cells do not pass
            continue
        except (ValueError, TypeError):
            pass
        for row, cell in enumerate(cells):
            if cell is None or (isinstance(cell, str) and cell.strip().lower() in GAPS):
                continue
            try:
                values[row, column] = float(cell)
            except (ValueError, TypeError):
                bad.setdefault(row, f"column {name} holds {str(cell)[:40]!r}, which is no number")
    for infinite in np.flatnonzero(np.isinf(values).any(1)):
        bad.setdefault(int(infinite), "it holds an infinite value")
    if len(bad) == len(values):
        raise ValueError(f"no row holds numbers alone; {table.places[0]}: {bad[0]}")
    return values, bad


def _times(cells: list[Any], bad: dict[int, str]) -> list[Any]:
    """Numbers, or dates; rows with neither, or with another kind than the first row's, become bad."""
    found: list[Any] = []
    for row, cell in enumerate(cells):
        when = _time(cell)
        if when is None or (found and type(when) is not type(found[0])):
            bad.setdefault(row, f"its time {str(cell)[:40]!r} is neither a number nor a date")
            when = found[0] if found else 0.0
        found.append(when)
    return found


def _time(cell: Any) -> Any:
    if isinstance(cell, datetime):
        return np.datetime64(cell.replace(tzinfo=None), "us")
    try:
        number = float(cell)
    except (ValueError, TypeError):
        pass
    else:
        return number if np.isfinite(number) else None
    try:
        return np.datetime64(datetime.fromisoformat(str(cell).strip().replace("/", "-")).replace(tzinfo=None), "us")
    except ValueError:
        return None


def calendar(times: np.ndarray | None) -> np.ndarray | None:
    """Hour, weekday, day of the month and of the year in [-0.5, 0.5], (T, 4); ``None`` where times are no dates."""
    if times is None or np.asarray(times).dtype.kind != "M":
        return None
    days = times.astype("datetime64[D]")
    hour = (times - days) / np.timedelta64(1, "h")
    month = (days - times.astype("datetime64[M]")).astype(int)
    year = (days - times.astype("datetime64[Y]")).astype(int)
    weekday = (days.astype(int) + 3) % 7
    return np.stack([hour / 23, weekday / 6, month / 30, year / 365], 1).astype(np.float32) - 0.5


def _chosen(cells: list[Any] | None, rows: list[int]) -> list[Any] | None:
    return None if cells is None else [cells[row] for row in rows]


def _ids(cells: list[Any] | None) -> np.ndarray | None:
    return None if cells is None else np.array([*map(str, cells)])


def _groups(table: Table, rows: list[int]) -> np.ndarray:
    """(N, 2): patients and trials by number; -1 where the table has no such column. A trial belongs to its patient."""
    patient, trial = table.first(*PATIENT), table.first(*TRIAL)
    found = np.full((len(rows), 2), -1)
    if patient is not None:
        found[:, 0] = np.unique([str(patient[row]) for row in rows], return_inverse=True)[1]
    if trial is not None:
        names = [f"{patient[row] if patient is not None else ''}/{trial[row]}" for row in rows]
        found[:, 1] = np.unique(names, return_inverse=True)[1]
    return found
