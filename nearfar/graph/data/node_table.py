"""A graph of two tables: its nodes, with what is known of each, and its edges, by the nodes' own names."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.graph.data.linked import LinkedGraph
from nearfar.graph.data.node_graph import NodeGraph
from nearfar.sources.arrow import Columns, as_column, categories, identities, numbers, read_arrow
from nearfar.sources.skipped import Skipped
from nearfar.sources.tables import TABLES

__all__ = ["beside", "ends_among", "from_edges", "from_frame", "from_tables"]

ID = ("id", "node_id", "node", "nodeid")
LABEL = ("label", "y", "class")
KIND = ("kind", "node_type", "type")
ENDS = (("source", "target"), ("src", "dst"), ("from", "to"), ("head", "tail"))
MOST_VALUES = 100
"""Different texts of a column that become features."""


def beside(path: Path) -> tuple[Path, Path] | None:
    """The tables of nodes and of edges that a folder holds, or of which ``path`` is one; ``None`` where there are not
    both."""
    folder = path if path.is_dir() else path.parent
    if path.is_file() and path.name.split(".")[0].lower() not in ("nodes", "edges"):
        return None
    found = {
        part: sorted(
            p for p in folder.glob("*") if p.name.lower().removesuffix(".gz") in {f"{part}{s}" for s in TABLES}
        )
        for part in ("nodes", "edges")
    }
    for part, files in found.items():
        if len(files) > 1:
            raise ValueError(f"{folder} holds {len(files)} tables of {part}: {', '.join(p.name for p in files)}")
    if path.is_file() and not found["nodes"]:
        return None  # edges alone, whose nodes are those that they name
    if bool(found["nodes"]) != bool(found["edges"]):
        there, missing = ("nodes", "edges") if found["nodes"] else ("edges", "nodes")
        raise ValueError(
            f"{found[there][0]} needs a table of {missing} beside it, {missing}.csv or {missing}.parquet: nodes with a "
            "column id, edges with source and target"
        )
    return (found["nodes"][0], found["edges"][0]) if found["nodes"] else None


def from_tables(
    nodes: Path, edges: Path, *, label: str = "", kind: str = "", directed: bool = False, **bad: Any
) -> NodeGraph:
    """A graph of a table of nodes and one of edges.

    Args:
        nodes: with a column ``id``. Numbers are features, standardised unless all are 0 or 1, a gap being the column's
            mean; so is every value of a column of texts with at most 100 different ones. A column ``kind`` makes a
            :class:`LinkedGraph` of those of one kind.
        edges: with ``source`` and ``target`` (or ``src`` and ``dst``, ``from`` and ``to``), ids of nodes.
        label: the column that labels nodes; ``label``, ``y`` or ``class`` when not given.
        kind: which kind is embedded, of a table with several; that of the first row when not given.
        directed: whether an edge leads one way only.
        bad: ``strict`` and ``max_bad`` of :class:`nearfar.sources.skipped.Skipped`, for edges.

    Raises:
        ValueError: a column that is missing, an id that two nodes have, no edge left. BadDataError: more edges than
            ``max_bad`` name nodes that are not there.
    """
    table, links = read_arrow(nodes), read_arrow(edges)
    return from_frame(
        table,
        _ends(links, edges),
        name=nodes.parent.name or "graph",
        where=(str(nodes), str(edges)),
        damaged=links.bad,
        label=label,
        kind=kind,
        directed=directed,
        **bad,
    )


def from_edges(edges: Path, links: Columns, *, directed: bool = False, **bad: Any) -> NodeGraph:
    """A graph of edges alone: its nodes are those that they name, and what is known of each is how many it meets.

    Args:
        edges: the table that ``links`` was read from, with two columns that :func:`from_tables` would take.
        links: its columns.
        directed, bad: as for :func:`from_tables`.
    """
    ends = _ends(links, edges)
    alike = ends if ends[0].dtype.kind == ends[1].dtype.kind else [end.astype(np.str_) for end in ends]
    names = np.unique(np.concatenate(alike))
    names = names[names != "" if names.dtype.kind == "U" else names >= 0]
    where = (str(edges), str(edges))
    columns = Columns({"id": as_column(names.tolist())}, len(names), [])
    return from_frame(columns, ends, name=edges.stem, where=where, damaged=links.bad, directed=directed, **bad)


def _ends(links: Columns, edges: Path) -> tuple[np.ndarray, np.ndarray]:
    """The names of both ends of every edge.

    Raises:
        ValueError: a table without two such columns.
    """
    ends = ends_among(links.columns)
    if ends is None:
        raise ValueError(f"{edges} has no columns source and target; it has {', '.join(links.columns)}")
    first, second = (identities(links.columns[end], f"{edges}, column {end},") for end in ends)
    return first, second


def ends_among(columns: Iterable[str]) -> tuple[str, str] | None:
    """The columns of a table that name the two ends of an edge, ``None`` where there are none."""
    return next((pair for pair in ENDS if {*pair} <= {*columns}), None)


def from_frame(
    table: Columns,
    ends: tuple[np.ndarray, np.ndarray],
    *,
    name: str,
    where: tuple[str, str],
    damaged: list[tuple[str, str]] | None = None,
    label: str = "",
    kind: str = "",
    directed: bool = False,
    strict: bool = False,
    max_bad: float = 0.1,
) -> NodeGraph:
    """A graph of columns of nodes and of the two ends of each edge, as :func:`from_tables` reads them."""
    which = table.first(*ID)
    if which is None:
        raise ValueError(f"{where[0]} has no column id, by which edges name nodes; it has {', '.join(table.columns)}")
    if label and label.lower() not in table.columns:
        raise ValueError(f"{where[0]} has no column {label!r}; it has {', '.join(table.columns)}")
    labelled = label.lower() or table.first(*LABEL)
    typed = table.first(*KIND)
    ids = identities(table.columns[which], f"{where[0]}, column {which},")
    _check_ids(ids, where[0], table.bad)
    place, known = _places(ids, ends)
    skipped = Skipped(known.shape[1] + len(damaged or ()), strict=strict, max_bad=max_bad, kind="edges")
    wrong = np.flatnonzero(~known.all(0))
    strange = ((f"edge {row + 1}", f"there is no node {_unknown(ends, known, int(row))}") for row in wrong)
    skipped.set_aside([*(damaged or ()), *strange], where[1])
    edge_index = place[:, known.all(0)]
    labels = None if labelled is None else _labels(table.columns[labelled])
    features = {n: c for n, c in table.columns.items() if n not in {which, labelled, typed}}
    if typed is not None:
        kinds = _labels(table.columns[typed]).astype(np.str_)
        if len(np.unique(kinds)) > 1:
            found: NodeGraph = _linked(features, kinds, kind, edge_index, labels, ids, name, where[0])
            found.skipped = skipped
            return found
    if kind:
        raise ValueError(f"{where[0]} has nodes of one kind; leave kind out")
    if not directed:
        edge_index = both_ways(edge_index, len(ids))
    x, words, notes = _features(features, np.arange(len(ids)), where[0])
    if not x.shape[1]:
        x, words = degrees(edge_index, len(ids)), True
        notes.append("no features: the size of each node's neighbourhood stands for them")
    found = NodeGraph(x, edge_index, labels, name=name, normalize=words, ids=ids)
    found.skipped, found.notes = skipped, (*found.notes, *notes)
    return found


def both_ways(edges: np.ndarray, nodes: int) -> np.ndarray:
    """Both directions of edges (2, E), each once; loops and edges named again are left out with a warning."""
    loops = edges[0] == edges[1]
    low, high = edges.min(0), edges.max(0)
    keys = np.unique((low * nodes + high)[~loops])
    again = edges.shape[1] - int(loops.sum()) - len(keys)
    if loops.any() or again:
        warnings.warn(
            f"{int(loops.sum()):,} loops from a node to itself and {again:,} repeated edges of {edges.shape[1]:,} "
            "edges were left out",
            stacklevel=3,
        )
    low, high = keys // nodes, keys % nodes
    return np.stack([np.concatenate([low, high]), np.concatenate([high, low])])


def degrees(edge_index: np.ndarray, nodes: int) -> np.ndarray:
    """(N, C) which power of two a node's number of neighbours reaches, the features of nodes that have none."""
    powers = np.log2(np.bincount(edge_index[0], minlength=nodes) + 1).astype(np.int64)
    return np.eye(int(powers.max()) + 1, dtype=np.float32)[powers]


def _check_ids(ids: np.ndarray, where: str, damaged: list[tuple[str, str]]) -> None:
    if damaged:
        raise ValueError(f"{where}, {damaged[0][0]}: {damaged[0][1]}; {len(damaged)} nodes cannot be read")
    missing = np.flatnonzero(ids == "" if ids.dtype.kind == "U" else ids < 0)
    if len(missing):
        raise ValueError(
            f"{where}: {len(missing):,} nodes have no id (or one below 0), the first is row {missing[0] + 1}"
        )
    names, counts = np.unique(ids, return_counts=True)
    if len(names) < len(ids):
        raise ValueError(
            f"{where} names {int((counts > 1).sum()):,} nodes more than once, the first is {names[counts > 1][0]}"
        )


def _places(ids: np.ndarray, ends: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(2, E) positions of the ends among the ids, and whether each is there."""
    if ids.dtype.kind != ends[0].dtype.kind or ids.dtype.kind != ends[1].dtype.kind:
        ids, ends = ids.astype(np.str_), (ends[0].astype(np.str_), ends[1].astype(np.str_))
    order = np.argsort(ids, kind="stable")
    ranked = ids[order]
    places, known = [], []
    for end in ends:
        at = np.searchsorted(ranked, end).clip(max=len(ids) - 1)
        known.append(ranked[at] == end)
        places.append(order[at])
    return np.stack(places), np.stack(known)


def _unknown(ends: tuple[np.ndarray, np.ndarray], known: np.ndarray, row: int) -> str:
    end = ends[0] if not known[0, row] else ends[1]
    return repr(end[row].item())


def _labels(column: Any) -> np.ndarray:
    found = numbers(column)
    if found is None:
        codes, names = categories(column)
        return np.array(["", *names])[codes + 1]
    if np.isfinite(found).any() and not (found[np.isfinite(found)] % 1).any():
        return np.where(np.isfinite(found), found, -1).astype(np.int64)
    return found


def _features(columns: Mapping[str, Any], rows: np.ndarray, where: str) -> tuple[np.ndarray, bool, list[str]]:
    """(N, F) features of some rows, whether all are 0 or 1, and what to say of columns that are none."""
    parts: list[np.ndarray] = []
    unused, notes, words = [], [], True
    measured = {name: numbers(column) for name, column in columns.items()}
    for name, values in measured.items():
        if values is None:
            continue
        values = values[rows]
        infinite, gaps = np.isinf(values), np.isnan(values)
        if infinite.any():
            row = rows[np.flatnonzero(infinite)[0]] + 1
            raise ValueError(f"{where}, column {name}: row {row} holds an infinite value; write gaps as empty cells")
        if gaps.all():
            unused.append(name)
            continue
        if gaps.any():
            notes.append(f"{int(gaps.sum()):,} gaps of column {name} filled with its mean")
            values = np.where(gaps, values[~gaps].mean(), values)
        words &= not gaps.any() and bool(((values == 0) | (values == 1)).all())
        parts.append(values.astype(np.float32)[:, None])
    if parts and not words:
        parts = [_standard(np.concatenate(parts, 1))]
    for name, values in measured.items():
        if values is not None:
            continue
        codes = categories(columns[name])[0][rows]
        there = np.unique(codes[codes >= 0])
        if not 2 <= len(there) <= MOST_VALUES:
            unused.append(name)
            continue
        parts.append((codes[:, None] == there).astype(np.float32))
    if unused:
        warnings.warn(
            f"columns {', '.join(unused)} of {where} are empty, or texts of one or of more than {MOST_VALUES} values, "
            "and are not learned from",
            stacklevel=3,
        )
    return np.concatenate(parts, 1) if parts else np.empty((len(rows), 0), np.float32), words, notes


def _standard(x: np.ndarray) -> np.ndarray:
    x = x - x.mean(0)
    spread = x.std(0)
    return x / np.where(spread > 0, spread, 1)


def _linked(
    columns: Mapping[str, Any],
    kinds: np.ndarray,
    kind: str,
    edges: np.ndarray,
    labels: np.ndarray | None,
    ids: np.ndarray,
    name: str,
    where: str,
) -> LinkedGraph:
    """The nodes of one kind, linked through those of others."""
    from scipy import sparse

    there = list(dict.fromkeys(kinds.tolist()))
    kind = kind or there[0]
    if kind not in there:
        raise ValueError(f"{where} has no nodes of kind {kind!r}; it has {', '.join(there)}")
    number = np.zeros(len(kinds), dtype=np.int64)  # of each node within its kind
    for each in there:
        of_kind = kinds == each
        number[of_kind] = np.arange(of_kind.sum())
    own = np.flatnonzero(kinds == kind)
    chosen = kinds[edges] == kind
    inside = edges[:, chosen.all(0)]
    out = np.concatenate([edges[:, chosen[0] & ~chosen[1]], edges[::-1, chosen[1] & ~chosen[0]]], 1)
    links, context, notes = {}, {}, []
    for each in there:
        rows = np.flatnonzero(kinds == each)
        part = out[:, kinds[out[1]] == each]
        if each == kind or not part.shape[1]:
            continue
        cells = number[part[0]], number[part[1]]
        matrix = sparse.csr_matrix((np.ones(part.shape[1]), cells), (len(own), len(rows)))
        matrix.data[:] = 1
        links[each] = matrix
        known = _quiet_features(columns, rows, where)
        if known.shape[1]:
            context[each] = known
    left = edges.shape[1] - inside.shape[1] - out.shape[1]
    if left:
        notes.append(f"{left:,} edges between nodes of other kinds than {kind} are not used")
    x = _quiet_features(columns, own, where)
    if not x.shape[1]:
        counts = [np.log1p(np.asarray(matrix.sum(1))) for matrix in links.values()]
        x = np.concatenate([*counts, np.ones((len(own), 1))], 1).astype(np.float32)
        notes.append("no features: the numbers of links to each kind stand for them")
    found = LinkedGraph(
        x,
        links,
        context,
        None if labels is None else labels[own],
        name=name,
        ids=ids[own],
        edge_index=both_ways(np.stack([number[inside[0]], number[inside[1]]]), len(own)) if inside.size else None,
    )
    found.notes = (*found.notes, f"{kind} among {', '.join(links)}", *notes)
    return found


def _quiet_features(columns: Mapping[str, Any], rows: np.ndarray, where: str) -> np.ndarray:
    """Features of one kind of nodes; a column of other kinds, empty here, is no matter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        x, _, _ = _features(columns, rows, where)
    return x[:, x.any(0)] if x.size else x
