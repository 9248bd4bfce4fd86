"""Where tables come from: files, arrays, and generated ones whose anomalies are known."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.sources.archives import read_npz
from nearfar.sources.opening import as_array, nothing_there
from nearfar.sources.skipped import Skipped
from nearfar.sources.tables import TABLES, Table, labels_of, read_table, suffix_of, table_in
from nearfar.spelling import one_of
from nearfar.tabular.data.rows import Rows, divide
from nearfar.tabular.schema import describe
from nearfar.training import Data

__all__ = ["EMBEDDED", "Rows", "divide", "load"]

EMBEDDED = {
    "flows": "generated network flows: rows on a curved surface and rows beside it, numbers and a category",
    "region": "places of a generated region, with pictures, counts and a price",
}
GAPS = {"", "?", "nan", "na", "null", "none"}
LABEL = ("label", "labels", "class", "anomaly", "outlier")
PLACE = (("longitude", "lon", "lng"), ("latitude", "lat"))


def load(
    data: str | Path | np.ndarray | Data | None = None,
    *,
    test: str = "",
    label_column: str = "",
    normal: str = "",
    leave_out: str = "",
    division: int = 0,
    count: int = 2000,
    strict: bool = False,
    max_bad: float = 0.1,
) -> Data:
    """A table from wherever it is.

    With labels, half of the normal rows are for training and all other rows for test, unless a file of test rows is
    named: then all normal rows are for training. Without labels all rows are. A table for ``nearfar score`` is rated
    row by row as it is.

    Args:
        data: a ``.csv``, ``.tsv``, ``.json``, ``.jsonl`` or ``.parquet`` file with a row per example, its columns
            numbers or categories, with gaps; ``.npz`` with ``X`` (N, F) and perhaps ``y``, as in ADBench, or with
            ``lonlat`` (N, 2), ``images`` (N, H, W, 3), ``counts`` (N, kinds, 7, 7), columns (N,) and ``y``; an array
            (N, F); an embedded name, ``flows`` when nothing is given. A column ``id`` names rows; ``longitude`` and
            ``latitude`` place them.
        test: file of test rows.
        label_column: name of the column that says what a row is; ``label``, ``class`` or ``anomaly`` when not given.
        normal: the label of normal rows; 0, normal, benign or no when not given.
        leave_out: columns not to learn from, between commas.
        division: seed of the division into training and test rows.
        count: number of normal rows that embedded tables generate.
        strict: stop at the first row that cannot be used, instead of leaving it out and listing it.
        max_bad: largest share of rows that may be unusable, in [0, 1]; more stop the run.
    """
    if isinstance(data, Rows) or (data is not None and isinstance(data, Data)):
        return data
    options: dict[str, Any] = {"label": label_column, "normal": normal, "leave_out": leave_out}
    options |= {"strict": strict, "max_bad": max_bad}
    if data is None or (isinstance(data, str) and data in GENERATORS):
        found = GENERATORS[str(data or "flows")](count)
        return found if found.test is not None else divide(found, division)
    rows = _rows(data, **options)
    if not test:
        return divide(rows, division)
    held = _rows(Path(test), **options)
    anomalous = rows.anomalous
    kept = np.arange(len(rows)) if anomalous is None or anomalous.all() else np.flatnonzero(~anomalous)
    return rows.chosen(kept, rows.name, held)


def _rows(data: str | Path | np.ndarray, *, label: str, normal: str, leave_out: str, **bad: Any) -> Rows:
    left = [n.strip().lower() for n in leave_out.split(",") if n.strip()]
    held = None if isinstance(data, str | Path) else table_in(data)
    if held is not None:
        return _table(Path("the table"), label.lower(), normal, left, held=held, **bad)
    if not isinstance(data, str | Path):
        return _matrix(as_array(data, "a table"), None, normal, "array")
    path = Path(data)
    if not path.is_file():
        raise nothing_there(path, EMBEDDED)
    suffix = suffix_of(path)
    if suffix == ".npz":
        arrays = {name.lower(): array for name, array in read_npz(path).items()}
        if "lonlat" in arrays:
            return _placed(arrays, path)
        if "x" not in arrays:
            raise ValueError(f"{path} holds {', '.join(arrays)}; expected X, (N, F), and perhaps y")
        return _matrix(arrays["x"], arrays.get("y"), normal, path.stem)
    if suffix not in TABLES:
        raise ValueError(f"{path} is no table that this reads: {', '.join((*TABLES, '.npz'))}")
    return _table(path, label.lower(), normal, left, **bad)


def _placed(arrays: Mapping[str, np.ndarray], path: Path) -> Rows:
    """Places (N, 2) with arrays (N, channels, H, W), or pictures (N, H, W, 3) of bytes, and columns (N,)."""
    places = arrays["lonlat"]
    if places.ndim != 2 or places.shape[1] != 2 or places.dtype.kind not in "iuf":
        raise ValueError(f"{path}: lonlat must be numbers (N, 2), got {places.dtype} of shape {places.shape}")
    columns = {name: array for name, array in arrays.items() if array.ndim == 1 and name != "y"}
    views = {name: array for name, array in arrays.items() if array.ndim == 4}
    if views.get("images") is not None and views["images"].shape[3] == 3:
        views["images"] = views["images"].transpose(0, 3, 1, 2) / 255
    if "counts" in views and views["counts"].shape[2:] != (7, 7):
        raise ValueError(f"{path}: counts must have shape (N, kinds, 7, 7), got {views['counts'].shape}")
    return Rows(columns, arrays.get("y"), places=places, views=views, name=path.stem)


def _matrix(x: np.ndarray, y: np.ndarray | None, normal: str, name: str) -> Rows:
    if x.ndim != 2 or x.dtype.kind not in "biuf" or 0 in x.shape:
        raise ValueError(f"{name} has shape {x.shape} of {x.dtype}; expected numbers (N, F)")
    if np.isinf(x.astype(np.float64)).any():
        raise ValueError(f"{name} holds infinite values; write gaps as NaN")
    columns = {f"feature {i}": x[:, i] for i in range(x.shape[1])}
    return Rows(columns, None if y is None else np.asarray(y).reshape(-1), normal=normal, name=name)


def _table(
    path: Path, label: str, normal: str, left: list[str], *, strict: bool, max_bad: float, held: Table | None = None
) -> Rows:
    table = read_table(path) if held is None else held
    for name in (*([label] if label else []), *left):
        if name not in table.columns:
            raise ValueError(f"{path} has no column {name!r}{one_of(name, table.columns, are='it has')}")
    skipped = Skipped(len(table.places) + len(table.bad), strict=strict, max_bad=max_bad, kind="rows")
    cells = {name: _numbers(values) for name, values in table.columns.items()}
    infinite = np.zeros(len(table.places), dtype=bool)
    for values in cells.values():
        if values.dtype.kind == "f":
            infinite |= np.isinf(values)
    bad = [(table.places[row], "it holds an infinite value") for row in np.flatnonzero(infinite)]
    skipped.set_aside([*table.bad, *bad], str(path))
    kept = np.flatnonzero(~infinite)
    if not len(kept):
        raise ValueError(f"{path} holds no row that can be used")
    which = label or next((name for name in LABEL if name in cells), "")
    labels = labels_of([table.columns[which][row] for row in kept]) if which else None
    ids = np.array([str(table.columns["id"][row]) for row in kept]) if "id" in cells else None
    places = _places(cells, kept)
    placed = {name for names in PLACE for name in names} if places is not None else set()
    columns = {n: v[kept] for n, v in cells.items() if n not in {which, "id", *left, *placed}}
    rows = Rows(columns, labels, ids=ids, places=places, normal=normal, name=path.stem, skipped=skipped)
    taken = [f"{column} as {role}" for column, role in ((which, "labels"), ("id", "ids")) if column in cells]
    rows.taken = f"columns: {', '.join([*taken, f'{len(columns)} to learn from'])}"
    unused = describe(rows.columns)[1] if rows.columns else []
    if unused:
        warnings.warn(f"columns {', '.join(unused)} of {path} are empty or hardly recur, and are not learned from")
    return rows


def _numbers(cells: list[Any]) -> np.ndarray:
    """A column as float64 with NaN for gaps where every cell is a number or a gap, otherwise as words."""
    clean = [None if c is None or (isinstance(c, str) and c.strip().lower() in GAPS) else c for c in cells]
    try:
        return np.array([np.nan if c is None else float(c) for c in clean])
    except (ValueError, TypeError):
        return np.array(["" if c is None else str(c).strip() for c in clean])


def _places(cells: Mapping[str, np.ndarray], kept: np.ndarray) -> np.ndarray | None:
    found = [next((n for n in names if n in cells), None) for names in PLACE]
    if None in found or any(cells[str(name)].dtype.kind != "f" for name in found):
        return None
    return np.stack([cells[str(name)][kept] for name in found], 1)


def _flows(count: int) -> Rows:
    from nearfar.tabular.data.generated import flows

    return flows(count)


def _region(count: int) -> Rows:
    from nearfar.tabular.data.generated import region

    return region(count)


GENERATORS: dict[str, Callable[[int], Rows]] = {"flows": _flows, "region": _region}
