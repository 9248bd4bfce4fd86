"""Sets of graphs, their changes, and GraphCL."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nearfar import workflow
from nearfar.graph.data import GraphSet, WholeGraphs, load
from nearfar.graph.encoders import GINEncoder
from nearfar.graph.evaluation import graph_svm
from nearfar.graph.views.whole import OPERATORS, augment
from nearfar.losses import graph_contrast
from nearfar.reproductions.arms import build, shared, train
from nearfar.training import Training, embed
from tests.graph.learning import accuracy
from tests.parity import ParityCase, assert_parity, parity


@pytest.fixture(scope="module")
def motifs() -> GraphSet:
    found = load("motifs", nodes=96)
    assert isinstance(found, GraphSet)
    return found


@pytest.mark.parametrize("case", parity("graphcl", "graphcl_loss"))
def test_the_loss_is_the_released_one(case: ParityCase) -> None:
    a = case.load()
    assert_parity(case, a, graph_contrast(a["in_x"], a["in_x_aug"], temperature=case.hyper["temperature"]))


@pytest.mark.parametrize("case", parity("sega", "sega_loss"))
def test_the_symmetric_loss_is_segas_released_one(case: ParityCase) -> None:
    a = case.load()
    assert_parity(case, a, graph_contrast(a["in_tree"], a["in_graph"], symmetric=case.hyper["sym"]))


def test_the_loss_against_the_plain_formula() -> None:
    z1, z2 = (torch.randn(6, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    s = torch.nn.functional.normalize(z1) @ torch.nn.functional.normalize(z2).T / 0.3
    others = s.masked_fill(torch.eye(6, dtype=torch.bool), -torch.inf)
    torch.testing.assert_close(graph_contrast(z1, z2, temperature=0.3), (others.logsumexp(1) - s.diagonal()).mean())
    assert torch.autograd.gradcheck(lambda a, b: graph_contrast(a, b, symmetric=True), (z1, z2))
    with pytest.raises(ValueError, match="at least two are needed"):
        graph_contrast(z1[:1], z2[:1])


def test_operators_change_what_they_say(motifs: GraphSet) -> None:
    graphs = motifs.batch(np.arange(40))
    generator = torch.Generator().manual_seed(0)
    left = augment(graphs, "nodes", 0.3, generator)
    assert torch.equal(left.sizes, graphs.sizes - (graphs.sizes * 0.3).floor().long())
    part = augment(graphs, "subgraph", 0.3, generator)
    assert torch.equal(part.sizes, (graphs.sizes * 0.7).ceil().long())  # trees with motifs are connected
    hidden = augment(graphs, "mask", 0.3, generator)
    assert int((hidden.x == 0).sum()) == int((graphs.sizes * 0.3).floor().sum())
    moved = augment(graphs, "edges", 0.3, generator)
    before, after = (set(map(tuple, g.edge_index.T.tolist())) for g in (graphs, moved))
    assert 0.6 < len(before & after) / len(before) < 0.8
    assert abs(len(after) - len(before)) < 0.1 * len(before)
    for view in (left, part, hidden, moved, augment(graphs, "random", 0.2, generator)):
        source, target = view.edge_index
        assert torch.equal(view.graph[source], view.graph[target])
        assert torch.equal(view.sizes, torch.bincount(view.graph, minlength=40))
        assert {*map(tuple, view.edge_index.T.tolist())} == {*map(tuple, view.edge_index.flip(0).T.tolist())}
    one = GraphSet(np.ones((1, 1)), [np.empty((2, 0))], [1]).batch(np.array([0]))
    for kind in OPERATORS:
        assert augment(one, kind, 0.9, generator).sizes.tolist() == [1]
    with pytest.raises(ValueError, match="kind must be one of nodes"):
        augment(graphs, "twist", 0.1)


def test_a_cut_out_part_is_connected(motifs: GraphSet) -> None:
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    part = augment(motifs.batch(np.arange(20)), "subgraph", 0.4, torch.Generator().manual_seed(1))
    source, target = part.edge_index.numpy()
    adjacency = csr_matrix((np.ones(len(source)), (source, target)), (part.num_nodes, part.num_nodes))
    assert connected_components(adjacency)[0] == 20


def test_an_embedding_does_not_depend_on_other_graphs_or_on_numbering(motifs: GraphSet) -> None:
    encoder = GINEncoder(1, 8).eval()
    together, alone = encoder(motifs.batch(np.arange(5))), encoder(motifs.batch(np.array([3])))
    torch.testing.assert_close(together[3:4], alone)
    graph = motifs.batch(np.array([3]))
    turned = torch.randperm(graph.num_nodes)
    again = WholeGraphs(graph.x, turned[graph.edge_index], graph.graph, graph.sizes)
    torch.testing.assert_close(encoder(again), alone)


def test_graphcl_learns_the_motifs(motifs: GraphSet) -> None:
    method = build("graphcl", motifs, 0)
    before = accuracy(method, motifs, 0.3)
    train("graphcl", method, motifs, 0, epochs=30, batch_size=48)
    after = accuracy(method, motifs, 0.3)
    assert after > max(before - 0.02, 0.45)  # four classes; an untrained network sees much of the structure
    assert np.linalg.matrix_rank(embed(method, motifs).array) > 8


def test_a_run_is_opened_again(tmp_path: Path, motifs: GraphSet) -> None:
    settings = Training(steps=2, batch_size=12)
    method, run = workflow.train(
        "graphcl", data="motifs", out=tmp_path / "run", data_options={"nodes": 24}, training=settings, progress=False
    )
    assert run is not None
    _, again, _ = workflow.load_run(run.path)
    with method.frozen(), again.frozen():
        assert torch.equal(method.encode(motifs.batch(np.arange(9))), again.encode(motifs.batch(np.arange(9))))


def test_tu_folders_and_archives_hold_the_same(tmp_path: Path) -> None:
    (tmp_path / "T_A.txt").write_text("1, 2\n2, 1\n3, 4\n4, 3\n4, 5\n5, 4\n")
    (tmp_path / "T_graph_indicator.txt").write_text("1\n1\n2\n2\n2\n")
    (tmp_path / "T_graph_labels.txt").write_text("1\n-1\n")
    (tmp_path / "T_node_labels.txt").write_text("0\n3\n3\n3\n0\n")
    first = load(tmp_path)
    np.savez(tmp_path / "t.npz", node_off=[0, 2, 5], edge_off=[0, 1, 3], edges=[[0, 0, 1], [1, 1, 2]],
             node_tag=[0, 3, 3, 3, 0], y=[1, -1])  # fmt: skip
    second = load(tmp_path / "t.npz")
    for found in (first, second):
        batch = found.batch(np.array([1, 0]))
        assert batch.x.tolist() == [[0, 1], [0, 1], [1, 0], [1, 0], [0, 1]]
        assert sorted(map(tuple, batch.edge_index.T.tolist())) == [(0, 1), (1, 0), (1, 2), (2, 1), (3, 4), (4, 3)]
        assert found.labels.tolist() == [1, -1]
        assert batch.sizes.tolist() == [3, 2]


def test_wrong_sets_get_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"0 files \*_A.txt"):
        load(tmp_path)
    (tmp_path / "T_A.txt").write_text("1, 3\n")
    with pytest.raises(ValueError, match=r"no T_graph_indicator\.txt"):
        load(tmp_path)
    (tmp_path / "T_graph_indicator.txt").write_text("1\n1\n2\n")
    with pytest.raises(ValueError, match="links nodes of different graphs"):
        load(tmp_path)
    with pytest.raises(ValueError, match="graph 0: edges name nodes 0 to 5 of 2"):
        GraphSet(np.ones((2, 1)), [np.array([[0], [5]])], [2])
    with pytest.raises(ValueError, match="first of node 1"):
        GraphSet(np.array([[1.0], [np.nan]]), [np.empty((2, 0))], [2])
    with pytest.raises(TypeError, match="graphcl takes whole graphs"):
        build("graphcl", load(nodes=150), 0)
    with pytest.raises(TypeError, match="grace takes one graph"):
        build("grace", load("motifs", nodes=8), 0)
    with pytest.raises(ValueError, match="single graph"):
        graph_svm(np.ones((3, 2)), np.array([0, 0, 1]))


@pytest.mark.skipif(not shared("mutag/mutag.npz"), reason="NEARFAR_DATA names no folder with mutag")
def test_mutag_has_its_published_size() -> None:
    found = load(shared("mutag/mutag.npz"))
    assert (len(found), found.sizes.sum(), sum(e.shape[1] for e in found.edges)) == (188, 3371, 2 * 3721)
