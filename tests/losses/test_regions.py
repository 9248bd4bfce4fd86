"""The cross-entropy of region maps is its formula, on hidden patches only."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nearfar.losses import masked_regions


def example() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 5, 4, generator=generator, dtype=torch.float64)
    return logits, torch.rand(2, 3, 5, 4, generator=generator) < 0.3, torch.rand(2, 5, generator=generator) < 0.6


@pytest.mark.parametrize("background", [1.0, 0.2])
def test_it_is_the_formula(background: float) -> None:
    logits, regions, mask = example()
    total, count = 0.0, 0
    for n in range(2):
        for patch in range(5):
            if not mask[n, patch]:
                continue
            count += 1
            for k in range(3):
                for pixel in range(4):
                    p = 1 / (1 + torch.exp(-logits[n, k, patch, pixel]))
                    inside = bool(regions[n, k, patch, pixel])
                    total -= (p.log() if inside else background * (1 - p).log()) / 12
    torch.testing.assert_close(masked_regions(logits, regions, mask, background=background), total / count)


def test_gradients_are_right_and_of_hidden_patches_only() -> None:
    logits, regions, mask = example()
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: masked_regions(x, regions, mask, background=0.5), logits)
    masked_regions(logits, regions, mask).backward()
    assert logits.grad is not None
    assert torch.equal(logits.grad.abs().sum((1, 3)) > 0, mask)
    assert masked_regions(logits, regions, torch.zeros_like(mask)).item() == 0
    assert masked_regions(logits.detach().bfloat16(), regions, mask).dtype == torch.float32


def test_wrong_arguments_are_named() -> None:
    logits, regions, mask = example()
    with pytest.raises(TypeError, match="regions must be a boolean tensor"):
        masked_regions(logits, regions.long(), mask)
    with pytest.raises(ValueError, match=r"one shape \(N, K, L, P\)"):
        masked_regions(logits[:, :2], regions, mask)
    with pytest.raises(ValueError, match=r"mask must have shape \(2, 5\)"):
        masked_regions(logits, regions, mask[:, :4])
    with pytest.raises(ValueError, match="background must be at least 0"):
        masked_regions(logits, regions, mask, background=-1.0)
