"""Where interactions come from: tables, RecBole's files, archives, generated shoppers."""

from __future__ import annotations

from pathlib import Path

from nearfar.recommend.data.files import Reading, read, read_held, read_users
from nearfar.recommend.data.interactions import FeaturedPairs, Interactions, Pairs
from nearfar.recommend.data.split import Split
from nearfar.sources.opening import as_path, nothing_there
from nearfar.sources.tables import table_in
from nearfar.training import Data

__all__ = ["EMBEDDED", "FeaturedPairs", "Interactions", "Pairs", "load", "read_users"]

EMBEDDED = {
    "shoppers": "generated shoppers whose tastes partly show in pictures and texts of the items",
    "adverts": "generated clicks on adverts, whose content tells only in part who likes them",
}


def load(
    data: str | Path | Data | None = None,
    *,
    split: Split = "random",
    holdout: float = 0.2,
    min_rating: float = 0.0,
    features: str | None = None,
    people: str | None = None,
    user_column: str | None = None,
    item_column: str | None = None,
    time_column: str | None = None,
    rating_column: str | None = None,
    shoppers: int = 600,
    max_bad: float = 0.1,
    strict: bool = False,
) -> Data:
    """Interactions from wherever they are.

    Args:
        data: a table (``.csv``, ``.tsv``, ``.json``, ``.jsonl``, ``.parquet``) with columns ``user`` and ``item`` and,
            where known, ``time`` and ``rating``; RecBole's ``.inter`` file or its folder, split or not, with what
            ``.item`` and ``.user`` say; an ``.npz``
            with ``train_indptr``, ``train_indices`` and ``shape`` and perhaps those of ``test``. Or an embedded name.
        split: which interactions of a user are held out: any (``random``) or the latest (``time``). Files that are
            split already stay so.
        holdout: the share that is held out, in [0, 1).
        min_rating: lower ratings are no interactions; 0 takes all.
        features: an ``.npz`` with ``id`` (I,) and for each kind of item feature a matrix (I, F), or a table with a
            column ``item``: its numbers and categories become the kind ``columns``, its texts the kind ``texts``.
        people: a table with a column ``user`` that says something of users, in the same way.
        user_column, item_column: the columns of a table that name them, if not ``user``, ``item`` or the like.
        time_column, rating_column: those of when and how much, if not ``time``, ``rating`` or the like.
        shoppers: how many users the generated data has.
        max_bad: largest share of unreadable rows.
        strict: the first unreadable row is an error.
    """
    if isinstance(data, Data):
        return data
    if data is None or str(data) == "shoppers":
        from nearfar.recommend.data.shoppers import shoppers as generated

        return generated(shoppers)
    if str(data) == "adverts":
        from nearfar.recommend.data.adverts import adverts

        return adverts(min(shoppers, 400))
    table = table_in(data)
    path = (
        Path("the table")
        if table is not None
        else as_path(data, "interactions", EMBEDDED, "a table of columns or a list of rows")
    )
    if table is None and not path.exists():
        raise nothing_there(path, EMBEDDED)
    named = (user_column, item_column, time_column, rating_column)
    tables = [Path(given) if given else None for given in (features, people)]
    for given in tables:
        if given is not None and not given.is_file():
            raise FileNotFoundError(f"there is no file {given} of features")
    how = Reading(split, holdout, min_rating, tables[0], max_bad, strict, tables[1], named)
    return read(path, how) if table is None else read_held(table, how)
