"""SwAV learns, its queue and frozen prototypes keep their hours, and crops of several sizes share passes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from nearfar.losses import sinkhorn
from nearfar.parts import Prototypes
from nearfar.reproductions.arms import build, train
from nearfar.vision.method import together, view_recipes
from nearfar.vision.methods import SwAV
from nearfar.vision.views import RECIPES, Recipe
from tests.vision.learning import digits, learn, one_loss


@pytest.mark.long
def test_it_beats_its_untrained_encoder_without_collapse() -> None:
    _, before, after = learn("swav", steps=120)
    assert after["linear seen styles"] > before["linear seen styles"] + 0.05, (before, after)
    assert after["effective_rank"] > 20


def test_crops_have_their_sizes_and_large_ones_come_first() -> None:
    method = build("swav", digits(), 0, small_crops=3)
    method.seed_step(0, 0)
    views = method.views(digits().batch(np.arange(4)))
    assert [tuple(view.shape) for view in views] == [(4, 3, 16, 16)] * 2 + [(4, 3, 8, 8)] * 3
    assert len({float(view.mean()) for view in views}) == 5
    plain = SwAV("small-conv", hidden=8, projection_dim=4, prototypes=3)
    assert [recipe.size for recipe in plain.recipes] == [None] * 2 + [96] * 6
    assert [recipe.scale for recipe in plain.recipes[1:3]] == [(0.14, 1.0), (0.05, 0.14)]


def test_one_pass_for_the_views_of_each_size() -> None:
    passes = []

    def module(x: torch.Tensor) -> torch.Tensor:
        passes.append(tuple(x.shape))
        return x.mean((1, 2, 3)).unsqueeze(1)

    views = [torch.full((2, 3, side, side), float(number)) for number, side in enumerate((4, 8, 4, 8, 8))]
    outputs = together(module, views)  # type: ignore[arg-type]
    assert passes == [(4, 3, 4, 4), (6, 3, 8, 8)]
    assert [out.flatten().tolist() for out in outputs] == [[n, n] for n in range(5)]


def test_recipes_for_any_number_of_views() -> None:
    first, second = RECIPES["byol"]
    assert view_recipes("byol", 2) == (first, second)
    assert view_recipes("byol", 5) == (first, second, first, second, first)
    three = [Recipe(size=8), Recipe(size=8), Recipe(size=4)]
    assert view_recipes(three, 3) == tuple(three)
    with pytest.raises(ValueError, match="at least 2 views of each image, got 1"):
        view_recipes("byol", 1)
    with pytest.raises(ValueError, match="must give two views"):
        view_recipes(three, 4)
    with pytest.raises(TypeError, match="got 'x' among them"):
        view_recipes([Recipe(), Recipe(), "x"], 3)  # type: ignore[list-item]


def test_prototypes_stay_on_the_sphere_and_score_cosines() -> None:
    prototypes = Prototypes(4, 3)
    x = torch.randn(5, 4)
    expected = nn.functional.cosine_similarity(x.unsqueeze(1), prototypes.weight.unsqueeze(0), dim=2)
    torch.testing.assert_close(prototypes(7 * x), expected)
    with torch.no_grad():
        prototypes.weight.mul_(3)
    prototypes.normalize_()
    torch.testing.assert_close(prototypes.weight.norm(dim=1), torch.ones(3))
    with pytest.raises(ValueError, match=r"shape \(N, 4\), got \(5, 3\)"):
        prototypes(x[:, :3])
    with pytest.raises(ValueError, match="at least 1, got dim=4, count=0"):
        Prototypes(4, 0)


def test_prototypes_are_frozen_at_first() -> None:
    def moved(frozen_steps: int) -> float:
        method = build("swav", digits(), 0, frozen_steps=frozen_steps)
        assert isinstance(method, SwAV)
        before = method.prototypes.weight.detach().clone()
        train("swav", method, digits(), 0, steps=3, batch_size=32)
        return float((1 - nn.functional.cosine_similarity(before, method.prototypes.weight.detach())).max())

    assert moved(3) < 1e-6
    assert moved(2) > 1e-6


def test_the_queue_is_used_once_it_is_full_and_never_holds_the_batch_it_serves() -> None:
    method = build("swav", digits(), 0, queue_size=64, queue_start=0.0)
    assert isinstance(method, SwAV)
    for step in range(2):
        codes = method.codes(torch.rand(32, 64), 0)
        torch.testing.assert_close(codes.sum(1), torch.ones(32))
        assert method.queued == 32 * step
        one_loss(method, step=step)
        method.after_step()
    assert method.queued == 64
    scores = torch.rand(32, 64)
    past = method.prototypes(method.queues[1].get_buffer("keys")).detach()
    balanced = sinkhorn(torch.cat([past, scores]), epsilon=method.epsilon, iterations=method.iterations)[64:]
    torch.testing.assert_close(method.codes(scores, 1), balanced)
    assert not torch.allclose(method.codes(scores, 0), balanced)
    latest = nn.functional.normalize(method.collected("crop 1"), dim=1)
    torch.testing.assert_close(method.queues[1].get_buffer("keys")[32:], latest.detach())


def test_the_queue_starts_late() -> None:
    method = build("swav", digits(), 0, queue_size=32, queue_start=0.5)
    assert isinstance(method, SwAV)
    train("swav", method, digits(), 0, steps=4, batch_size=16)
    assert 16 <= int(method.queued) < 64
    none = build("swav", digits(), 0)
    train("swav", none, digits(), 0, steps=2, batch_size=16)
    assert none.queued == 0
