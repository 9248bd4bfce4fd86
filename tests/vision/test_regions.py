"""Segments are what they must be on pictures whose segments are known, and regions follow the view."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score
from torch import Tensor

from nearfar.parts import patchify
from nearfar.vision.data.shapes import ShapeImages, random_factors
from nearfar.vision.regions import crop_labels, draw_regions, felzenszwalb, regions_of
from nearfar.vision.views import Recipe, apply


def blocks() -> tuple[Tensor, Tensor]:
    """Four flat fields, one of which is a single dark pixel away from another, and their numbers."""
    labels = torch.zeros(1, 12, 16, dtype=torch.long)
    labels[:, :, 8:] = 1
    labels[:, 7:, :8] = 2
    labels[:, 7:, 8:] = 3
    colours = torch.tensor([[200, 40, 40], [40, 200, 40], [40, 40, 200], [220, 220, 220]], dtype=torch.uint8)
    return colours[labels].permute(0, 3, 1, 2), labels


def test_flat_fields_are_the_segments_and_are_numbered_in_order() -> None:
    images, labels = blocks()
    assert torch.equal(felzenszwalb(images, scale=10, sigma=0, min_size=1), labels)
    assert torch.equal(felzenszwalb(images, scale=10, sigma=0.5, min_size=20), labels)


def test_small_segments_join_the_neighbour_they_are_nearest_to() -> None:
    images, labels = blocks()
    images[0, :, 3, 4] = torch.tensor([190, 60, 40])  # a speck in the red field
    images[0, :, 3, 7] = torch.tensor([60, 190, 60])  # and one at its edge, nearly green
    found = felzenszwalb(images, scale=0.1, sigma=0, min_size=1)
    assert int(found.max()) == 5
    expected = labels.clone()
    expected[0, 3, 7] = 1
    assert torch.equal(felzenszwalb(images, scale=0.1, sigma=0, min_size=2), expected)


def test_scale_and_min_size_decide_how_many() -> None:
    data = ShapeImages(random_factors(8, 3), 32)
    images = data.batch(np.arange(8)).images
    counts = [int(felzenszwalb(images, scale=s, min_size=1).flatten(1).amax(1).sum()) for s in (10, 100, 1000)]
    assert counts[0] > counts[1] > counts[2]
    smallest = [int(torch.bincount(each.flatten()).min()) for each in felzenszwalb(images, scale=100, min_size=15)]
    assert min(smallest) >= 15


def test_shapes_are_found_without_their_masks() -> None:
    data = ShapeImages(random_factors(24, 3), 48)
    found = felzenszwalb(data.batch(np.arange(24)).images, scale=300, min_size=20)
    again = felzenszwalb(data.batch(np.arange(24)).images, scale=300, min_size=20)
    assert torch.equal(found, again)
    scores = [adjusted_rand_score(a.ravel(), b.ravel()) for a, b in zip(data.masks, found.numpy(), strict=True)]
    assert np.mean(scores) > 0.5, scores


def test_labels_take_the_crop_and_flip_of_their_view() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 250, (6, 5, 7), generator=generator).repeat_interleave(8, 1).repeat_interleave(8, 2)
    images = labels[:, None].expand(-1, 3, -1, -1).to(torch.uint8)
    draws = Recipe(scale=(0.3, 1.0), flip=0.5).draw(6, 40, 56, generator)
    assert draws.flip is not None
    assert 0 < int(draws.flip.sum()) < 6
    view = apply(images, draws, (40, 40))[:, 0] * 255
    followed = crop_labels(labels, draws, 40, 40)
    # Only where a pixel of the view lies across an edge may the interpolated picture differ from the nearest label.
    assert float(((view - followed).abs() < 0.6).float().mean()) > 0.7
    whole = Recipe(scale=None).draw(6, 40, 56, generator)
    assert torch.equal(crop_labels(labels, whole, 40, 56), labels)


def segments() -> Tensor:
    """One picture of five segments in four patches of 2 x 2, and one of a single segment."""
    first = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 2], [3, 3, 4, 4], [3, 3, 4, 4]])
    return patchify(torch.stack([first, torch.zeros_like(first)])[:, None], 2)


def test_regions_differ_while_they_last_and_all_are_drawn_alike() -> None:
    generator, counts = torch.Generator().manual_seed(0), torch.zeros(5)
    for _ in range(400):
        chosen = draw_regions(segments(), 3, generator)
        assert len(set(chosen[0].tolist())) == 3
        assert chosen[1].tolist() == [0, 0, 0]
        counts += torch.bincount(chosen[0], minlength=5)
    assert bool(((counts / 400 - 0.6).abs() < 0.13).all()), counts  # five standard deviations are 0.122
    seven = draw_regions(segments(), 7, generator)[0]
    assert torch.bincount(seven, minlength=5).tolist() != [7, 0, 0, 0, 0]
    assert int(torch.bincount(seven, minlength=5).max()) <= 2


def test_small_and_unseen_regions_can_be_left_out() -> None:
    generator = torch.Generator().manual_seed(0)
    assert bool((draw_regions(segments(), 2, generator, least_patches=2)[0] == -1).all())
    hidden = torch.tensor([[True, False, True, True], [True, True, True, True]])
    for _ in range(20):
        first, second = draw_regions(segments(), 2, generator, hidden=hidden).tolist()
        assert sorted(first) == [1, 2]
        assert second == [-1, -1]
    maps = regions_of(segments(), torch.tensor([[2, -1], [0, 0]]))
    assert maps.shape == (2, 2, 4, 4)
    assert maps[0].nonzero().tolist() == [[0, 1, 3]]
    assert bool(maps[1].all())


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(TypeError, match=r"uint8 tensor, got torch\.float32"):
        felzenszwalb(torch.rand(1, 3, 8, 8))
    with pytest.raises(ValueError, match=r"shape \(N, 3, H, W\)"):
        felzenszwalb(torch.zeros(1, 1, 8, 8, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"min_size at least 1, got 1000\.0, 0\.8 and 0"):
        felzenszwalb(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), min_size=0)
