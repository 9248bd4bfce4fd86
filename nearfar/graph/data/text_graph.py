"""A graph whose nodes are texts, with what a language model said of them and of pairs of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from sklearn.preprocessing import normalize

from nearfar.graph.data.citation import citation_graph
from nearfar.graph.data.kinds import OneGraph
from nearfar.graph.data.node_graph import NodeGraph
from nearfar.sources.fingerprint import digest_of
from nearfar.sources.words import text_vectors

__all__ = [
    "EXPERTS",
    "TextGraph",
    "TextNodes",
    "candidates",
    "context_sentences",
    "from_texts",
    "notes",
]

EXPERTS = (
    "The text as it is.",
    "An explanation of what the text is about.",
    "A summary of the text that takes its neighbours into account.",
    "An explanation of what the text is about that takes its neighbours into account.",
)
"""What the texts of a node are, in their order: as it is, IDR, SAS and SAR in the paper."""
MOST = 10


class TextNodes(OneGraph):
    """One graph whose nodes have several texts, and pairs of nodes with verdicts."""

    needs = ("x", "edge_index", "contents", "contexts", "removable", "addable")


class TextGraph(NodeGraph):
    """Nodes with vectors of several texts each; for a method that knows no texts, a graph with those of the first.

    Args:
        contents: (N, M, D) vectors of the M texts of each node, the original first.
        edge_index: (2, E) node numbers, both directions of an undirected edge.
        y: labels as in :class:`NodeGraph`.
        contexts: (N, M, D) vectors of what is said about each text; those of :func:`context_sentences` in
            :func:`from_texts`. Zeros when not given.
        removable: (3, E) whole numbers: a node, a neighbour that its edge to may be removed, and whether the two are
            connected all the same, 1 or 0.
        addable: (3, E) in the same way: a node, one that it has no edge to, and whether they are connected.
        name: what to call the graph.

    Raises:
        ValueError: shapes that do not fit, or pairs of nodes that are not there.
    """

    gives: type | None = TextNodes

    def __init__(
        self,
        contents: np.ndarray,
        edge_index: np.ndarray,
        y: np.ndarray | None = None,
        *,
        contexts: np.ndarray | None = None,
        removable: np.ndarray | None = None,
        addable: np.ndarray | None = None,
        name: str = "text graph",
    ) -> None:
        contents = np.asarray(contents, dtype=np.float32)
        contexts = np.zeros_like(contents) if contexts is None else np.asarray(contexts, dtype=np.float32)
        if contents.ndim != 3 or contents.shape[1] < 2 or contexts.shape != contents.shape:
            raise ValueError(
                f"{name}: contents and contexts must have shape (N, M, D) with at least 2 texts a node, got "
                f"{contents.shape} and {contexts.shape}"
            )
        if not (np.isfinite(contents).all() and np.isfinite(contexts).all()):
            raise ValueError(f"{name}: vectors of texts are NaN or infinite")
        super().__init__(contents[:, 0], edge_index, y, name=name, normalize=False)
        self.graph.contents, self.graph.contexts = torch.from_numpy(contents), torch.from_numpy(contexts)
        for part, pairs in (("removable", removable), ("addable", addable)):
            found = np.zeros((3, 0), dtype=np.int64) if pairs is None else np.asarray(pairs)
            whole = found.dtype.kind in "iu" and found.ndim == 2 and len(found) == 3
            if not whole or (
                found.size and (found.min() < 0 or found[:2].max() >= len(contents) or found[2].max() > 1)
            ):
                raise ValueError(
                    f"{name}: {part} must be whole numbers (3, E), two of the {len(contents)} nodes and 0 or 1"
                )
            setattr(self.graph, part, torch.from_numpy(found.astype(np.int64)))

    @property
    def facts(self) -> Mapping[str, Any]:
        return {**super().facts, "experts": self.graph.contents.shape[1]}

    def sample_parts(self, size: int) -> NodeGraph:
        raise ValueError(f"parts of {self.name} cannot be drawn, because its pairs of nodes lie all over it")

    def contents(self) -> Mapping[str, str]:
        graph = self.graph
        more = digest_of(graph.contents.numpy(), graph.contexts.numpy(), graph.removable.numpy(), graph.addable.numpy())
        return {**super().contents(), "texts": more}


def context_sentences(degrees: np.ndarray, kind: str) -> list[str]:
    """What is said about each text: what it is, and whether its node has few, some or many neighbours.

    Few are those of at most the 40th percentile, many those of at least the 80th, as in the paper.
    """
    few, many = np.percentile(degrees, 40), np.percentile(degrees, 80)
    words = np.where(
        degrees <= few, "few, which tell little", np.where(degrees >= many, "many, which tell much", "some")
    )
    return [f"{kind} It has {int(d)} neighbours: {word}." for d, word in zip(degrees, words, strict=True)]


def candidates(vectors: np.ndarray, edge_index: np.ndarray, *, most: int = MOST) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (2, E) to ask about: each node and its least similar neighbours; and its most similar other nodes."""
    unit = normalize(vectors)
    nodes = len(unit)
    source, target = edge_index
    near = np.einsum("ed,ed->e", unit[source], unit[target])
    order = np.lexsort((target, near, source))
    rank = np.arange(len(order)) - np.searchsorted(source[order], source[order])
    removable = edge_index[:, order[rank < most]]
    pairs = []
    for start in range(0, nodes, 512):
        rows = np.arange(start, min(start + 512, nodes))
        alike = unit[rows] @ unit.T
        alike[np.arange(len(rows)), rows] = -np.inf
        inside = (source >= start) & (source < start + 512)
        alike[source[inside] - start, target[inside]] = -np.inf
        count = min(most, nodes - 1)
        best = np.argsort(-alike, axis=1, kind="stable")[:, :count]
        real = np.isfinite(np.take_along_axis(alike, best, 1))
        pairs.append(np.stack([np.repeat(rows, count)[real.ravel()], best.ravel()[real.ravel()]]))
    return removable, np.concatenate(pairs, 1)


def from_texts(arrays: Mapping[str, np.ndarray], edge_index: np.ndarray, name: str) -> TextGraph:
    """A graph of an archive with ``texts`` (N, M), or with their ``text_vectors`` (N, M, D) and ``context_vectors``.

    ``removable`` and ``addable`` are as in :class:`TextGraph`; the command ``describe`` writes them.
    """
    pairs = {part: arrays[part] for part in ("removable", "addable") if part in arrays}
    if "text_vectors" in arrays:
        given = arrays["text_vectors"], arrays.get("context_vectors")
    else:
        texts = np.asarray(arrays["texts"])
        if texts.ndim != 2 or texts.dtype.kind != "U" or texts.shape[1] > len(EXPERTS):
            raise ValueError(
                f"texts must be strings (N, M), the original and up to {len(EXPERTS) - 1} more of each node, got "
                f"{texts.dtype} of shape {texts.shape}; the command describe makes more of one"
            )
        degrees = np.bincount(edge_index[0], minlength=len(texts))
        said = [context_sentences(degrees, kind) for kind in EXPERTS[: texts.shape[1]]]
        vectors = text_vectors([*texts.T.ravel(), *(each for part in said for each in part)])
        halves = vectors.reshape(2, texts.shape[1], len(texts), -1).transpose(0, 2, 1, 3)
        given = halves[0], halves[1]
    return TextGraph(given[0], edge_index, arrays.get("y"), contexts=given[1], name=name, **pairs)


def notes(nodes: int = 400, seed: int = 0, *, corrupted: bool = False) -> TextGraph:
    """A generated citation graph whose nodes have four texts, and verdicts on pairs, of a made-up language model.

    It reads a node's class 7 times in 10, guesses otherwise, and says words of what it reads; it summarises by words
    that two neighbours share; it explains by what it reads of most neighbours; and of 20 pairs of nodes it calls 3
    wrongly connected or not. A seventh of all edges was added at random.

    Args:
        nodes: of the graph, at least 140.
        seed: equal arguments give equal graphs.
        corrupted: the last text of every node is another node's.
    """
    rng = np.random.default_rng(seed)
    found = citation_graph(nodes=nodes, features=300, seed=seed)
    words, y = found["x"] > 0, found["y"]
    wrong = rng.integers(nodes, size=(2, found["edge_index"].shape[1] // 12))
    edges = np.unique(np.concatenate([found["edge_index"], wrong, wrong[::-1]], 1), axis=1)
    edges = edges[:, edges[0] != edges[1]]
    typical = np.stack([words[y == each].mean(0) for each in range(y.max() + 1)]) + 1e-3
    typical = typical / words.mean(0).clip(0.02)
    typical /= typical.sum(1, keepdims=True)
    read = np.where(rng.random(nodes) < 0.7, y, rng.integers(y.max() + 1, size=nodes))

    def explained(classes: np.ndarray) -> list[str]:
        return [_text(rng.choice(words.shape[1], 12, p=typical[each])) for each in classes]

    around = [edges[1][edges[0] == node] for node in range(nodes)]
    shared = [np.flatnonzero(words[node] | (words[near].sum(0) >= 2)) for node, near in enumerate(around)]
    most = np.array(
        [np.bincount(read[near], minlength=1).argmax() if len(near) else read[n] for n, near in enumerate(around)]
    )
    texts = [[_text(np.flatnonzero(row)) for row in words], explained(read), [_text(row) for row in shared]]
    texts.append(explained(rng.permutation(most) if corrupted else most))
    plain = text_vectors(texts[0])
    asked = {}
    for part, pairs in zip(("removable", "addable"), candidates(plain, edges), strict=True):
        right = rng.random(pairs.shape[1]) < 0.85
        asked[part] = np.concatenate([pairs, ((y[pairs[0]] == y[pairs[1]]) == right)[None]])
    return from_texts({"texts": np.array(texts).T, "y": y, **asked}, edges, "notes")


def _text(words: np.ndarray) -> str:
    return " ".join(f"w{word}" for word in words)
