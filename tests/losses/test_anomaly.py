"""Losses that learn what is normal: released values, slow versions, range, memory."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar import losses
from nearfar.losses.anomaly import augmented_negatives
from tests.losses.test_memory import Largest
from tests.parity import ParityCase, assert_parity, parity


def slow_clan(z: Tensor, changed: Tensor, margin: float = 0.5, alpha: float = 0.5, squared: bool = False) -> Tensor:
    eps = 1e-6
    u, v = F.normalize(z, dim=1), F.normalize(changed, dim=1)
    apart = (1 - u @ u.T) / 2
    hinge = (margin - (1 - u @ v.T) / 2).clamp_min(0)
    terms = [term**2 if squared else term for term in (apart, hinge)]
    first, second = (term.sum() / ((term > eps).sum().double() + eps) for term in terms)
    return alpha * first + (1 - alpha) * second


@pytest.mark.parametrize("case", parity("slad", "scale_alignment_loss"), ids=str)
def test_released_values_of_slad(case: ParityCase) -> None:
    arrays = case.load()
    rows = losses.scale_alignment(arrays["in_pred"], arrays["in_target"], reduction="none")
    torch.testing.assert_close(rows, arrays["out_per_row"], rtol=1e-9, atol=1e-12)
    assert_parity(case, arrays, losses.scale_alignment(arrays["in_pred"], arrays["in_target"]), rtol=1e-9)


@pytest.mark.parametrize("case", parity("clan", "clan_loss"), ids=str)
def test_released_values_of_clan(case: ParityCase) -> None:
    """The release casts the counts to float32; values agree to its precision."""
    arrays = case.load()
    value = losses.clan(arrays["in_z"], arrays["in_z_aug"], margin=case.hyper["m"], alpha=case.hyper["alpha"])
    assert_parity(case, arrays, value, rtol=1e-6)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_clan_is_its_slow_version_in_tiles(squared: bool, alpha: float, monkeypatch) -> None:
    monkeypatch.setattr(augmented_negatives, "TILE", 40)
    generator = torch.Generator().manual_seed(0)
    z = (torch.randn(13, 5, generator=generator, dtype=torch.float64) + 1).requires_grad_()
    changed = torch.randn(9, 5, generator=generator, dtype=torch.float64).requires_grad_()
    value = losses.clan(z, changed, alpha=alpha, squared=squared)
    slow = slow_clan(z, changed, alpha=alpha, squared=squared)
    torch.testing.assert_close(value, slow, rtol=1e-10, atol=1e-12)
    for own, expected in zip(
        torch.autograd.grad(value, (z, changed)), torch.autograd.grad(slow, (z, changed)), strict=True
    ):
        torch.testing.assert_close(own, expected, rtol=1e-9, atol=1e-11)
    scaled = losses.clan(3 * z, 0.2 * changed, alpha=alpha, squared=squared)
    torch.testing.assert_close(scaled, value)


def test_clan_holds_no_matrix_of_all_pairs(monkeypatch) -> None:
    monkeypatch.setattr(augmented_negatives, "TILE", 1 << 14)
    z = [torch.randn(1500, 4, requires_grad=True) for _ in range(2)]
    with Largest() as largest:
        losses.clan(*z).backward()
    assert largest.bytes // 4 < 1500 * 1500 / 16


def test_scale_alignment_by_definition() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(6, 4, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(2))
    p, t = a.softmax(1), b.softmax(1)
    middle = (p + t) / 2
    js = ((p * (p / middle).log() + t * (t / middle).log()) / 2).sum(1)
    torch.testing.assert_close(losses.scale_alignment(a, b, divergence="js", reduction="none"), js)
    assert losses.scale_alignment(a, a, divergence="js").item() == pytest.approx(0, abs=1e-12)
    assert losses.scale_alignment(a, a) > 0
    for divergence in ("release", "js"):
        assert torch.autograd.gradcheck(lambda x, y, d=divergence: losses.scale_alignment(x, y, divergence=d), (a, b))
        far = losses.scale_alignment(a.detach() + 900 * torch.eye(6, 4), b.detach() - 900, divergence=divergence)
        assert torch.isfinite(far)
        order = torch.tensor([2, 0, 3, 1])
        torch.testing.assert_close(
            losses.scale_alignment(a[:, order], b[:, order], divergence=divergence),
            losses.scale_alignment(a, b, divergence=divergence),
        )


def test_wrong_arguments() -> None:
    x = torch.randn(3, 4)
    with pytest.raises(ValueError, match="divergence must be one of 'release', 'js', got 'kl'"):
        losses.scale_alignment(x, x, divergence="kl")
    with pytest.raises(ValueError, match=r"margin must lie in \[0, 1\], got 2"):
        losses.clan(x, x, margin=2)
    with pytest.raises(ValueError, match="changed has width 3 and z has width 4"):
        losses.clan(x, x[:, :3])
