"""SEGA: coding trees and their entropy, the encoder of trees, training."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nearfar import workflow
from nearfar.graph.coding_tree import CodingTree, build_coding_tree, merge_cost, removal_cost, tree_entropy
from nearfar.graph.data import load
from nearfar.graph.methods.sega import SEGA, TreeEncoder
from nearfar.reproductions.arms import build, train
from nearfar.training import Training, embed
from tests.graph.learning import accuracy
from tests.parity import ParityCase, assert_parity, parity


@pytest.mark.parametrize("case", parity("sega", "coding_tree"))
def test_the_tree_is_the_released_one(case: ParityCase) -> None:
    a = {name: value.detach().numpy() for name, value in case.load().items()}
    tree = build_coding_tree(a["in_adj"], case.hyper["height"])
    assert tree_entropy(tree, a["in_adj"]) == pytest.approx(float(a["out_entropy"]), rel=1e-9)
    assert [len(set(row)) for row in tree.groups()] == a["out_node_sizes"].tolist()
    for own, theirs in zip(tree.groups(), a["out_labels"], strict=True):
        assert len(set(zip(own, theirs, strict=True))) == len(set(own)) == len(set(theirs))


@pytest.mark.parametrize("case", parity("sega", "merge_and_removal_costs"))
def test_the_costs_are_the_released_ones(case: ParityCase) -> None:
    a = {name: value.detach().numpy() for name, value in case.load().items()}
    merge = [
        merge_cost(*row) for row in zip(*(a[f"in_{k}"] for k in ("v1", "g1", "v2", "g2", "cut", "vol")), strict=True)
    ]
    removal = [removal_cost(*row) for row in zip(a["in_child_cut"], a["in_v1"], a["in_v2"], strict=True)]
    np.testing.assert_allclose(merge, a["out_combine"], rtol=1e-9)
    np.testing.assert_allclose(removal, a["out_compress"], rtol=1e-9)


@pytest.mark.parametrize("case", parity("sega", "tree_encoder"))
def test_the_encoder_of_trees_is_the_released_one(case: ParityCase) -> None:
    a = case.load()
    hidden = a["in_w0a"].shape[0]
    encoder = TreeEncoder(a["in_leaf"].shape[1], hidden, 2, a["in_dw"].shape[0]).double()
    values = {"joined.weight": a["in_dw"], "joined.bias": a["in_db"]}
    for level in range(2):
        for part, name in ((0, "a"), (3, "b")):
            values[f"maps.{level}.{part}.weight"] = a[f"in_w{level}{name}"]
            values[f"maps.{level}.{part}.bias"] = a[f"in_b{level}{name}"]
    parents = []
    for edges in (a["in_edge1"], a["in_edge2"]):
        parent = torch.empty(edges.shape[1], dtype=torch.int64)
        parent[edges[1]] = edges[0]
        parents.append(parent)
    inputs = (a["in_leaf"], parents, [a["in_batch1"], a["in_batch2"]])
    found = torch.func.functional_call(encoder, values, inputs)
    torch.testing.assert_close(found, a["out_out"])
    assert_parity(case, a, found.square().sum())


def test_a_higher_tree_has_no_more_entropy_and_beats_random_ones() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        upper = np.triu(rng.random((14, 14)) < 0.25, 1).astype(float)
        adjacency = upper + upper.T
        flat = CodingTree((np.zeros(14, dtype=np.int64),))
        values = [
            tree_entropy(flat, adjacency),
            *(tree_entropy(build_coding_tree(adjacency, k), adjacency) for k in (2, 3, 4)),
        ]
        assert all(a >= b - 1e-9 for a, b in zip(values[1:], values[2:], strict=False))
        assert values[1] < values[0]
        own = build_coding_tree(adjacency, 2)
        for _ in range(10):
            shuffled = CodingTree((rng.permutation(own.parents[0]), own.parents[1]))
            assert tree_entropy(own, adjacency) <= tree_entropy(shuffled, adjacency) + 1e-9


def test_odd_graphs_and_wrong_ones() -> None:
    alone = build_coding_tree(np.zeros((1, 1)), 3)
    assert alone.height == 3
    assert tree_entropy(alone, np.zeros((1, 1))) == 0
    assert build_coding_tree(np.ones((2, 2)), 4).groups().shape == (5, 2)
    with pytest.raises(ValueError, match="height must be at least 2"):
        build_coding_tree(np.zeros((2, 2)), 1)
    with pytest.raises(ValueError, match="symmetric"):
        build_coding_tree(np.array([[0, 1], [0, 0]]), 2)
    with pytest.raises(ValueError, match="height from 2"):
        SEGA(1, height=1)


def test_sega_learns_and_is_opened_again(tmp_path) -> None:  # type: ignore[no-untyped-def]
    data = load("motifs", nodes=64)
    method = build("sega", data, 0)
    train("sega", method, data, 0, epochs=15, batch_size=32)
    assert accuracy(method, data, 0.3) > 0.45
    assert np.linalg.matrix_rank(embed(method, data).array) > 8
    assert len(method.encoder.trees) == 64
    method, run = workflow.train(
        "sega", data="motifs", out=tmp_path / "r", data_options={"nodes": 16}, arguments={"hidden": 8},
        training=Training(steps=2, batch_size=8), progress=False,
    )  # fmt: skip
    assert run is not None
    _, again, _ = workflow.load_run(run.path)
    graphs = data.batch(np.arange(6))
    with method.frozen(), again.frozen():
        assert torch.equal(method.encode(graphs), again.encode(graphs))
