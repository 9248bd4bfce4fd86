"""Barlow Twins learns, its term of redundancy decorrelates, and vectors have their own rate."""

from __future__ import annotations

import pytest
import torch

from nearfar.losses import barlow_twins
from nearfar.reproductions.arms import build, train
from nearfar.reproductions.vision.projections import projections
from nearfar.vision.methods import BarlowTwins
from tests.vision.learning import digits, learn, one_loss


def test_it_beats_its_untrained_encoder_without_collapse() -> None:
    _, before, after = learn("barlow-twins")
    assert after["linear seen styles"] > before["linear seen styles"] + 0.05, (before, after)
    assert after["effective_rank"] > 20


def test_the_redundancy_term_decorrelates_the_projections() -> None:
    found = []
    for lambd in (0.0, 0.1):
        method = build("barlow-twins", digits(), 0, lambd=lambd, hidden=64, projection_dim=64)
        assert isinstance(method, BarlowTwins)
        train("barlow-twins", method, digits(), 0, steps=25, batch_size=64)
        z = torch.tensor(projections(method, digits().sample(300)))
        found.append(float(barlow_twins(z, z, lambd=1.0)))  # of equal views, only the redundancy is left
    assert found[1] < 0.75 * found[0], found


def test_each_view_has_its_own_batch_statistics() -> None:
    method = build("barlow-twins", digits(), 0)
    assert isinstance(method, BarlowTwins)
    dark, light = torch.rand(16, 3, 16, 16) / 4, 1 - torch.rand(16, 3, 16, 16) / 4
    loss = method.loss((dark, light))
    torch.testing.assert_close(loss, barlow_twins(method.network(dark), method.network(light), lambd=method.lambd))
    z1, z2 = method.network(torch.cat([dark, light])).chunk(2)
    assert not torch.allclose(loss, barlow_twins(z1, z2, lambd=method.lambd), rtol=1e-3)


def test_biases_and_norms_have_their_own_rate() -> None:
    method = BarlowTwins("small-conv", hidden=8, projection_dim=8)
    optimizer, _ = method.optimization.build(method.parameter_groups(), total_steps=100, batch_size=512)
    weights, vectors = optimizer.param_groups
    assert weights["initial_lr"] == pytest.approx(0.4)
    assert vectors["initial_lr"] == pytest.approx(0.0096)
    assert [{p.ndim > 1 for p in group["params"]} for group in (weights, vectors)] == [{True}, {False}]
    counted = sum(p.numel() for group in optimizer.param_groups for p in group["params"])
    assert counted == sum(p.numel() for p in method.parameters())
    assert torch.isfinite(one_loss(method))  # type: ignore[arg-type]
