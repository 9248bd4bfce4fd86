"""Where graphs come from: npz files and a generated citation graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nearfar.graph.data.node_graph import NodeGraph
from nearfar.sources.archives import read_npz
from nearfar.training import Data

__all__ = ["EMBEDDED", "NodeGraph", "load"]

# Cells of the dense feature matrix that a sparse one may claim: 40 GB.
MOST_FEATURES = 1e10

EMBEDDED = {"citation": "a generated citation-like graph with noisy word features and seven topics"}


def load(data: str | Path | Data | None = None, *, nodes: int = 1500) -> Data:
    """A graph from wherever it is.

    Args:
        data: an ``.npz`` file with ``x`` (N, F), or its sparse rows ``x_data``, ``x_indices``, ``x_indptr`` and
            ``x_shape``; ``edge_index`` (2, E), or ``edges`` that name each undirected edge once; and, where known,
            ``y`` (N,). Or an embedded name, ``citation`` when nothing is given.
        nodes: size of the generated graph.
    """
    if isinstance(data, Data):
        return data
    if data is None or str(data) in EMBEDDED:
        from nearfar.graph.data.citation import citation_graph

        found = citation_graph(nodes=nodes)
        return NodeGraph(found["x"], found["edge_index"], found["y"], name="citation")
    path = Path(data)
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no file {path}, and no embedded graph of that name; embedded are {', '.join(EMBEDDED)}"
        )
    if path.suffix != ".npz":
        raise ValueError(f"{path} is no graph this reads; accepted is .npz with x, edge_index and perhaps y")
    arrays = read_npz(path)
    try:
        return NodeGraph(_features(arrays, path), _edges(arrays, path), arrays.get("y"), name=path.stem)
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
