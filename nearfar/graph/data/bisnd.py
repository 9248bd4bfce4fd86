"""The BiSND data set: users of a social network, of whom half are no longer there."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nearfar.graph.data.node_graph import NodeGraph
from nearfar.sources.tables import read_table

FILES = ("features.csv", "labels.csv", "edges.csv")
MASKS = ("train", "val", "test")


class BiSND(NodeGraph):
    """A folder of the BiSND data set (arXiv 2503.02397): ``directed``, ``undirected`` or ``no_edges``.

    ``features.csv`` (``node_id`` and numbers), ``labels.csv`` (``node_id``, ``label``), ``edges.csv`` (``source``,
    ``target``) and the masks of a split. Whoever has a table of users and one of mentions can bring them in the same
    form; labels, edges and masks may then be missing.

    Ids have up to 19 digits and are read as whole numbers: parsed as decimal numbers they lose the last ones, and the
    sample loader of the release uses them as positions. Rows are sorted by id. The masks' ``node_id`` are positions,
    0 to N - 1, in that order. Loops from a user to itself are left out. Features are standardised on the training rows,
    or on all where there is no split.

    Args:
        folder: where the files are.
        undirected: add the other direction of every edge; where not given, for a folder called ``undirected`` alone.
        log: take ``sign(x) log(1 + |x|)`` of the features first, which range to millions.

    Attributes:
        masks: (N,) bool by name, ``train``, ``val`` and ``test``, where the folder has them.

    Raises:
        ValueError: a file that is missing or whose ids, numbers or positions do not fit.
    """

    def __init__(self, folder: Path | str, *, undirected: bool | None = None, log: bool = False) -> None:
        folder = Path(folder)
        ids, x, _ = _numbers(folder / FILES[0])
        order = np.argsort(ids, kind="stable")
        ids, x = ids[order], x[order]
        if len(np.unique(ids)) < len(ids):
            raise ValueError(f"{folder / FILES[0]} names a user twice: {ids[:-1][ids[1:] == ids[:-1]][0]}")
        self._ids = ids
        self.masks = {name: self._mask(folder / f"{name}_mask.csv") for name in MASKS}
        self.masks = {name: mask for name, mask in self.masks.items() if mask is not None}
        if log:
            x = np.sign(x) * np.log1p(np.abs(x))
        rows = self.masks.get("train", np.ones(len(x), dtype=bool))
        spread = x[rows].std(0)
        x = (x - x[rows].mean(0)) / np.where(spread > 0, spread, 1)
        edges = self._edges(folder / FILES[2])
        if folder.name == "undirected" if undirected is None else undirected:
            edges = np.concatenate([edges, edges[::-1]], 1)
        super().__init__(x, edges, self._labels(folder / FILES[1]), name=folder.name, normalize=False, ids=ids)

    def _positions(self, ids: np.ndarray, path: Path) -> np.ndarray:
        place = np.searchsorted(self._ids, ids).clip(max=len(self._ids) - 1)
        unknown = self._ids[place] != ids
        if unknown.any():
            raise ValueError(
                f"{path} names {int(unknown.sum())} users without features, the first is {ids[unknown][0]}"
            )
        return place

    def _labels(self, path: Path) -> np.ndarray | None:
        if not path.is_file():
            return None
        ids, values, _ = _numbers(path)
        labels = np.full(len(self._ids), -1, dtype=np.int64)  # no label
        labels[self._positions(ids, path)] = values[:, 0].astype(np.int64)
        return labels

    def _edges(self, path: Path) -> np.ndarray:
        if not path.is_file():
            return np.empty((2, 0), dtype=np.int64)
        try:
            table = read_table(path)
        except ValueError as error:
            if "holds no rows" in str(error):
                return np.empty((2, 0), dtype=np.int64)
            raise
        ends = [_whole(table.columns, name, path) for name in ("source", "target")]
        return np.unique(np.stack([self._positions(end, path) for end in ends]), axis=1)

    def _mask(self, path: Path) -> np.ndarray | None:
        if not path.is_file():
            return None
        positions, _, _ = _numbers(path)
        if positions.min() < 0 or positions.max() >= len(self._ids):
            raise ValueError(f"{path} holds positions {positions.min()} to {positions.max()} of {len(self._ids)} users")
        return np.isin(np.arange(len(self._ids)), positions)


def _numbers(path: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """``node_id`` as whole numbers, the other columns as numbers (N, F), and their names."""
    if not path.is_file():
        raise ValueError(f"{path.parent} has no {path.name}")
    table = read_table(path)
    ids = _whole(table.columns, "node_id", path)
    names = [name for name in table.columns if name not in ("node_id", "")]
    try:
        values = np.array([[float(value) for value in table.columns[name]] for name in names], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} holds something that is no number: {error}") from error
    return ids, values.T.reshape(len(ids), len(names)), names


def _whole(columns: dict[str, list], name: str, path: Path) -> np.ndarray:
    if name not in columns:
        raise ValueError(f"{path} has no column {name}: it has {', '.join(columns)}")
    try:
        return np.array([int(value) for value in columns[name]], dtype=np.int64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{path}, column {name}, holds something that is no whole number: {error}") from error
