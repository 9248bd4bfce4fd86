"""Where graphs come from: archives, folders in the form of the TU collection, and generated ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nearfar.graph.data.bisnd import BiSND
from nearfar.graph.data.graph_set import GraphSet, from_archive, from_tu, motif_graphs
from nearfar.graph.data.kinds import LinkedKinds, OneGraph, WholeGraphs
from nearfar.graph.data.linked import LinkedGraph, from_acm, library
from nearfar.graph.data.molecules import MoleculeBatch, MoleculeSet, from_folder, from_table, generated_molecules
from nearfar.graph.data.node_graph import NodeGraph
from nearfar.graph.data.node_table import beside, ends_among, from_edges, from_tables
from nearfar.graph.data.objects import from_geometric, from_graphml, from_networkx, from_tensors, save_geometric
from nearfar.graph.data.text_graph import TextGraph, TextNodes, from_texts, notes
from nearfar.sources.archives import read_npz
from nearfar.sources.arrow import read_arrow
from nearfar.sources.opening import nothing_there
from nearfar.sources.tables import TABLES
from nearfar.training import Data

__all__ = [
    "EMBEDDED",
    "BiSND",
    "GraphSet",
    "LinkedGraph",
    "LinkedKinds",
    "MoleculeBatch",
    "MoleculeSet",
    "NodeGraph",
    "OneGraph",
    "TextGraph",
    "TextNodes",
    "WholeGraphs",
    "load",
    "save_geometric",
]

# Cells of the dense feature matrix that a sparse one may claim: 40 GB.
MOST_FEATURES = 1e10

EMBEDDED = {
    "notes": "a generated citation graph whose nodes are texts, with what a made-up language model says of them",
    "citation": "a generated citation-like graph with noisy word features and seven topics",
    "motifs": "generated graphs of four classes, told by the motifs that hang on random trees",
    "library": "a generated library of papers that are linked by authors and subjects",
    "molecules": "generated molecules among made-up cells, genes and expression that follow what they are",
}


def load(
    data: Any = None,
    *,
    nodes: int = 1500,
    sampled: int = 0,
    label_column: str = "",
    kind: str = "",
    directed: bool = False,
    strict: bool = False,
    max_bad: float = 0.1,
) -> Data:
    """A graph from wherever it is.

    Args:
        data: a folder with a table of nodes, ``nodes.csv`` or ``nodes.parquet`` with a column ``id``, and one of edges,
            ``edges.csv`` or ``edges.parquet`` with ``source`` and ``target`` (see
            :func:`nearfar.graph.data.node_table.from_tables`; a column ``kind`` tells kinds of nodes apart), or
            a table of edges alone, whose nodes are those that it names. A
            ``.graphml`` file. A ``.pt`` file that :func:`save_geometric` wrote, or in Python a graph of networkx, or of
            PyTorch Geometric, or many of those. An ``.npz`` file with ``x`` (N, F), or its sparse rows ``x_data``,
            ``x_indices``, ``x_indptr`` and ``x_shape``; ``edge_index`` (2, E), or ``edges`` that name each undirected
            edge once; and, where known, ``y`` (N,) and ``ids`` (N,). Many graphs: an archive with ``node_off``,
            ``edge_off``, ``edges`` and perhaps ``node_tag`` and ``y``, or a folder in the form of the TU collection. A
            folder with ``features.csv``, ``labels.csv`` and ``edges.csv`` in the form of BiSND. Papers with authors and
            subjects: an archive in the form of HeCo's. Molecules: a table (``.csv``, ``.tsv``, ``.parquet`` and kin)
            with a column ``smiles``, or a folder with ``molecules.csv`` and ``context.npz``, features ``<kind>`` and
            ``<kind>_links`` (3, E) of each kind of node around them: places of molecules, nodes of the kind, weights.
            Or an embedded name, ``citation`` when nothing is given. Nodes that are texts: ``edge_index`` and ``texts``
            (N, M), the original first, or their ``text_vectors`` (N, M, D), and ``removable`` and ``addable`` pairs (3,
            E) of nodes with a verdict.
        nodes: size of the generated citation graph, of the generated library in papers, and of the generated set in
            graphs (there at most 240) and of molecules (at most 300); of texts at most 400.
        sampled: how many nodes of a graph a training step sees, a random part drawn by walks; 0 for all. Graphs whose
            nodes are too many for a contrast among all of them train in this way; embedding sees the whole graph.
        label_column: column that labels nodes, or molecules; of molecules the first column of numbers when not given.
        kind: which kind of nodes is embedded, of a graph that has several.
        directed: whether an edge of a table leads one way only.
        strict: stop at the first edge that cannot be used, instead of leaving it out and listing it.
        max_bad: largest share of edges that may be unusable, in [0, 1]; more stop the run.
    """
    tabled = {"label": label_column, "kind": kind, "strict": strict, "max_bad": max_bad}
    found = _found(data, nodes, {**tabled, "directed": directed})
    if sampled:
        if not isinstance(found, NodeGraph):
            raise ValueError(f"sampled is for one large graph, and {found.name} holds many; leave it out")
        found.sample_parts(sampled)
    return found


def _found(data: Any, nodes: int, options: dict[str, Any]) -> Data:
    if isinstance(data, Data):
        return data
    label = options["label"]
    if data is not None and not isinstance(data, str | Path):
        if hasattr(data, "is_directed") and hasattr(data, "nodes"):
            return from_networkx(data, **{k: v for k, v in options.items() if k != "directed"})
        return from_geometric(data, kind=options["kind"])
    if str(data) == "motifs":
        return motif_graphs(min(nodes, 240))
    if str(data) == "library":
        return library(min(nodes, 500))
    if str(data) == "notes":
        return notes(min(nodes, 400))
    if str(data) == "molecules":
        return generated_molecules(min(nodes, 300))
    if data is None or str(data) in EMBEDDED:
        from nearfar.graph.data.citation import citation_graph

        found = citation_graph(nodes=nodes)
        return NodeGraph(found["x"], found["edge_index"], found["y"], name="citation")
    path = Path(data)
    if (path / "features.csv").is_file():
        return BiSND(path)
    if (path / "molecules.csv").is_file() and (path / "context.npz").is_file():
        return from_folder(path, label=label)
    if path.exists() and (tables := beside(path)) is not None:
        return from_tables(*tables, **options)
    if path.is_dir():
        return from_tu(path)
    if not path.is_file():
        raise nothing_there(path, EMBEDDED)
    if path.suffix.lower() == ".graphml":
        return from_graphml(path, **{k: v for k, v in options.items() if k != "directed"})
    if path.suffix.lower() == ".pt":
        return from_tensors(path)
    if path.suffix != ".npz" and path.name.removesuffix(".gz").endswith(TABLES):
        links = read_arrow(path)
        if "smiles" not in links.columns and ends_among(links.columns):
            return from_edges(path, links, **{k: v for k, v in options.items() if k not in ("label", "kind")})
        return from_table(path, label=label)
    if path.suffix != ".npz":
        raise ValueError(
            f"{path} is no graph this reads; accepted are a folder with nodes.csv and edges.csv (or .parquet), "
            ".graphml, .pt of plain tensors, .npz with x, edge_index and perhaps y, or a table with smiles"
        )
    arrays = read_npz(path)
    try:
        if {"node_off", "edge_off", "edges"} <= set(arrays):
            return from_archive(arrays, path.stem)
        if {"edges_pa", "edges_ps", "p_feat_data", "a_feat_data"} <= set(arrays):
            return from_acm(arrays, path.stem)
        if "texts" in arrays or "text_vectors" in arrays:
            return from_texts(arrays, _edges(arrays, path), path.stem)
        return NodeGraph(
            _features(arrays, path), _edges(arrays, path), arrays.get("y"), name=path.stem, ids=arrays.get("ids")
        )
    except (ValueError, TypeError) as error:
        raise ValueError(str(error) if str(path) in str(error) else f"{path}: {error}") from error


def _features(arrays: dict[str, np.ndarray], path: Path) -> np.ndarray:
    if "x" in arrays:
        return arrays["x"]
    parts = [arrays.get(f"x_{part}") for part in ("data", "indices", "indptr", "shape")]
    if any(part is None for part in parts):
        raise ValueError(f"{path} has no node features: it holds {', '.join(arrays)}; expected x, or x_data and kin")
    from scipy.sparse import csr_matrix

    data, indices, indptr, shape = (part for part in parts if part is not None)
    if np.size(shape) != 2 or np.prod(np.asarray(shape, dtype=np.float64)) > MOST_FEATURES:
        raise ValueError(
            f"x_shape is {np.ravel(shape).tolist()}; expected two numbers of up to {MOST_FEATURES:.0e} cells"
        )
    matrix = csr_matrix((data, indices, indptr), tuple(shape))
    matrix.check_format(full_check=True)  # indices out of range would be written into foreign memory
    return matrix.toarray()


def _edges(arrays: dict[str, np.ndarray], path: Path) -> np.ndarray:
    if "edge_index" in arrays:
        return arrays["edge_index"]
    if "edges" not in arrays:
        raise ValueError(f"{path} has no edges: it holds {', '.join(arrays)}; expected edge_index or edges")
    once = arrays["edges"]
    if once.ndim != 2 or len(once) != 2:
        raise ValueError(f"edges must have shape (2, E), got {once.shape}")
    return np.concatenate([once, once[::-1]], axis=1)
