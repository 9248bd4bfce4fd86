"""DAENS' views and SCGC's clusters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nearfar import workflow
from nearfar.graph.data import NodeGraph, load
from nearfar.graph.methods import DAENS, SCGC
from nearfar.graph.methods.scgc import influence, powers
from nearfar.losses import cluster_divergence, grace, neighbour_contrast, sharpened, student_assignments
from nearfar.reproductions.arms import build, train
from nearfar.training import Training
from tests.graph.learning import accuracy
from tests.parity import ParityCase, assert_parity, parity


@pytest.mark.parametrize("case", parity("daens", "daens_loss"))
def test_daens_is_the_released_loss(case: ParityCase) -> None:
    a = case.load()
    assert_parity(case, a, grace(a["in_h1"], a["in_h2"], temperature=case.hyper["tau"], intra=False))


@pytest.mark.parametrize("case", parity("scgc", "influence_matrix"))
def test_the_influence_is_the_released_one(case: ParityCase) -> None:
    a = case.load()
    found = powers(a["in_adj"].detach(), case.hyper["order"], case.hyper["cumulative"])
    torch.testing.assert_close(found, a["out_G"])


@pytest.mark.parametrize("case", parity("scgc", "neighbor_contrast"))
def test_the_contrast_is_the_released_one(case: ParityCase) -> None:
    a = case.load()
    a.pop("grad_G")  # no gradient reaches the weights
    assert_parity(case, a, neighbour_contrast(a["in_z"], a["in_G"], scale=case.hyper["tau"]))


def test_the_contrast_in_blocks_is_the_plain_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    from nearfar.losses.engine import blocks, tiles

    z = torch.randn(30, 5, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(30, 30, dtype=torch.float64)
    s = torch.nn.functional.normalize(z) @ torch.nn.functional.normalize(z).T
    e = (0.7 * s.masked_fill(torch.eye(30, dtype=torch.bool), 0)).exp()
    plain = -((weights * e).sum(1) / e.sum(1) + 1e-8).log().mean()
    (expected,) = torch.autograd.grad(plain, z)
    for entries in (1 << 20, 0):
        monkeypatch.setattr(tiles, "SINGLE_TILE_ENTRIES", entries)
        monkeypatch.setattr(blocks, "BLOCK_ENTRIES", {"cpu": 120})
        value = neighbour_contrast(z, weights, scale=0.7)
        torch.testing.assert_close(value, plain)
        torch.testing.assert_close(torch.autograd.grad(value, z)[0], expected)
    assert torch.isfinite(neighbour_contrast(torch.zeros(3, 2), torch.eye(3)))
    with pytest.raises(ValueError, match="weights must have shape"):
        neighbour_contrast(z, weights[:5])


def test_clusters_sharpen() -> None:
    z = torch.randn(20, 3, dtype=torch.float64, requires_grad=True)
    centres = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    q = student_assignments(z, centres)
    slow = 1 / (1 + (z[:, None] - centres[None]).square().sum(2))
    torch.testing.assert_close(q, slow / slow.sum(1, keepdim=True))
    p = sharpened(q)
    assert not p.requires_grad
    torch.testing.assert_close(p.sum(1), torch.ones(20, dtype=torch.float64))
    expected = torch.nn.functional.kl_div(q.log(), p, reduction="batchmean")
    torch.testing.assert_close(cluster_divergence(z, centres, p), expected)
    assert torch.autograd.gradcheck(lambda a, b: cluster_divergence(a, b, p), (z, centres))
    with pytest.raises(ValueError, match="target must have shape"):
        cluster_divergence(z, centres, p[:3])


def test_daens_hides_cells_of_the_same_columns_in_every_step() -> None:
    data = load(nodes=200)
    method = build("daens", data, 0, variant="2D2D", hidden=16)
    graph = data.graph
    changed = []
    for step in range(2):
        method.seed_step(0, step)
        first, second = method.views(graph)
        assert first.edge_index.shape[1] < graph.edge_index.shape[1]
        changed.append((second.x != graph.x).any(0))
    columns = method.masked.bool()
    assert not (changed[0] | changed[1])[~columns].any()
    assert columns.sum() == int(500 * 0.43)
    hidden = (second.x == 0) & (graph.x != 0)
    share = hidden[:, columns].sum() / (graph.x != 0)[:, columns].sum()
    assert abs(share - 0.7) < 0.1
    for variant in ("1D1D", "1D2D"):
        method = build("daens", data, 0, variant=variant, hidden=16)
        method.seed_step(0, 0)
        assert torch.isfinite(method.loss(method.views(graph)))
    with pytest.raises(ValueError, match="variant must be"):
        DAENS(4, variant="3D")  # type: ignore[arg-type]


def test_daens_learns() -> None:
    data = load(nodes=400)
    method = build("daens", data, 0, encoder="gcn", hidden=64)
    before = accuracy(method, data)
    train("daens", method, data, 0, steps=40)
    assert accuracy(method, data) > before + 0.02


def test_scgc_finds_topics_without_labels(tmp_path: Path) -> None:
    data = load("library", nodes=240)
    method = build("scgc", data, 0, widths=(64,), order=2)
    train("scgc", method, data, 0, steps=120)
    found = method.evaluate(data)
    assert found["accuracy"] > 0.5  # four topics
    assert found["clusters used"] >= 3
    method, run = workflow.train(
        "scgc",
        out=tmp_path / "run",
        data="library",
        data_options={"nodes": 60},
        arguments={"widths": (8,), "cumulative": False},
        training=Training(steps=6),
        progress=False,
    )
    assert run is not None
    _, again, _ = workflow.load_run(run.path)
    graph = load("library", nodes=60).graph
    assert torch.equal(method.predict(graph), again.predict(graph))
    assert torch.equal(method.encode(graph), again.encode(graph))


def test_influence_counts_steps_and_sums_to_the_order() -> None:
    edges = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    found = influence(edges, 4, 2, True)
    torch.testing.assert_close(found.sum(1), torch.full((4,), 2.0))
    assert found[0, 2] > 0  # two steps
    assert influence(edges, 4, 1, True)[0, 2] == 0
    assert found[3].tolist() == [0, 0, 0, 2]
    with pytest.raises(ValueError, match="how many features, classes and nodes"):
        SCGC(4)
    assert NodeGraph(np.eye(3, dtype=np.float32), np.empty((2, 0), dtype=np.int64)).facts["size"] == 3
