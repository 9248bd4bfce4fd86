"""Graphs of several kinds of nodes, seen from the kind that is embedded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import sparse

from nearfar.graph.data.kinds import LinkedKinds
from nearfar.graph.data.node_graph import NodeGraph
from nearfar.sources.fingerprint import digest_of


class LinkedGraph(NodeGraph):
    """Nodes of one kind that are linked through nodes of other kinds: papers through authors and through subjects.

    For a method that knows one kind of nodes alone it is a graph in which two nodes are neighbours that share a node
    of another kind; of those who share most, ``most`` each.

    Args:
        x: (N, F) features of the nodes that are embedded.
        links: for each other kind a SciPy matrix (N, M) of which node is linked with which.
        context: for some of the kinds the features (M, F') of its nodes; a node without features is told by its
            number.
        y: (N,) labels or ``None``.
        most: neighbours of a node in the plain graph.
        name: what to call the graph.
        ids: as in :class:`NodeGraph`.
        edge_index: (2, E) edges between nodes that are embedded, which the plain graph has as well.

    Attributes:
        links, context: as given, in compressed rows.

    Raises:
        ValueError: sizes that do not fit, no links.
    """

    gives: type | None = LinkedKinds

    def __init__(
        self,
        x: np.ndarray,
        links: Mapping[str, Any],
        context: Mapping[str, np.ndarray] | None = None,
        y: np.ndarray | None = None,
        *,
        most: int = 10,
        name: str = "linked graph",
        ids: np.ndarray | None = None,
        edge_index: np.ndarray | None = None,
    ) -> None:
        if not links:
            raise ValueError(f"{name} has no links to nodes of other kinds")
        self.links = {kind: sparse.csr_matrix(matrix).astype(np.float32) for kind, matrix in links.items()}
        self.context = {kind: np.asarray(array, dtype=np.float32) for kind, array in (context or {}).items()}
        for kind, matrix in self.links.items():
            known = self.context.get(kind)
            if matrix.shape[0] != len(x) or (known is not None and len(known) != matrix.shape[1]):
                raise ValueError(f"{name}: links to {kind} are {matrix.shape} for {len(x)} nodes")
        counts = [path_counts(matrix) for matrix in self.links.values()]
        plain = sum((strongest(matrix, most) for matrix in counts), sparse.csr_matrix((len(x), len(x))))
        both = (plain + plain.T).tocoo()
        different = both.row != both.col
        edges = np.stack([both.row, both.col])[:, different]
        if edge_index is not None:
            edges = np.unique(np.concatenate([edges, edge_index], 1), axis=1)
        super().__init__(x, edges, y, name=name, ids=ids)
        self.graph.kinds = tuple(self.links)
        self.graph.linked = self

    @property
    def facts(self) -> Mapping[str, Any]:
        widths = {
            kind: self.context[kind].shape[1] if kind in self.context else m.shape[1] for kind, m in self.links.items()
        }
        return {**super().facts, "context_features": widths}

    def contents(self) -> Mapping[str, str]:
        parts = {f"links {kind}": digest_of(m.indptr, m.indices) for kind, m in self.links.items()}
        return {**super().contents(), **parts, **{f"context {k}": digest_of(a) for k, a in self.context.items()}}


def path_counts(links: Any) -> Any:
    """How many paths there are between two nodes by way of another kind, (N, N)."""
    return (links @ links.T).tocsr()


def strongest(counts: Any, most: int) -> Any:
    """Of each row the ``most`` largest by PathSim, ``2 A_ij / (A_ii + A_jj)``, as counts (Sun et al., 2011)."""
    matrix = counts.tocoo()
    own = counts.diagonal()
    value = 2 * matrix.data / np.maximum(own[matrix.row] + own[matrix.col], 1e-12)
    order = np.lexsort((matrix.col, -value, matrix.row))
    starts = np.searchsorted(matrix.row[order], np.arange(counts.shape[0]))
    place = np.arange(len(order)) - starts[matrix.row[order]]
    kept = order[place < most]
    return sparse.csr_matrix((matrix.data[kept], (matrix.row[kept], matrix.col[kept])), counts.shape)


def from_acm(arrays: Mapping[str, np.ndarray], name: str) -> LinkedGraph:
    """Papers, their authors and subjects, as the archives of HeCo hold them."""

    def features(part: str) -> Any:
        data, indices, indptr = (arrays[f"{part}_feat_{field}"] for field in ("data", "indices", "indptr"))
        matrix = sparse.csr_matrix((data, indices, indptr), tuple(int(n) for n in arrays[f"{part}_feat_shape"]))
        matrix.check_format(full_check=True)
        return matrix.toarray()

    papers, authors = features("p"), features("a")
    sizes = {"author": len(authors), "subject": int(arrays["edges_ps"][1].max()) + 1}
    links = {}
    for kind, key in (("author", "edges_pa"), ("subject", "edges_ps")):
        paper, other = arrays[key].astype(np.int64)
        links[kind] = sparse.csr_matrix((np.ones(len(paper)), (paper, other)), (len(papers), sizes[kind]))
    return LinkedGraph(papers, links, {"author": authors}, arrays.get("y"), name=name)


def library(papers: int = 500, seed: int = 0) -> LinkedGraph:
    """A generated library: papers of four topics with noisy words, authors who mostly stay with a topic, subjects.

    Args:
        papers: how many, at least 40.
        seed: equal arguments give equal libraries.
    """
    if papers < 40:
        raise ValueError(f"at least 40 papers are needed, got {papers}")
    rng = np.random.default_rng(seed)
    topics, words = 4, 200
    y = rng.integers(topics, size=papers)
    usual = rng.gamma(0.3, size=(topics, words)) + 0.15
    usual /= usual.sum(1, keepdims=True)
    common = np.ones(words) / words
    x = np.stack([rng.multinomial(12, 0.3 * usual[topic] + 0.7 * common) for topic in y]).astype(np.float32)
    people = papers
    loyal = rng.integers(topics, size=people)
    by_topic = [np.flatnonzero(loyal == topic) for topic in range(topics)]
    rows, columns = [], []
    for paper, topic in enumerate(y):
        for _ in range(1 + rng.poisson(1.5)):
            own = by_topic[topic] if rng.random() < 0.8 else np.arange(people)
            rows.append(paper)
            columns.append(int(rng.choice(own)))
    authors = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), (papers, people))
    authors.data[:] = 1
    subject = y * 3 + rng.integers(3, size=papers)
    strange = rng.random(papers) < 0.3
    subject[strange] = rng.integers(topics * 3, size=int(strange.sum()))
    subjects = sparse.csr_matrix((np.ones(papers), (np.arange(papers), subject)), (papers, topics * 3))
    profile = np.asarray(authors.T @ x) + rng.poisson(0.2, size=(people, words))
    return LinkedGraph(x, {"author": authors, "subject": subjects}, {"author": profile}, y, name="library")
