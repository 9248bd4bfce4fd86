"""HiCLR: its views and phases, what it learns, what it promises and refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nearfar.losses import growing_consistency
from nearfar.reproductions.arms import build, train
from nearfar.testing import check_method
from nearfar.training import embed
from nearfar.training.probing import probe_held_out
from nearfar.video.data import SkeletonSet
from nearfar.video.data.stick_figures import stick_figures
from nearfar.video.methods.hiclr import HiCLR

SMALL = {"hidden": 4, "out_features": 16, "projection_dim": 16, "queue_size": 64}


@pytest.fixture(scope="module")
def figures() -> SkeletonSet:
    return stick_figures(96, held_out=48, steps=12)


def test_hiclr_keeps_every_promise(figures: SkeletonSet) -> None:
    arguments = {"layout": "ntu25", "coordinates": 3, "depth": (1, 1, 1), **SMALL}
    check_method(HiCLR, figures, arguments, batch_size=8)


def test_the_loss_is_that_of_the_formula_and_neighbours_join_later(figures: SkeletonSet) -> None:
    method = build("hiclr", figures, 0, **SMALL)
    method.seed_step(0, 0)
    basic, strong, extreme, hidden, other = method.views(figures.batch(np.arange(16)))
    assert hidden.shape == (12, 25)
    method.eval()
    found = method.loss((basic, strong, extreme, hidden, other))  # outside a run the phase is the last
    seen = torch.where(hidden[:, :, None], 0.0, extreme)
    queries = [method.network(view) for view in (basic, strong, seen)]
    expected = growing_consistency(
        queries, method.key_network(other), method.queue.keys, temperature=0.07, neighbours=1
    )
    torch.testing.assert_close(found, expected)
    (gradient,) = torch.autograd.grad(found["consistency"], method.unseen)
    assert gradient != 0  # what stands for a hidden joint is learned
    assert [phase.name for phase in method.phases] == ["growing", "mining", "settling"]
    assert method.phases[2].lr_scale == 0.1


def test_actions_of_other_people_are_told_better_after_training(figures: SkeletonSet) -> None:
    method = build("hiclr", figures, 0, **SMALL)
    before = probe_held_out(method.eval(), figures, seed=0)
    train("hiclr", method.train(), figures, 0, steps=30, batch_size=24)
    after = probe_held_out(method.eval(), figures, seed=0)
    assert after["knn test"] > before["knn test"] + 0.03
    assert after["effective_rank"] > 2
    spread = embed(method, figures).array.std(0)
    assert (spread > 1e-3).mean() > 0.8


def test_refusals() -> None:
    with pytest.raises(ValueError, match="layout and coordinates are needed"):
        HiCLR()
    with pytest.raises(ValueError, match="shares in"):
        HiCLR("ntu25", 3, hide=1.5)
    with pytest.raises(ValueError, match="at most 1 together"):
        HiCLR("ntu25", 3, mining=0.9, settling=0.3)
