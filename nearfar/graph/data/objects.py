"""Graphs given as objects of Python, GraphML files, and PyTorch Geometric's data saved without code."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse

from nearfar.common.files import read_whole
from nearfar.common.memory import check_room, room
from nearfar.graph.data.graph_set import GraphSet
from nearfar.graph.data.linked import LinkedGraph
from nearfar.graph.data.node_graph import NodeGraph
from nearfar.graph.data.node_table import both_ways, degrees, from_frame
from nearfar.graph.extra import torch_geometric
from nearfar.sources.arrow import Columns, as_column
from nearfar.training import Data

__all__ = ["from_geometric", "from_graphml", "from_networkx", "from_tensors", "save_geometric"]

SAVED = (
    "save it without code by nearfar.graph.data.save_geometric(graph, 'graph.pt'), or give the object itself in Python"
)


def from_networkx(graph: Any, *, name: str = "graph", **options: Any) -> NodeGraph:
    """A graph of networkx: its nodes' attributes are columns as :func:`from_tables` reads them.

    Options are ``label``, ``kind``, ``strict`` and ``max_bad``. An edge of an undirected graph leads both ways.

    Raises:
        ValueError: no nodes, or attributes that are neither numbers nor texts.
    """
    nodes = list(graph.nodes)
    if not nodes:
        raise ValueError(f"{name} has no nodes")
    ids = np.array(nodes) if all(type(node) is int for node in nodes) else np.array([str(node) for node in nodes])
    known = dict.fromkeys(str(key) for _, attributes in graph.nodes(data=True) for key in attributes)
    columns = {}
    for key in known:
        values = [attributes.get(key) for _, attributes in graph.nodes(data=True)]
        wrong = next((v for v in values if v is not None and not isinstance(v, bool | int | float | str)), None)
        if wrong is not None:
            raise ValueError(
                f"{name}: attribute {key} of a node is a {type(wrong).__name__}; numbers and texts are read"
            )
        columns[key.lower()] = as_column(values)
    columns["id"] = as_column(ids.tolist())
    place = {node: row for row, node in enumerate(nodes)}
    ends = np.array([(place[a], place[b]) for a, b in graph.edges()], dtype=np.int64).reshape(-1, 2).T
    return from_frame(
        Columns(columns, len(nodes), []), (ids[ends[0]], ids[ends[1]]), name=name, where=(name, f"edges of {name}"),
        directed=graph.is_directed(), **options,
    )  # fmt: skip


def from_graphml(path: Path, **options: Any) -> NodeGraph:
    """A ``.graphml`` file, as :func:`from_networkx`.

    Raises:
        ValueError: no GraphML; declarations of entities, by which a small file can claim any amount of memory.
    """
    import networkx

    content = read_whole(path, room() // 20)
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise ValueError(f"{path} declares a document type or entities, which GraphML needs none of; take them out")
    try:
        graph = networkx.parse_graphml(content.decode())
    except Exception as error:  # of the parser of XML, and whatever a wrong attribute makes of it
        raise ValueError(f"{path} cannot be read as GraphML: {error}") from error
    return from_networkx(graph, name=path.stem, **options)


def save_geometric(graph: Any, path: Path | str) -> Path:
    """Write PyTorch Geometric's ``Data`` or ``HeteroData`` as plain tensors, which are read without running code.

    Everything but tensors, numbers and texts stays out, with a warning.

    Raises:
        FileExistsError: there is a file.
    """
    path = Path(path)
    if path.exists():
        raise FileExistsError(f"{path} exists; choose another name")
    left: list[str] = []
    with path.open("xb") as file:
        torch.save(_plain(graph.to_dict(), "", left), file)
    if left:
        warnings.warn(f"{', '.join(left)} of the graph are no tensors, numbers or texts, and were not saved")
    return path


def _plain(value: Any, where: str, left: list[str]) -> Any:
    if isinstance(value, Mapping):
        kept = {}
        for key, inner in value.items():
            found = _plain(inner, f"{where}.{key}".lstrip("."), left)
            if found is not None:
                kept[key] = found
        return kept
    if torch.is_tensor(value) and value.layout == torch.strided:
        return value.detach().cpu().contiguous()
    if isinstance(value, bool | int | float | str):
        return value
    left.append(where)
    return None


def from_tensors(path: Path) -> Data:
    """A ``.pt`` file of tensors by name, as :func:`save_geometric` and ``torch.save(data.to_dict())`` write.

    Raises:
        ValueError: a file that only unpickling could open, which could run any code; no graph.
    """
    check_room(path.stat().st_size, f"{path}")
    try:
        found = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:
        raise ValueError(f"{path} holds more than plain tensors, which could run any code; {SAVED}") from error
    if not isinstance(found, Mapping):
        raise ValueError(f"{path} holds a {type(found).__name__}; expected tensors by name, among them edge_index")
    geometric = torch_geometric().data
    kinds = any(isinstance(value, Mapping) for value in found.values())
    try:
        graph = geometric.HeteroData.from_dict(dict(found)) if kinds else geometric.Data.from_dict(dict(found))
    except Exception as error:
        raise ValueError(f"{path} holds no graph of PyTorch Geometric: {error}") from error
    return from_geometric(graph, name=path.stem)


def from_geometric(graph: Any, *, name: str = "graph", kind: str = "") -> Data:
    """PyTorch Geometric's ``Data``, ``HeteroData``, or a data set or list of many ``Data``.

    Nodes are known by ``node_id`` or ``n_id`` where the graph has it. Several kinds become a :class:`LinkedGraph` of
    ``kind``: when not given, of the first that has labels, or else of the first.

    Raises:
        ValueError: no edges, no nodes, features that are no numbers.
    """
    geometric = torch_geometric().data
    if isinstance(graph, geometric.HeteroData):
        return _of_kinds(graph, name, kind)
    if isinstance(graph, geometric.Data):
        edges = _edge_index(graph, name)
        x = graph.x if "x" in graph else None
        x = degrees(edges, int(graph.num_nodes or 0)) if x is None else _array(x, "x", name)
        y = None if "y" not in graph or graph.y is None else _array(graph.y, "y", name)
        ids = next((_array(graph[key], key, name) for key in ("node_id", "n_id") if key in graph), None)
        return NodeGraph(x, edges, y, name=name, ids=ids)
    graphs = list(graph) if isinstance(graph, list | tuple) or hasattr(graph, "num_node_features") else [graph]
    others = [each for each in graphs if not isinstance(each, geometric.Data)]
    wrong = ["nothing" if each is None else type(each).__name__ for each in others]
    if not graphs or wrong:
        what = "an empty list" if not graphs else wrong[0]
        raise ValueError(f"{what} is no graph; expected one of networkx or PyTorch Geometric, or a list of the latter")
    if len(graphs) == 1:
        return from_geometric(graphs[0], name=name)
    links = [_edge_index(each, f"{name}, graph {i}") for i, each in enumerate(graphs)]
    sizes = np.array([each.num_nodes for each in graphs])
    plain = any("x" not in each or each.x is None for each in graphs)
    rows = [
        np.ones((size, 1), np.float32) if plain else _array(g.x, "x", name)
        for g, size in zip(graphs, sizes, strict=True)
    ]
    labelled = all("y" in each and each.y is not None and each.y.numel() == 1 for each in graphs)
    y = np.array([each.y.item() for each in graphs]) if labelled else None
    return GraphSet(np.concatenate(rows), links, sizes, y, name=name)


def _of_kinds(graph: Any, name: str, kind: str) -> LinkedGraph:
    kinds = list(graph.node_types)
    labelled = [each for each in kinds if "y" in graph[each]]
    kind = kind or (labelled or kinds or [""])[0]
    if kind not in kinds:
        raise ValueError(f"{name} has no nodes of kind {kind!r}; it has {', '.join(kinds) or 'none'}")
    sizes = {each: _count(graph, each) for each in kinds}
    links: dict[str, Any] = {}
    own = np.empty((2, 0), dtype=np.int64)
    for first, _, second in graph.edge_types:
        edges = _edge_index(graph[first, _, second], f"{name}, {first} to {second}")
        if kind not in (first, second):
            continue
        if first == second:
            own = np.concatenate([own, edges], 1)
            continue
        if first != kind:
            edges, first, second = edges[::-1], second, first
        for end, each in zip(edges, (first, second), strict=True):
            if end.size and (end.min() < 0 or end.max() >= sizes[each]):
                raise ValueError(f"{name}: an edge names {each} {end.max()} of {sizes[each]}")
        matrix = sparse.csr_matrix((np.ones(edges.shape[1]), (edges[0], edges[1])), (sizes[kind], sizes[second]))
        matrix = matrix + links[second] if second in links else matrix
        matrix.data[:] = 1
        links[second] = matrix
    context = {k: _array(graph[k].x, "x", name) for k in links if "x" in graph[k]}
    nodes = graph[kind]
    if "x" in nodes:
        x = _array(nodes.x, "x", name)
    else:
        counts = [np.log1p(np.asarray(matrix.sum(1))) for matrix in links.values()]
        x = np.concatenate([*counts, np.ones((sizes[kind], 1))], 1).astype(np.float32)
    y = _array(nodes.y, "y", name) if "y" in nodes else None
    ids = next((_array(nodes[key], key, name) for key in ("node_id", "n_id") if key in nodes), None)
    inside = both_ways(own, sizes[kind]) if own.size else None
    return LinkedGraph(x, links, context, y, name=name, ids=ids, edge_index=inside)


def _count(graph: Any, kind: str) -> int:
    """Nodes of a kind: as many as have features or labels, or as edges tell of where there are none."""
    known = [int(graph[kind][key]) if key == "num_nodes" else len(graph[kind][key]) for key in ("x", "y", "num_nodes")
             if key in graph[kind]]  # fmt: skip
    if known:
        return known[0]
    ends = [graph[edge].edge_index[end] for edge in graph.edge_types for end in (0, 1) if edge[2 * end] == kind]
    return max((int(end.max()) + 1 for end in ends if len(end)), default=0)


def _edge_index(graph: Any, name: str) -> np.ndarray:
    if "edge_index" not in graph:
        raise ValueError(f"{name} has no edge_index; expected (2, E) node numbers")
    return _array(graph.edge_index, "edge_index", name)


def _array(value: Any, what: str, name: str) -> np.ndarray:
    if torch.is_tensor(value):
        value = value.detach().cpu()
        return (value.to_dense() if value.layout != torch.strided else value).numpy()
    if isinstance(value, np.ndarray | list):
        return np.asarray(value)
    raise ValueError(f"{name}: {what} is a {type(value).__name__}; expected a tensor")
