"""Poly-View learns, equals SimCLR with two views, and asks for as many views as it is told to."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nearfar.losses import nt_xent, poly_view
from nearfar.losses.contrast.polyview import VARIANTS, PolyViewVariant
from nearfar.reproductions.arms import build
from nearfar.vision.methods import PolyView
from tests.vision.learning import digits, learn, one_loss


@pytest.mark.parametrize("variant", ["geometric", "sufficient-statistics"])
def test_it_beats_its_untrained_encoder_without_collapse(variant: str) -> None:
    _, before, after = learn("poly-view", variant=variant)
    assert after["linear seen styles"] > before["linear seen styles"] + 0.05, (before, after)
    assert after["effective_rank"] > 20


@pytest.mark.parametrize("variant", VARIANTS)
def test_two_views_are_simclr(variant: PolyViewVariant) -> None:
    a, b = torch.randn(2, 9, 5, dtype=torch.float64)
    expected = nt_xent(a, b, temperature=0.2)
    torch.testing.assert_close(poly_view([a, b], temperature=0.2, variant=variant), expected)
    method, simclr = build("poly-view", digits(), 0, view_count=2, variant=variant), build("simclr", digits(), 0)
    torch.testing.assert_close(one_loss(method), one_loss(simclr))


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_order_of_views_means_nothing(variant: PolyViewVariant) -> None:
    z = torch.randn(4, 7, 5, dtype=torch.float64)
    loss = poly_view(z.unbind(), temperature=0.3, variant=variant)
    torch.testing.assert_close(poly_view(z.flip(0).unbind(), temperature=0.3, variant=variant), loss)


def test_the_arithmetic_mean_is_the_looser_demand() -> None:
    z = torch.randn(4, 7, 5, dtype=torch.float64).unbind()
    means = {v: poly_view(z, temperature=0.3, variant=v) for v in VARIANTS[:2]}
    assert means["arithmetic"] < means["geometric"]  # Jensen's inequality
    same = [z[0]] * 4
    equal = [poly_view(same, temperature=0.3, variant=v) for v in VARIANTS[:3]]
    torch.testing.assert_close(equal[0], equal[1])
    torch.testing.assert_close(equal[0], equal[2])


def test_one_image_has_nothing_to_be_told_from() -> None:
    for variant in VARIANTS[:3]:
        z = torch.randn(3, 1, 5, requires_grad=True)
        loss = poly_view(z.unbind(), temperature=0.3, variant=variant)
        loss.backward()
        assert abs(float(loss.detach())) < 1e-6
        assert z.grad is not None
        assert z.grad.isfinite().all()


def test_it_makes_as_many_views_as_it_is_told_to() -> None:
    method = build("poly-view", digits(), 0, view_count=5)
    assert isinstance(method, PolyView)
    method.seed_step(0, 0)
    views = method.views(digits().batch(np.arange(4)))
    assert len(views) == 5
    assert len({float(view.mean()) for view in views}) == 5


def test_wrong_arguments_are_named() -> None:
    z = torch.randn(3, 6, 4)
    with pytest.raises(ValueError, match="needs at least 2, got 1"):
        poly_view([z[0]], temperature=0.1)
    with pytest.raises(ValueError, match=r"variant must be one of 'geometric', .*, got 'harmonic'"):
        poly_view(z.unbind(), temperature=0.1, variant="harmonic")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"views\[2\] has shape \(5, 4\)"):
        poly_view([z[0], z[1], z[2, :5]], temperature=0.1)
    with pytest.raises(ValueError, match="temperature must be greater than 0, got 0"):
        poly_view(z.unbind(), temperature=0)
    with pytest.raises(ValueError, match="at least 2 views of each image, got 1"):
        PolyView("small-conv", view_count=1)
