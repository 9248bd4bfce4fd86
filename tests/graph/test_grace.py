"""Graphs: corruptions, sources, and GRACE."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nearfar.graph.data import NodeGraph, load
from nearfar.graph.evaluation import evaluate
from nearfar.graph.views import corrupt, drop_edges, mask_feature_columns
from nearfar.reproductions.arms import build, train


def test_edges_are_dropped_one_by_one_at_the_asked_rate() -> None:
    edges = torch.arange(20000).view(2, -1)
    generator = torch.Generator().manual_seed(0)
    kept = drop_edges(edges, 0.3, generator)
    assert abs(kept.shape[1] / edges.shape[1] - 0.7) < 0.02
    assert set(map(tuple, kept.T.tolist())) <= set(map(tuple, edges.T.tolist()))
    assert drop_edges(edges, 0.0, generator).shape == edges.shape
    assert drop_edges(edges, 1.0, generator).shape == (2, 0)
    with pytest.raises(ValueError, match="p must be a probability"):
        drop_edges(edges, 1.2)


def test_masks_hide_whole_columns_for_every_node() -> None:
    x = torch.rand(30, 1000) + 0.1
    masked = mask_feature_columns(x, 0.4, torch.Generator().manual_seed(0))
    hidden = (masked == 0).all(0)
    assert torch.equal(hidden, (masked == 0).any(0))
    assert abs(hidden.float().mean() - 0.4) < 0.06
    assert torch.equal(masked[:, ~hidden], x[:, ~hidden])


def test_a_corruption_leaves_the_graph_alone() -> None:
    graph = load(nodes=200).batch(np.array([0]))
    x, edges = graph.x.clone(), graph.edge_index.clone()
    view = corrupt(graph, 0.5, 0.5, torch.Generator().manual_seed(0))
    assert torch.equal(graph.x, x)
    assert torch.equal(graph.edge_index, edges)
    assert view.edge_index.shape[1] < edges.shape[1]


def test_grace_beats_the_untrained_network() -> None:
    data = load(nodes=600)
    method = build("grace", data, 0)
    before = evaluate(method.eval(), data, splits=1)
    method.train()
    train("grace", method, data, 0, steps=40)
    after = evaluate(method, data, splits=1)
    assert after["probe 10% labels"] > before["probe 10% labels"] + 0.02
    assert after["effective_rank"] > 4


def test_sources_and_wrong_graphs(tmp_path: Path) -> None:
    x, once = np.eye(4, dtype=np.float32), np.array([[0, 1, 2], [1, 2, 3]])
    np.savez(tmp_path / "g.npz", x=x, edges=once, y=np.arange(4))
    found = load(tmp_path / "g.npz")
    assert isinstance(found, NodeGraph)
    assert found.graph.edge_index.shape == (2, 6)
    assert found.facts == {"in_features": 4, "size": 4, "clusters": 4}
    bad = x.copy()
    bad[2, 1] = np.nan
    with pytest.raises(ValueError, match="1 nodes are NaN or infinite, the first is node 2"):
        NodeGraph(bad, once)
    with pytest.raises(ValueError, match="names nodes 0 to 9 of a graph of 4"):
        NodeGraph(x, np.array([[0], [9]]))
    with pytest.raises(ValueError, match="2 labels for 4 nodes"):
        NodeGraph(x, once, np.zeros(2))
    np.savez(tmp_path / "none.npz", a=x)
    with pytest.raises(ValueError, match="no node features: it holds a"):
        load(tmp_path / "none.npz")


def test_isolated_nodes_self_loops_and_empty_features_give_finite_embeddings() -> None:
    data = NodeGraph(np.zeros((5, 3), np.float32), np.array([[0, 1], [0, 2]]))
    method = build("grace", data, 0)
    with method.frozen():
        assert torch.isfinite(method.encode(data.graph)).all()
    method.seed_step(0, 0)
    assert torch.isfinite(method.loss(method.views(data.graph)))
