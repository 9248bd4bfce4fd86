"""Contrast in series: values and gradients against released code and a slow version, range and memory."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar import losses
from nearfar.losses.sequences import _pairs
from tests.losses.test_memory import Largest
from tests.parity import ParityCase, assert_parity, parity


def slow_pairs(z: Tensor) -> Tensor:
    """Mean over the rows of (G, 2N, D) of cross-entropy with the partner, self left out."""
    count = z.shape[1]
    logits = z @ z.transpose(1, 2)
    logits = logits.masked_fill(torch.eye(count, dtype=torch.bool), -torch.inf)
    partner = torch.arange(count).roll(count // 2).expand(len(z), -1)
    return F.cross_entropy(logits.flatten(0, 1), partner.flatten())


def slow_hierarchy(z1: Tensor, z2: Tensor, alpha: float = 0.5, unit: int = 0, last: bool = True) -> Tensor:
    terms = []
    while z1.shape[1] > 1 or (last and z1.shape[1] == 1):
        across = slow_pairs(torch.cat([z1, z2]).transpose(0, 1)) if len(z1) > 1 else (z1 + z2).sum() * 0
        along = slow_pairs(torch.cat([z1, z2], 1)) if z1.shape[1] > 1 and len(terms) >= unit else (z1 + z2).sum() * 0
        terms.append(alpha * across + (1 - alpha) * along)
        if z1.shape[1] == 1:
            break
        z1, z2 = (F.max_pool1d(z.transpose(1, 2), 2).transpose(1, 2) for z in (z1, z2))
    return torch.stack(terms).mean()


def pair(shape: tuple[int, int, int], scale: float = 1.0, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shared = torch.randn(shape, generator=generator, dtype=torch.float64)
    return [(scale * (shared + 0.5 * torch.randn(shape, generator=generator, dtype=torch.float64))) for _ in range(2)]


@pytest.mark.parametrize(
    "case", parity("ts2vec", "instance_contrast", "temporal_contrast", "hierarchical_contrast"), ids=str
)
def test_released_values_of_ts2vec(case: ParityCase) -> None:
    arrays = case.load()
    value = getattr(losses, case.function)(arrays["in_z1"], arrays["in_z2"], **case.hyper)
    assert_parity(case, arrays, value, rtol=1e-9)


@pytest.mark.parametrize("shape", [(3, 37, 5), (1, 9, 4), (5, 1, 3), (1, 1, 2), (4, 2, 3)])
@pytest.mark.parametrize("options", [{}, {"alpha": 0.2, "unit": 2}, {"last": False}])
def test_the_hierarchy_is_its_slow_version(shape: tuple[int, int, int], options: dict, monkeypatch) -> None:
    if options.get("last") is False and shape[1] == 1:
        return  # no scale is left
    monkeypatch.setattr(_pairs, "STRIP", 64)  # several strips
    wanted = [z.clone().requires_grad_() for z in pair(shape)]
    slow = slow_hierarchy(*wanted, **options)
    expected = torch.autograd.grad(slow, wanted)
    renamed = {"unit": "temporal_unit"}
    own = [z.clone().requires_grad_() for z in pair(shape)]
    value = losses.hierarchical_contrast(*own, **{renamed.get(k, k): v for k, v in options.items()})
    torch.testing.assert_close(value, slow, rtol=1e-12, atol=1e-12)
    for found, grad in zip(torch.autograd.grad(value, own), expected, strict=True):
        torch.testing.assert_close(found, grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("scale", [0.1, 1.0, 3.0, 12.0])
@pytest.mark.parametrize("kept", [True, False])
def test_any_range_of_products_in_float32(scale: float, kept: bool, monkeypatch) -> None:
    if not kept:
        monkeypatch.setattr(_pairs, "KEPT", 10)
    z = pair((2, 70, 8), scale)
    for each in z:
        each[:, ::7] *= 4  # rows of very different length
    wanted = [each.clone().requires_grad_() for each in z]
    expected = torch.autograd.grad(slow_hierarchy(*wanted), wanted)
    own = [each.float().requires_grad_() for each in z]
    value = losses.hierarchical_contrast(*own)
    torch.testing.assert_close(value.double(), slow_hierarchy(*z), rtol=2e-6, atol=1e-6)
    largest = max(float(grad.abs().max()) for grad in expected)
    for found, grad in zip(torch.autograd.grad(value, own), expected, strict=True):
        assert float((found - grad).abs().max()) < 3e-5 * largest


def test_gradients_by_differences_and_upstream_factors() -> None:
    z = [each.requires_grad_() for each in pair((2, 5, 3))]
    assert torch.autograd.gradcheck(losses.hierarchical_contrast, z)
    once = torch.autograd.grad(losses.hierarchical_contrast(*z), z)
    thrice = torch.autograd.grad(3 * losses.hierarchical_contrast(*z), z)
    torch.testing.assert_close(thrice[0], 3 * once[0])
    with torch.no_grad():
        torch.testing.assert_close(losses.hierarchical_contrast(*z), slow_hierarchy(*z))


def test_the_order_of_series_and_of_views_is_of_no_matter() -> None:
    z1, z2 = pair((4, 11, 3))
    value = losses.hierarchical_contrast(z1, z2)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(losses.hierarchical_contrast(z1[order], z2[order]), value)
    torch.testing.assert_close(losses.hierarchical_contrast(z2, z1), value)


def test_no_matrix_of_all_steps_is_made_for_long_series(monkeypatch) -> None:
    monkeypatch.setattr(_pairs, "KEPT", 1 << 16)
    monkeypatch.setattr(_pairs, "STRIP", 1 << 14)
    z = [torch.randn(2, 1000, 4, requires_grad=True) for _ in range(2)]
    with Largest() as largest:
        losses.hierarchical_contrast(*z).backward()
    assert largest.bytes // 4 < 2000 * 2000 / 16


def test_wrong_series() -> None:
    z = torch.randn(2, 4, 3)
    with pytest.raises(ValueError, match=r"z1 must have shape \(B, T, D\), got shape \(2, 4\)"):
        losses.temporal_contrast(z[..., 0], z[..., 0])
    with pytest.raises(ValueError, match=r"z2 has shape \(2, 3, 3\) and z1 has shape \(2, 4, 3\)"):
        losses.instance_contrast(z, z[:, :3])
    with pytest.raises(ValueError, match="z1 is empty"):
        losses.hierarchical_contrast(z[:, :0], z[:, :0])
    with pytest.raises(ValueError, match=r"alpha must lie in \[0, 1\], got 2"):
        losses.hierarchical_contrast(z, z, alpha=2)
    with pytest.raises(ValueError, match="temporal_unit must be at least 0, got -1"):
        losses.hierarchical_contrast(z, z, temporal_unit=-1)
