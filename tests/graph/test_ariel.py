"""ARIEL: the attack, the hinge, and training."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from nearfar.graph.attack import Attack, attacked, projected, symmetric_normalised
from nearfar.graph.data import load
from nearfar.graph.methods import ARIEL
from nearfar.graph.methods.ariel import _dense
from nearfar.losses import grace, information_hinge
from nearfar.reproductions.arms import build, train
from tests.graph.learning import accuracy
from tests.parity import ParityCase, assert_parity, parity


@pytest.mark.parametrize("case", parity("ariel", "bisection_project"))
def test_the_projection_is_the_released_one(case: ParityCase) -> None:
    a = case.load()
    found = projected(a["in_a"].detach(), case.hyper["budget"], case.hyper["xi"])
    torch.testing.assert_close(found, a["out_projected"], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("case", parity("ariel", "ariel_loss"))
def test_the_loss_is_the_released_one(case: ParityCase) -> None:
    a, hyper = case.load(), case.hyper

    def head(z: torch.Tensor) -> torch.Tensor:
        hidden = nn.functional.elu(nn.functional.linear(z, a["in_fc1_w"], a["in_fc1_b"]))
        return nn.functional.linear(hidden, a["in_fc2_w"], a["in_fc2_b"])

    original, h1, h2, h3 = (head(a[f"in_{name}"]) for name in ("z", "z1", "z2", "z3"))
    contrast, adversarial = grace(h1, h2, temperature=hyper["tau"]), grace(h1, h3, temperature=hyper["tau"])
    hinge = information_hinge(h1, h2, original, temperature=hyper["tau"])
    torch.testing.assert_close(contrast, a["out_contrast"])
    torch.testing.assert_close(hinge, a["out_reg"])
    torch.testing.assert_close(adversarial, a["out_adv"])
    assert_parity(case, a, contrast + hyper["lamb"] * hinge + hyper["eps"] * adversarial)


@pytest.mark.parametrize("case", parity("ariel", "pgd_graph_attack"))
def test_the_attack_is_the_released_one(case: ParityCase) -> None:
    a, hyper = {name: value.detach() for name, value in case.load().items()}, case.hyper

    def model(x: torch.Tensor, adjacency: torch.Tensor) -> torch.Tensor:
        h = (adjacency @ (x @ a["in_w1"]) + a["in_b1"]).relu()
        h = (adjacency @ (h @ a["in_w2"]) + a["in_b2"]).relu()
        h = nn.functional.elu(nn.functional.linear(h, a["in_fc1_w"], a["in_fc1_b"]))
        return nn.functional.linear(h, a["in_fc2_w"], a["in_fc2_b"])

    first = symmetric_normalised(_dense(a["in_edge1"], a["in_x1"]))
    torch.testing.assert_close(first, a["out_adj1_norm"])
    z1 = model(a["in_x1"], first)
    how = Attack(hyper["steps"], hyper["node_ratio"], hyper["alpha"], hyper["beta"])
    x, adjacency = attacked(
        lambda x, m: grace(z1, model(x, m), temperature=hyper["tau"]),
        a["in_x2"],
        _dense(a["in_edge2"], a["in_x2"]),
        how,
        a["in_uniform"],
    )
    torch.testing.assert_close(adjacency, a["out_adj_adv"], rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(x, a["out_x_adv"], rtol=1e-8, atol=1e-8)


def test_an_attack_raises_the_loss_within_its_budget() -> None:
    data = load(nodes=160)
    method = build("ariel", data, 0)
    method.seed_step(0, 0)
    first, _, plain = method.views(data.graph)
    z1 = method.head(method.encoder(first)).detach()

    def harm(x: torch.Tensor, adjacency: torch.Tensor) -> torch.Tensor:
        return grace(z1, method.head(method.encoder(SimpleNamespace(x=x, adj=adjacency))), temperature=0.4)

    before = harm(plain.x, symmetric_normalised(plain.adj))
    uniform = torch.rand(plain.adj.shape, generator=torch.Generator().manual_seed(0))
    x, adjacency = attacked(harm, plain.x, plain.adj, Attack(), uniform)
    assert harm(x, adjacency) > before
    assert (x - plain.x).abs().max() <= 0.04 + 1e-6
    changed = ((adjacency > 0) != (symmetric_normalised(plain.adj) > 0)).sum() / 2
    assert 0 < changed <= 2 * 0.2 * plain.adj.sum() / 2  # the budget is that of the expectation
    torch.testing.assert_close(adjacency, adjacency.T)
    assert all(p.grad is None for p in method.parameters())


def test_the_projection_keeps_to_the_budget() -> None:
    moves = torch.rand(30, 30, generator=torch.Generator().manual_seed(0)) * 3 - 1
    found = projected(moves, 20.0)
    assert abs(found.sum() - 20) < 1e-3 * 900
    assert found.min() >= 0
    assert found.max() <= 1
    assert torch.equal(projected(moves.clamp(0, 0.01), 20.0), moves.clamp(0, 0.01))


def test_the_hinge_holds_the_original_constant() -> None:
    z1, z2, z = (torch.randn(6, 4, dtype=torch.float64, requires_grad=True) for _ in range(3))
    value = information_hinge(z1, z1 + 0.01 * z2, z, temperature=0.5)
    assert value > 0
    value.backward()
    assert z.grad is None
    assert z1.grad is not None
    assert information_hinge(z, z, z, temperature=0.5).item() == 0
    with pytest.raises(ValueError, match="the shapes must be equal"):
        information_hinge(z1, z2[:3], z, temperature=0.5)


def test_ariel_learns() -> None:
    data = load(nodes=300)
    method = build("ariel", data, 0, part=150, information=0.5)
    before = accuracy(method, data)
    train("ariel", method, data, 0, steps=40)
    assert accuracy(method, data) > before + 0.02
    assert np.linalg.matrix_rank(method.encode(data.graph).detach().numpy()) > 10


def test_wrong_settings() -> None:
    with pytest.raises(ValueError, match="part must be at least 2"):
        ARIEL(3, part=1)
    with pytest.raises(ValueError, match=r"attack.budget in \[0, 1\]"):
        Attack(budget=2)
