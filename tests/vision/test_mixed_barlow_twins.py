"""Mixed Barlow Twins learns, mixes what it says it mixes, and its mixed term vanishes for a linear network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nearfar.losses import barlow_twins, mixed_barlow_twins
from nearfar.reproductions.arms import build
from nearfar.vision.methods import MixedBarlowTwins
from nearfar.vision.methods.mixed_barlow_twins import MixedViews
from tests.vision.learning import digits, learn


@pytest.mark.long
def test_it_beats_its_untrained_encoder_without_collapse() -> None:
    _, before, after = learn("mixed-barlow-twins")
    assert after["linear seen styles"] > before["linear seen styles"] + 0.05, (before, after)
    assert after["effective_rank"] > 20


def views_of(method: MixedBarlowTwins, step: int = 0, rows: int = 32) -> MixedViews:
    method.seed_step(0, step)
    return method.views(digits().batch(np.arange(rows)))


def test_mixtures_are_of_the_two_views_by_one_share() -> None:
    method = build("mixed-barlow-twins", digits(), 0)
    assert isinstance(method, MixedBarlowTwins)
    shares = []
    for step in range(3):
        views = views_of(method, step)
        share = float(views.share[0])
        assert torch.equal(views.share, torch.full((32, 1), share))
        assert sorted(views.order.tolist()) == list(range(32))
        torch.testing.assert_close(views.mixed, share * views.first + (1 - share) * views.second[views.order])
        shares.append(share)
    assert len(set(shares)) == 3
    torch.testing.assert_close(views_of(method, 1).mixed, views_of(method, 1).mixed)
    peaked = build("mixed-barlow-twins", digits(), 0, concentration=1000.0)
    assert isinstance(peaked, MixedBarlowTwins)
    assert views_of(peaked).share[0] == pytest.approx(0.5, abs=0.1)


def test_the_mixed_view_reaches_the_encoder() -> None:
    method = build("mixed-barlow-twins", digits(), 0)
    assert isinstance(method, MixedBarlowTwins)
    views = views_of(method)
    terms = method.loss(views)
    other = method.loss(views._replace(mixed=1 - views.mixed))
    torch.testing.assert_close(terms["barlow"], other["barlow"])
    assert not torch.allclose(terms["mixed"], other["mixed"])
    without = build("mixed-barlow-twins", digits(), 0, weight=0.0)
    assert isinstance(without, MixedBarlowTwins)
    assert without.loss(views)["mixed"] == 0


def test_a_share_of_one_is_no_mixture() -> None:
    z1, z2 = torch.randn(2, 40, 6, dtype=torch.float64)
    terms = mixed_barlow_twins(z1, z2, z1, z2.flip(0), 1.0, lambd=0.1, weight=4.0)
    assert terms["mixed"] < 1e-25
    halfway = mixed_barlow_twins(z1, z2, z1, z2.flip(0), 0.5, lambd=0.1, weight=4.0)
    assert halfway["mixed"] > 0.1


def test_without_normalisation_it_holds_barlow_twins() -> None:
    z1, z2 = torch.randn(2, 400, 6, dtype=torch.float64)
    terms = mixed_barlow_twins(z1, z2, z1, z2, 0.5, lambd=0.1, weight=1.0, normalize=False)
    torch.testing.assert_close(terms["barlow"], barlow_twins(z1, z2, lambd=0.1), rtol=0.01, atol=0)


def test_a_share_for_each_row_is_the_same_as_one_number() -> None:
    z = torch.randn(4, 10, 3, dtype=torch.float64)
    one = mixed_barlow_twins(*z, 0.3, lambd=0.1, weight=2.0)
    rows = mixed_barlow_twins(*z, torch.full((10,), 0.3, dtype=torch.float64), lambd=0.1, weight=2.0)
    torch.testing.assert_close(rows, one)


def test_gradcheck_through_everything() -> None:
    for width in (3, 14):  # from 2 N dimensions on the D x D matrix is not made
        z = [torch.randn(6, width, dtype=torch.float64, requires_grad=True) for _ in range(4)]
        assert torch.autograd.gradcheck(
            lambda *x: sum(mixed_barlow_twins(*x, 0.3, lambd=0.1, weight=2.0).values()), z, fast_mode=True
        )


def test_wrong_arguments_are_named() -> None:
    z = torch.randn(4, 6, 3)
    with pytest.raises(ValueError, match=r"share must be in \[0, 1\], got 1.5"):
        mixed_barlow_twins(*z, 1.5, lambd=0.1, weight=1.0)
    with pytest.raises(ValueError, match=r"one per row, shape \(6,\), got \(5,\)"):
        mixed_barlow_twins(*z, torch.ones(5), lambd=0.1, weight=1.0)
    with pytest.raises(ValueError, match="weight must be at least 0, got -1"):
        mixed_barlow_twins(*z, 0.5, lambd=0.1, weight=-1.0)
    with pytest.raises(ValueError, match="z1 must have at least 2 rows"):
        mixed_barlow_twins(*z[:, :1], 0.5, lambd=0.1, weight=1.0)
    with pytest.raises(ValueError, match=r"partner has shape \(5, 3\)"):
        mixed_barlow_twins(z[0], z[1], z[2], z[3, :5], 0.5, lambd=0.1, weight=1.0)
