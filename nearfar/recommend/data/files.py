"""Interactions from people's files: tables, RecBole's atomic files, archives of compressed rows."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from nearfar.recommend.data.features import table_features
from nearfar.recommend.data.interactions import Interactions
from nearfar.recommend.data.split import Split, held_out
from nearfar.sources.archives import read_npz
from nearfar.sources.roles import with_roles
from nearfar.sources.skipped import Skipped
from nearfar.sources.tables import TABLES, Table, read_table

USER = ("user", "user_id", "userid", "uid")
ITEM = ("item", "item_id", "itemid", "iid", "movie_id", "product_id")
TIME = ("time", "timestamp", "date")
RATING = ("rating", "score", "stars")
ATOMIC = ".inter"


class Reading(NamedTuple):
    """How a table of interactions is read.

    Attributes:
        split, holdout: which interactions are held out.
        min_rating: lower ratings are no interactions; 0 takes all.
        features: an archive or a table of item features, or nothing.
        people: a table of user features, or nothing.
        max_bad, strict: how many unreadable rows are borne.
        named: the columns of users, items, times and ratings that somebody asked for.
    """

    split: Split = "random"
    holdout: float = 0.2
    min_rating: float = 0.0
    features: Path | None = None
    max_bad: float = 0.1
    strict: bool = False
    people: Path | None = None
    named: tuple[str | None, str | None, str | None, str | None] = (None, None, None, None)


def read(path: Path, how: Reading) -> Interactions:
    """Interactions of a file or of a folder with RecBole's files.

    Raises:
        ValueError: a file of another kind, without users or items, or with too many unreadable rows.
    """
    if path.is_dir():
        return _folder(path, how)
    if path.suffix == ".npz":
        return _archive(path, how)
    if path.suffix in (*TABLES, ATOMIC):
        return _interactions([(path, None)], how, path.stem)
    raise ValueError(f"{path} holds no interactions this reads; accepted are {', '.join((*TABLES, ATOMIC, '.npz'))}")


def read_held(table: Table, how: Reading) -> Interactions:
    """Interactions of a table that a program holds."""
    return _interactions([(Path("the table"), None)], how, "interactions", table)


def read_users(path: Path) -> list[str]:
    """Names of users: a table's column ``user`` or only column, or the lines of a text file."""
    if path.suffix in (*TABLES, ".user"):
        table = _table(path)
        column = table.first(*USER) or (next(iter(table.columns.values())) if len(table.columns) == 1 else None)
        if column is None:
            raise ValueError(f"{path} has no column of users: it has {', '.join(table.columns)}; expected {USER[0]}")
        return [str(name) for name in column if name is not None and str(name).strip()]
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _folder(path: Path, how: Reading) -> Interactions:
    """RecBole's folder: one ``.inter``, or one each for training (and validation) and for testing, and what its
    ``.item`` and ``.user`` say of items and users, where nothing else does."""
    files = sorted(path.glob(f"*{ATOMIC}"))
    if not files:
        raise ValueError(f"{path} holds no file *{ATOMIC}; expected a folder in RecBole's form")
    how = how._replace(
        features=how.features or next(iter(sorted(path.glob("*.item"))), None),
        people=how.people or next(iter(sorted(path.glob("*.user"))), None),
    )
    parts = {file.name.split(".")[-2]: file for file in files if file.name.count(".") > 1}
    if {"train", "test"} <= set(parts):
        learn = [(parts[name], False) for name in ("train", "valid") if name in parts]
        return _interactions([*learn, (parts["test"], True)], how, path.name)
    if len(files) > 1:
        raise ValueError(
            f"{path} holds {len(files)} files *{ATOMIC}; expected one, or *.train{ATOMIC} and *.test{ATOMIC}"
        )
    return _interactions([(files[0], None)], how, path.name)


def _table(path: Path) -> Table:
    """A table; RecBole's atomic files are separated by tabs, and their names end in a type (``user_id:token``)."""
    table = read_table(path, ".tsv" if path.suffix not in TABLES else "")
    return table._replace(columns={name.partition(":")[0]: values for name, values in table.columns.items()})


def _interactions(
    files: list[tuple[Path, bool | None]], how: Reading, name: str, held: Table | None = None
) -> Interactions:
    """From tables whose rows are to learn from (False), held out (True), or to be split (None)."""
    users: list[str] = []
    items: list[str] = []
    times: list[float] = []
    out: list[bool | None] = []
    bad: list[tuple[str, str]] = []
    total = low = 0
    timed = True
    for path, test in files:
        asked = zip(("users", "items", "times", "ratings"), (USER, ITEM, TIME, RATING), how.named, strict=True)
        table, taken = with_roles(
            _table(path) if held is None else held, str(path), {role: (usual, name) for role, usual, name in asked}
        )
        who, what, when, stars = (table.first(*names) for names in (USER, ITEM, TIME, RATING))
        if who is None or what is None:
            missing = "user" if who is None else "item"
            raise ValueError(f"{path} has no column {missing}: it has {', '.join(table.columns)}")
        nothing = [None] * len(table.places)
        reasons = [*map(_why_not, who, what, when or nothing, stars or nothing)]
        if any(reasons):
            table = table.without(reasons.__getitem__)
        who, what, when, stars = (table.first(*names) for names in (USER, ITEM, TIME, RATING))
        prefix = f"{path.name}, " if len(files) > 1 else ""
        bad += [(prefix + place, why) for place, why in table.bad]
        total += len(table.places) + len(table.bad)
        timed = timed and when is not None
        assert who is not None
        assert what is not None
        for row in range(len(table.places)):
            if stars is not None and how.min_rating and float(stars[row]) < how.min_rating:
                low += 1
                continue
            users.append(str(who[row]).strip())
            items.append(str(what[row]).strip())
            times.append(_seconds(when[row]) if when is not None else 0.0)
            out.append(test)
    skipped = Skipped(total, strict=how.strict, max_bad=how.max_bad, kind="rows")
    skipped.set_aside(bad, str(files[0][0]))
    if not users:
        raise ValueError(
            f"{files[0][0]} holds no interactions" + f" with a rating of {how.min_rating:g} or more" * bool(low)
        )
    data = _assemble(users, items, np.array(times) if timed else None, out, how, name)
    data.skipped, data.taken = skipped, taken
    return data


def _assemble(
    users: list[str], items: list[str], times: np.ndarray | None, out: list[bool | None], how: Reading, name: str
) -> Interactions:
    user_ids, row = np.unique(users, return_inverse=True)
    item_ids, column = np.unique(items, return_inverse=True)
    # Of a choice that was made again the first counts.
    order = np.arange(len(row)) if times is None else np.argsort(times, kind="stable")
    first = np.sort(order[np.unique((row * len(item_ids) + column)[order], return_index=True)[1]])
    if len(first) < len(row):
        warnings.warn(
            f"{len(row) - len(first)} of {len(row)} interactions repeat another and were left out", stacklevel=4
        )
    row, column, kinds = row[first], column[first], [out[i] for i in first]
    when = None if times is None else times[first]
    if None in kinds:
        mask = held_out(row, when, how.split, how.holdout)
    else:
        mask = np.array(kinds, dtype=bool)
    shape = (len(user_ids), len(item_ids))
    learn, test = (sparse.csr_matrix((np.ones(m.sum(), np.float32), (row[m], column[m])), shape) for m in (~mask, mask))
    return Interactions(
        learn,
        test,
        user_ids=user_ids,
        item_ids=item_ids,
        item_features=_item_features(how.features, item_ids) if how.features else None,
        user_features=_described(how.people, user_ids, USER) if how.people else None,
        name=name,
    )


def _why_not(user: Any, item: Any, time: Any, rating: Any) -> str:
    for what, value in (("user", user), ("item", item)):
        if value is None or (isinstance(value, float) and math.isnan(value)) or not str(value).strip():
            return f"the {what} is missing"
    if time is not None and not math.isfinite(_seconds(time)):
        return f"the time {time!r} is no number and no date"
    if rating is not None:
        try:
            if math.isfinite(float(rating)):
                return ""
        except (TypeError, ValueError):
            pass
        return f"the rating {rating!r} is no number"
    return ""


def _seconds(value: Any) -> float:
    """A number as it is, a date as seconds; NaN where it is neither."""
    try:
        return float(value)
    except (TypeError, ValueError):
        pass
    try:
        return float(np.datetime64(value, "s").astype(np.int64))
    except (TypeError, ValueError):
        return math.nan


def _described(path: Path, ids: np.ndarray, whom: tuple[str, ...]) -> dict[str, np.ndarray]:
    """What a table says of items or users."""
    table = _table(path)
    which = next((name for name in whom if name in table.columns), None)
    if which is None:
        raise ValueError(f"{path} has no column {whom[0]}: it has {', '.join(table.columns)}")
    rest = {name: cells for name, cells in table.columns.items() if name != which}
    return table_features(rest, table.columns[which], ids, str(path))


def _item_features(path: Path, item_ids: np.ndarray) -> dict[str, np.ndarray]:
    if path.suffix != ".npz":
        return _described(path, item_ids, ITEM)
    arrays = read_npz(path)
    if "id" not in arrays:
        raise ValueError(f"{path} names no items: it holds {', '.join(arrays)}; expected id and a matrix for each kind")
    place = {name: row for row, name in enumerate(arrays.pop("id").astype(str).tolist())}
    missing = [name for name in item_ids.tolist() if name not in place]
    if missing:
        raise ValueError(
            f"{path} has no features of {len(missing)} of {len(item_ids)} items, the first is {missing[0]}"
        )
    rows = np.array([place[name] for name in item_ids.tolist()])
    short = next((name for name, matrix in arrays.items() if matrix.ndim != 2 or len(matrix) != len(place)), None)
    if short:
        raise ValueError(f"{path}, {short}: expected a matrix with a row for each of the {len(place)} ids")
    return {name: matrix[rows] for name, matrix in arrays.items()}


def _archive(path: Path, how: Reading) -> Interactions:
    """Compressed rows ``train_indptr``, ``train_indices``, perhaps ``test_...``, and ``shape``."""
    arrays = read_npz(path)
    needed = ("train_indptr", "train_indices", "shape")
    if any(name not in arrays for name in needed):
        raise ValueError(f"{path} holds {', '.join(arrays)}; expected {', '.join(needed)} and perhaps those of test")
    shape = tuple(int(n) for n in np.ravel(arrays["shape"]))
    learn, test = (_compressed(arrays, part, shape, path) for part in ("train", "test"))
    if test is None and how.holdout:
        rows = learn.tocoo()
        mask = held_out(rows.row, None, "random", how.holdout)
        learn, test = (sparse.csr_matrix((rows.data[m], (rows.row[m], rows.col[m])), shape) for m in (~mask, mask))
    ids = np.arange(shape[1]).astype(str)
    features = _item_features(how.features, ids) if how.features else None
    return Interactions(learn, test, item_features=features, name=path.stem)


def _compressed(arrays: dict[str, np.ndarray], part: str, shape: tuple[int, ...], path: Path) -> Any:
    if f"{part}_indptr" not in arrays or f"{part}_indices" not in arrays:
        return None
    indices = arrays[f"{part}_indices"].astype(np.int64)
    try:
        matrix = sparse.csr_matrix((np.ones(len(indices), np.float32), indices, arrays[f"{part}_indptr"]), shape)
        matrix.check_format(full_check=True)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: the rows of {part} do not fit a matrix of shape {shape}: {error}") from error
    return matrix
