"""Patches and masks."""

from __future__ import annotations

import pytest
import torch

from nearfar.parts import fill, patchify, random_masking, take, unpatchify


def test_patches_are_rows_of_the_grid_and_come_back() -> None:
    images = torch.arange(2 * 3 * 4 * 6.0).reshape(2, 3, 4, 6)
    patches = patchify(images, 2)
    assert patches.shape == (2, 6, 12)
    second_of_first_row = images[1, :, 0:2, 2:4].permute(1, 2, 0).flatten()
    assert torch.equal(patches[1, 1], second_of_first_row)
    assert torch.equal(unpatchify(patches, 2, 4, 6), images)


def test_a_mask_hides_its_share_of_every_image_and_is_uniform() -> None:
    generator = torch.Generator().manual_seed(0)
    masking = random_masking(4000, 16, 0.75, generator)
    assert masking.kept.shape == (4000, 4)
    assert bool((masking.hidden.sum(1) == 12).all())
    assert not masking.hidden.gather(1, masking.kept).any()
    # Binomial with p = 3/4 and n = 4000: five standard deviations are 0.034.
    assert bool(((masking.hidden.float().mean(0) - 0.75).abs() < 0.034).all())


def test_what_is_taken_is_put_back_in_its_place() -> None:
    tokens, filler = torch.randn(3, 10, 5), torch.randn(5, requires_grad=True)
    masking = random_masking(3, 10, 0.6, torch.Generator().manual_seed(1))
    whole = fill(take(tokens, masking.kept), masking.kept, 10, filler)
    assert torch.equal(whole[~masking.hidden], tokens[~masking.hidden])
    assert torch.equal(whole[masking.hidden], filler.detach().expand(18, 5))
    whole.sum().backward()
    assert torch.equal(filler.grad, torch.full((5,), 18.0))


def test_bad_sizes_and_ratios_are_named() -> None:
    with pytest.raises(ValueError, match="5x4 pixels are not whole patches of 2"):
        patchify(torch.zeros(1, 3, 5, 4), 2)
    for ratio in (0.0, 1.0, -1.0, 0.95):
        with pytest.raises(ValueError, match="show some and hide some of 10 patches"):
            random_masking(1, 10, ratio)
