"""BSS learns, gives a whole view one style, and keeps what the pictures show."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nearfar.reproductions.arms import build
from nearfar.reproductions.vision.bss import domains
from nearfar.vision.method import ImageBatch
from nearfar.vision.methods import BSS
from nearfar.vision.styles import exchange_style
from nearfar.vision.views import Recipe
from tests.vision.learning import digits, learn


def test_it_beats_its_untrained_encoder_without_collapse() -> None:
    _, before, after = learn("bss")
    assert after["linear seen styles"] > before["linear seen styles"] + 0.05, (before, after)
    assert after["effective_rank"] > 20


@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 10)])
def test_amplitudes_inside_the_block_are_the_reference_s_and_phases_stay(height: int, width: int) -> None:
    x = 0.5 + 0.02 * torch.randn(4, 3, height, width)  # so that nothing is clipped
    y = exchange_style(x, torch.tensor([2, 2, 2, 2]), 0.25)
    before, after = torch.fft.fft2(x), torch.fft.fft2(y)
    low = (torch.fft.fftfreq(height).abs().view(-1, 1) <= 0.25) & (torch.fft.fftfreq(width).abs() <= 0.25)
    expected = torch.where(low, before.abs()[2], before.abs())
    torch.testing.assert_close(after.abs(), expected, atol=1e-4, rtol=1e-3)
    phases = torch.where(after.abs() > 1e-3, (after / after.abs() - before / before.abs()).abs(), 0)
    assert phases.max() < 0.02
    torch.testing.assert_close(y.mean((2, 3)), x.mean((2, 3))[2].expand(4, 3))


def test_the_whole_spectrum_the_own_style_and_no_share() -> None:
    x = torch.rand(3, 3, 8, 8)
    torch.testing.assert_close(exchange_style(x, torch.arange(3), 1.0), x, atol=1e-5, rtol=0)
    shifted = exchange_style(x, torch.tensor([1, 1, 1]), 0.0)
    torch.testing.assert_close(shifted[1], x[1], atol=1e-5, rtol=0)
    inside = (x + (x[1] - x).mean((2, 3), keepdim=True)).clamp(0, 1)
    torch.testing.assert_close(shifted, inside, atol=1e-5, rtol=0)


def views_of(method: BSS, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
    method.seed_step(0, 0)
    return method.views(ImageBatch(images, torch.arange(len(images))))


def test_a_view_has_one_style_and_the_other_view_another() -> None:
    still = (Recipe(scale=None, brightness=0.5), Recipe(scale=None, brightness=0.5))
    images = torch.randint(60, 180, (6, 3, 8, 8), dtype=torch.uint8)
    for standardize, equal in (("batch", True), ("image", False)):
        method = BSS("small-conv", views=still, standardize=standardize, projection_dim=4)  # type: ignore[arg-type]
        means = [view.mean((2, 3)) for view in views_of(method, images)]
        for mean in means:
            assert (float(mean.std(0).max()) < 0.01) == equal, standardize
        assert not torch.allclose(*means, atol=0.01)
    plain = build("bss", digits(), 0, standardize="none")
    simclr = build("simclr", digits(), 0)
    batch = digits().batch(np.arange(8))
    for method in (plain, simclr):
        method.seed_step(0, 0)
    assert all(map(torch.equal, plain.views(batch), simclr.views(batch)))


def test_every_domain_has_its_own_look() -> None:
    train, held_out = domains(0)
    assert held_out["source"].images.shape == held_out["unseen domain"].images.shape  # type: ignore[attr-defined]
    means = held_out["source"].images.mean((0, 1, 2)), held_out["unseen domain"].images.mean((0, 1, 2))  # type: ignore[attr-defined]
    assert np.abs(means[0] - means[1]).max() > 5
    assert sorted(np.unique(train.domains)) == [0, 1, 2]


def test_wrong_arguments_are_named() -> None:
    x = torch.rand(3, 3, 8, 8)
    with pytest.raises(ValueError, match=r"share must be in \[0, 1\], got 1.5"):
        exchange_style(x, torch.zeros(3, dtype=torch.long), 1.5)
    with pytest.raises(ValueError, match=r"reference \(N,\), got \(3, 3, 8, 8\) and \(2,\)"):
        exchange_style(x, torch.zeros(2, dtype=torch.long), 0.5)
    with pytest.raises(ValueError, match="standardize must be 'batch', 'image' or 'none', got 'all'"):
        BSS("small-conv", standardize="all")
    with pytest.raises(ValueError, match=r"greatest_share <= 1, got 0\.5 and 0\.2"):
        BSS("small-conv", least_share=0.5, greatest_share=0.2)
