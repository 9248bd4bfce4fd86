"""A generated citation network with topics: the default data of every node-level graph method."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["citation_graph"]

# Chosen so that, with labels for a tenth of the nodes, words alone give 55-60% and untrained smoothing
# 70-75%, while a trained encoder can pass 85%.
_WORDS_PER_NODE = 30
_TOPIC_SHARE = 0.36
_TOPIC_SPARSITY = 0.2
_BETWEEN_SHARE = 0.12
_BETWEEN_EXCESS = 3.0


def citation_graph(
    nodes: int = 1500,
    classes: int = 7,
    features: int = 500,
    seed: int = 0,
    *,
    mean_degree: float = 4.0,
    homophily: float = 0.8,
) -> dict[str, NDArray]:
    """Draw a citation-like graph from a degree-corrected stochastic block model, with bag-of-words features.

    Class sizes differ by up to a factor of three and degrees are heavy-tailed, as in citation networks.
    Each node first draws one edge, so none is isolated; the other edges start at node i in proportion to
    its propensity theta_i. The partner's class is drawn (the own class with probability `homophily` on
    average), then the partner in it in proportion to theta_j: P(i-j) ~ theta_i theta_j omega[y_i, y_j], the
    degree-corrected model of Karrer and Newman, "Stochastic blockmodels and community structure in
    networks", 2011. Words come from a mixture of a Zipf distribution common to all nodes and the topic of
    the node's class.

    One node in eight stands between two classes: its words are of the other class and three times as many
    of its edges as usual lead there. No method can place all of these.

    Parameters
    ----------
    nodes, classes, features
        Numbers of nodes N, classes C and binary features F: at least 20 nodes and 5 features per class.
    seed
        Equal arguments give equal graphs.
    mean_degree
        Average number of neighbours, at least 2 and at most N / (4 C).
    homophily
        Expected share of edges inside a class, in [0, 1].

    Returns
    -------
    dict
        `x` float32 (N, F) of zeros and ones, at least one 1 per row; `edge_index` int64 (2, E), both
        directions of every edge, sorted by source and then target, without loops or duplicates, E = 2
        round(N mean_degree / 2); `y` int64 (N,).

    Raises
    ------
    ValueError
        For a number out of range.
    """
    least = {"nodes": 20 * classes, "classes": 2, "features": 5 * classes, "seed": 0}
    for name, value in (("nodes", nodes), ("classes", classes), ("features", features), ("seed", seed)):
        if value < least[name]:
            raise ValueError(f"{name} must be at least {least[name]}, got {value}")
    if not 2 <= mean_degree <= nodes / (4 * classes):
        raise ValueError(
            f"mean_degree must lie between 2 and nodes / (4 classes) = {nodes / (4 * classes):g}, got {mean_degree}"
        )
    if not 0 <= homophily <= 1:
        raise ValueError(f"homophily must lie in [0, 1], got {homophily}")
    rng = np.random.default_rng(seed)
    y = _classes(nodes, classes, rng)
    second = (y + rng.integers(1, classes, size=nodes)) % classes
    between = rng.random(nodes) < _BETWEEN_SHARE
    # The other nodes cite across less often, so that the average stays as asked.
    often = min(_BETWEEN_EXCESS * (1 - homophily), 1.0)
    seldom = (1 - homophily - _BETWEEN_SHARE * often) / (1 - _BETWEEN_SHARE)
    loyalty = 1 - np.where(between, often, seldom)
    source, target = _edges(y, second, loyalty, round(nodes * mean_degree / 2), rng)
    both = np.stack([np.concatenate([source, target]), np.concatenate([target, source])])
    both = both[:, np.lexsort((both[1], both[0]))]
    return {"x": _words(y, np.where(between, second, y), features, rng), "edge_index": both, "y": y}


def _classes(nodes: int, classes: int, rng: np.random.Generator) -> NDArray[np.int64]:
    share = rng.uniform(1.0, 3.0, size=classes)
    bounds = np.rint(np.cumsum(share / share.sum()) * nodes).astype(np.int64)
    return rng.permutation(np.repeat(np.arange(classes), np.diff(bounds, prepend=0)))


def _edges(
    y: NDArray[np.int64],
    second: NDArray[np.int64],
    loyalty: NDArray[np.float64],
    wanted: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ends (wanted,), (wanted,) of distinct undirected edges, source < target; every node occurs."""
    nodes = len(y)
    theta = np.minimum(rng.pareto(2.5, size=nodes) + 1, 30.0)
    by_class = np.argsort(y, kind="stable")
    total = np.concatenate([[0.0], np.cumsum(theta[by_class])])
    start = total[np.searchsorted(y[by_class], np.arange(y.max() + 2))]

    def at(position: NDArray[np.float64]) -> NDArray[np.int64]:
        return by_class[np.minimum(np.searchsorted(total, position, side="right") - 1, nodes - 1)]

    kept = np.empty(0, dtype=np.int64)
    ends = np.arange(nodes)
    while len(kept) < wanted:
        group = np.where(rng.random(len(ends)) < loyalty[ends], y[ends], second[ends])
        other = at(start[group] + rng.random(len(ends)) * (start[group + 1] - start[group]))
        key = np.minimum(ends, other) * nodes + np.maximum(ends, other)
        # The index restores the order of drawing, which keeps the edges that reach every node in front.
        kept = np.concatenate([kept, key[ends != other]])
        kept = kept[np.sort(np.unique(kept, return_index=True)[1])][:wanted]
        reached = np.zeros(nodes, dtype=bool)
        reached[kept // nodes] = reached[kept % nodes] = True
        if reached.all():
            ends = at(rng.random(wanted - len(kept) + 16) * total[-1])
        else:
            ends = np.flatnonzero(~reached)
    return kept // nodes, kept % nodes


def _words(
    y: NDArray[np.int64], topic: NDArray[np.int64], features: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    nodes, classes = len(y), int(y.max()) + 1
    common = rng.permutation(1.0 / (np.arange(features) + 10))
    topics = np.sqrt(common) * rng.gamma(_TOPIC_SPARSITY, size=(classes, features))
    share = np.cumsum(topics / topics.sum(1, keepdims=True), axis=1)
    everyone = np.cumsum(common / common.sum())

    length = 1 + rng.poisson(_WORDS_PER_NODE - 1, size=nodes)
    owner = np.repeat(np.arange(nodes), length)
    place = rng.random(len(owner))
    word = np.searchsorted(everyone, place)
    topical = rng.random(len(owner)) < _TOPIC_SHARE
    for index in range(classes):
        at = topical & (topic[owner] == index)
        word[at] = np.searchsorted(share[index], place[at])
    x = np.zeros((nodes, features), dtype=np.float32)
    x[owner, np.minimum(word, features - 1)] = 1
    return x
