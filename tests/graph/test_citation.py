"""The citation graph: a valid undirected graph whose difficulty leaves room above words and smoothing."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize

from nearfar.graph.data.citation import citation_graph


def _accuracy(features, y, seed):
    """Logistic regression on L2-normalised rows with 10% of the nodes labelled."""
    order = np.random.default_rng(seed).permutation(len(y))
    train, test = order[: len(y) // 10], order[len(y) // 10 :]
    rows = normalize(features)
    return LogisticRegression(C=10, max_iter=200).fit(rows[train], y[train]).score(rows[test], y[test])


def test_equal_seeds_give_equal_graphs():
    first, again, other = (citation_graph(400, seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(first[key], again[key]) for key in ("x", "edge_index", "y"))
    assert not np.array_equal(first["edge_index"], other["edge_index"])


@pytest.mark.parametrize(
    ("nodes", "classes", "features", "degree", "homophily"),
    [(1500, 7, 500, 4.0, 0.8), (300, 3, 40, 2.0, 1.0), (400, 2, 10, 9.0, 0.0), (140, 7, 35, 5.0, 0.5)],
)
def test_the_graph_is_undirected_simple_and_without_isolated_nodes(nodes, classes, features, degree, homophily):
    graph = citation_graph(nodes, classes, features, seed=3, mean_degree=degree, homophily=homophily)
    x, edges, y = graph["x"], graph["edge_index"], graph["y"]
    assert (x.dtype, edges.dtype, y.dtype) == (np.float32, np.int64, np.int64)
    assert x.shape == (nodes, features)
    assert edges.shape == (2, 2 * round(nodes * degree / 2))
    assert (edges[0] != edges[1]).all()
    key = edges[0] * nodes + edges[1]
    assert (np.diff(key) > 0).all()
    assert np.array_equal(np.sort(edges[1] * nodes + edges[0]), key)
    assert len(np.unique(edges)) == nodes
    assert set(np.unique(x)) == {0.0, 1.0}
    assert x.sum(axis=1).min() >= 1
    assert abs((y[edges[0]] == y[edges[1]]).mean() - homophily) < 0.08


def test_classes_are_uneven_but_never_rare_and_degrees_have_a_tail():
    graph = citation_graph(seed=0)
    share = np.bincount(graph["y"], minlength=7) / 1500
    assert share.min() > 0.045
    assert share.max() < 0.34
    degree = np.bincount(graph["edge_index"][0])
    assert degree.min() >= 1
    assert degree.max() > 5 * degree.mean()
    assert 10 < graph["x"].sum(axis=1).mean() < 40


def test_words_help_smoothing_helps_more_and_room_is_left():
    words, untrained = [], []
    for seed in range(3):
        graph = citation_graph(seed=seed)
        x, (source, target), y = graph["x"], graph["edge_index"], graph["y"]
        loops = sp.csr_matrix((np.ones(len(source)), (source, target)), (1500, 1500)) + sp.eye(1500)
        scale = sp.diags(np.asarray(loops.sum(axis=1)).ravel() ** -0.5)
        smooth = scale @ loops @ scale
        rng = np.random.default_rng(seed)
        hidden = normalize(x, "l1")
        for width in (256, 128):
            glorot = np.sqrt(6 / (hidden.shape[1] + width))
            weights = rng.uniform(-glorot, glorot, (hidden.shape[1], width))
            hidden = np.maximum(smooth @ (hidden @ weights), 0)
        words.append(_accuracy(x, y, seed))
        untrained.append(_accuracy(hidden, y, seed))
    assert 0.5 < np.mean(words) < 0.68
    assert 0.62 < np.mean(untrained) < 0.8
    assert np.mean(untrained) > np.mean(words) + 0.05


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": 1}, "classes must be at least 2"),
        ({"nodes": 100}, "nodes must be at least 140"),
        ({"features": 20}, "features must be at least 35"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"mean_degree": 1.0}, "mean_degree must lie between 2"),
        ({"mean_degree": 100.0}, "mean_degree must lie between 2"),
        ({"homophily": 1.2}, "homophily must lie in"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        citation_graph(**arguments)
