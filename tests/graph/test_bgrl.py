"""BGRL, and the layers that it shares with the other methods on one graph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from nearfar import workflow
from nearfar.graph.data import NodeGraph, load
from nearfar.graph.encoders import GCNEncoder
from nearfar.graph.layers import Adjacency, GraphConvolution, OneSlope
from nearfar.graph.methods import BGRL
from nearfar.graph.views import corrupt
from nearfar.parts import MomentumEncoder
from nearfar.parts.momentum import momentum_at
from nearfar.reproductions.arms import build, train
from nearfar.training import Training
from tests.graph.learning import accuracy
from tests.parity import ParityCase, parity


@pytest.mark.parametrize("case", parity("bgrl", "schedules"))
def test_the_momentum_rises_as_released(case: ParityCase) -> None:
    a, hyper = case.load(), case.hyper
    found = [momentum_at(step / hyper["total"], hyper["mm"]) for step in a["in_steps"].tolist()]
    np.testing.assert_allclose(found, a["out_momentum"].numpy(), rtol=1e-9)


@pytest.mark.parametrize("case", parity("bgrl", "schedules"))
def test_the_rate_warms_up_and_falls_as_released(case: ParityCase) -> None:
    a, hyper = case.load(), case.hyper
    method = BGRL(3)
    settings = replace(method.optimization, lr=hyper["lr"], warmup=hyper["warmup"] / hyper["total"])
    optimizer, schedule = settings.build(
        [{"params": [nn.Parameter(torch.ones(2, 2))]}], total_steps=hyper["total"], batch_size=1
    )
    rates = []
    for _ in range(hyper["total"] + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    expected = dict(zip(a["in_steps"].tolist(), a["out_lr"].tolist(), strict=True))
    for step, rate in expected.items():
        # The library's warm-up begins one step later than 0, so that the first step moves.
        near = rates[max(step - 1, 0) : step + 2]
        assert min(near) - 1e-12 <= rate <= max(near) + 1e-12 or step == 0


@pytest.mark.parametrize("case", parity("bgrl", "ema_update"))
def test_the_following_network_moves_as_released(case: ParityCase) -> None:
    a = case.load()
    online, target = nn.Linear(2, 3, bias=False).double(), nn.Linear(2, 3, bias=False).double()
    online.weight.data, target.weight.data = a["in_online"].detach(), a["in_target"].detach()
    follower = MomentumEncoder(target, case.hyper["m"], schedule="constant")
    follower.update(online)
    torch.testing.assert_close(follower.module.weight, a["out_target_new"])


def test_the_convolution_is_pytorch_geometrics() -> None:
    from torch_geometric.nn import GCNConv

    graph = load(nodes=200).batch(np.array([0]))
    edges = graph.edge_index[:, torch.rand(graph.edge_index.shape[1]) > 0.4]  # no longer symmetric
    torch.manual_seed(3)
    own = GraphConvolution(500, 8)
    torch.manual_seed(3)
    theirs = GCNConv(500, 8)
    assert torch.equal(own.lin.weight, theirs.lin.weight)
    x = graph.x.clone().requires_grad_()
    first, second = own(x, Adjacency(edges, 200)), theirs(x, edges)
    torch.testing.assert_close(first, second)
    weight = torch.randn_like(first)
    for found, right in zip(
        torch.autograd.grad((first * weight).sum(), (x, own.lin.weight)),
        torch.autograd.grad((second * weight).sum(), (x, theirs.lin.weight)),
        strict=True,
    ):
        torch.testing.assert_close(found, right, rtol=1e-4, atol=1e-5)


def test_compressed_features_give_what_whole_ones_give() -> None:
    graph = load(nodes=300).batch(np.array([0]))
    assert graph.rows is not None
    view = corrupt(graph, 0.2, 0.4, torch.Generator().manual_seed(0))
    whole = view.clone()
    del whole.rows
    whole.x = graph.x * view.columns
    encoder = GCNEncoder(500, 16)
    first, second = encoder(view), encoder(whole)
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-6)
    one, two = (torch.autograd.grad(z.square().sum(), encoder.layers[0].lin.weight)[0] for z in (first, second))
    torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)
    assert (one[:, view.columns == 0] == 0).all()


def test_one_slope_is_torchs_prelu() -> None:
    own = OneSlope(0.3).double()
    theirs = nn.PReLU(1, 0.3).double()
    x = torch.randn(20, 5, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(own(x), theirs(x))
    assert torch.autograd.gradcheck(own, x)
    for found, right in zip(
        torch.autograd.grad(own(x).square().sum(), (x, own.weight)),
        torch.autograd.grad(theirs(x).square().sum(), (x, theirs.weight)),
        strict=True,
    ):
        torch.testing.assert_close(found, right)


def test_the_following_network_has_weights_of_its_own_and_no_gradient() -> None:
    data = load(nodes=200)
    method = build("bgrl", data, 0)
    own, theirs = method.encoder.layers[0].lin.weight, method.target.module.layers[0].lin.weight
    assert not torch.allclose(own, theirs)
    method.seed_step(0, 0)
    loss = method.loss(method.views(data.graph))
    assert 0 <= loss <= 4
    loss.backward()
    assert all(p.grad is None for p in method.target.parameters())
    assert all(p.grad is not None for p in method.encoder.parameters())
    assert method.target.module.training  # it normalises with the batch's own statistics


def test_bgrl_learns_and_does_not_collapse() -> None:
    data = load(nodes=500)
    method = build("bgrl", data, 0, widths=(64, 32), predictor_hidden=64)
    before = accuracy(method, data)
    train("bgrl", method, data, 0, steps=100)
    assert accuracy(method, data) > before + 0.02
    with method.frozen():
        unit = nn.functional.normalize(method.encode(data.graph), dim=1)
    assert (unit @ unit.T).mean() < 0.95


def test_a_run_is_opened_again(tmp_path: Path) -> None:
    method, run = workflow.train(
        "bgrl",
        out=tmp_path / "run",
        data_options={"nodes": 150},
        arguments={"widths": (16, 8), "predictor_hidden": 16},
        training=Training(steps=3),
        progress=False,
    )
    assert run is not None
    _, again, _ = workflow.load_run(run.path)
    graph = load(nodes=150).graph
    with method.frozen(), again.frozen():
        assert torch.equal(method.encode(graph), again.encode(graph))


def test_wrong_settings_and_odd_graphs() -> None:
    with pytest.raises(ValueError, match="in_features is needed"):
        BGRL()
    with pytest.raises(ValueError, match="at least one layer"):
        BGRL(4, widths=())
    data = NodeGraph(np.zeros((5, 3), np.float32), np.array([[0], [2]]))
    method = BGRL(3, widths=(4,))
    method.seed_step(0, 0)
    assert torch.isfinite(method.loss(method.views(data.graph)))
