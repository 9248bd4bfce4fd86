"""Training on random parts of a graph."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from nearfar.cli import main
from nearfar.graph import evaluation
from nearfar.graph.data import load
from nearfar.graph.data.sampled import Parts
from nearfar.reproductions.arms import build, train
from tests.graph.learning import accuracy


def test_a_part_has_all_edges_between_its_nodes_and_keeps_neighbours() -> None:
    graph = load(nodes=600).graph
    parts = Parts(graph.edge_index.numpy(), 600, 150)
    nodes = parts.nodes(np.random.default_rng(3))
    part = parts.draw(graph.x, 3)
    assert len(nodes) == len(part.x) == 150
    assert torch.equal(part.x, graph.x[torch.from_numpy(nodes)])
    inside = np.isin(graph.edge_index.numpy(), nodes).all(0)
    expected = set(map(tuple, graph.edge_index.numpy()[:, inside].T.tolist()))
    assert set(map(tuple, nodes[part.edge_index.numpy()].T.tolist())) == expected
    drawn = np.random.default_rng(0).choice(600, 150, replace=False)
    assert inside.sum() > 1.5 * np.isin(graph.edge_index.numpy(), drawn).all(0).sum()
    assert torch.equal(parts.draw(graph.x, 3).edge_index, part.edge_index)
    assert len(Parts(np.empty((2, 0), dtype=np.int64), 5, 3).nodes(np.random.default_rng(0))) == 3
    with pytest.raises(ValueError, match="at least 2, or 0 for all; got 1"):
        Parts(graph.edge_index.numpy(), 600, 1)


def test_training_sees_parts_and_embedding_the_whole(tmp_path: Path) -> None:
    data = load(nodes=500, sampled=120)
    orders = [data.order(np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert np.array_equal(orders[0], orders[1])
    first, other = (data.training_batch(order) for order in (orders[0], orders[2]))
    assert first.num_nodes == other.num_nodes == 120
    assert not torch.equal(first.x, other.x)
    method = build("grace", data, 0, hidden=32)
    before = accuracy(method, data)
    train("grace", method, data, 0, steps=40)
    assert accuracy(method, data) > before + 0.02
    out = tmp_path / "run"
    words = ["train", "bgrl", "--nodes", "200", "--sampled", "50", "--steps", "2", "--out", str(out)]
    assert main([*words, "--predictor_hidden", "16"]) == 0
    assert main(["embed", str(out), "-o", str(tmp_path / "v.npz")]) == 0
    with np.load(tmp_path / "v.npz", allow_pickle=False) as found:
        assert len(found["id"]) == 200


def test_a_run_on_a_large_graph_watches_and_is_probed_on_a_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    data = load(nodes=600)
    assert data.sample(600 // 16) is not data
    assert data.sample(600) is data
    part = data.sample(20)
    assert len(part.ids) == len(part.batch(np.zeros(1, dtype=np.int64)).x) == 80
    assert data.labels is not None
    assert part.labels is not None
    assert np.array_equal(part.labels, data.labels[part.ids])
    assert np.array_equal(part.ids, data.sample(20).ids)
    sizes = []

    def counted(train_x: np.ndarray, train_y: np.ndarray, test_x: np.ndarray, test_y: np.ndarray, **_: int) -> Any:
        sizes.append((len(train_x), len(train_y), len(test_x) + len(train_x), len(test_y) + len(train_y)))
        return SimpleNamespace(right=np.ones(len(test_x), dtype=bool))

    monkeypatch.setattr(evaluation, "liblinear_probe", counted)
    x = np.eye(7)[data.labels]
    evaluation.probe(x, data.labels, splits=1)
    monkeypatch.setattr(evaluation, "MOST_PROBED", 500)
    monkeypatch.setattr(evaluation, "DRAWN", 100)
    evaluation.probe(x, data.labels, splits=1)
    (whole, drawn) = sizes
    assert whole[2:] == (600, 600)
    assert drawn[2:] == (100, 100)
    assert drawn[0] < whole[0]
