"""Crops of pictures of several sizes in one batch: the papers' distributions, picture by picture."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp

from nearfar.vision.views import Recipe, apply, moco_v2, simclr
from nearfar.vision.views.draws import random_boxes, uniform

SIDES = ((100, 140), (180, 60), (37, 37), (40, 300), (1, 9))


def reference_crop(
    rng: np.random.Generator, height: int, width: int, scale: tuple[float, float], ratio: tuple[float, float]
) -> tuple[int, int, int, int]:
    """Random resized crop of one picture, by the description in torchvision's documentation."""
    for _ in range(10):
        area = height * width * rng.uniform(*scale)
        aspect = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1)), h, w
    if width / height < ratio[0]:
        w, h = width, round(width / ratio[0])
    elif width / height > ratio[1]:
        w, h = round(height * ratio[1]), height
    else:
        w, h = width, height
    return (height - h) // 2, (width - w) // 2, h, w


@pytest.mark.parametrize("scale", [(0.08, 1.0), (0.2, 0.4)])
def test_crops_of_each_picture_are_distributed_as_if_it_were_alone(scale: tuple[float, float]) -> None:
    count, ratio = 1500, (3 / 4, 4 / 3)
    sizes = torch.tensor(SIDES).repeat_interleave(count, 0)
    recipe = Recipe(scale=scale, ratio=ratio)
    boxes = recipe.draw(len(sizes), sizes[:, 0], sizes[:, 1], torch.Generator().manual_seed(1)).boxes.numpy()
    rng = np.random.default_rng(2)
    for position, (height, width) in enumerate(SIDES):
        ours = boxes[position * count : (position + 1) * count]
        theirs = np.array([reference_crop(rng, height, width, scale, ratio) for _ in range(count)])
        assert (ours[:, :2] >= 0).all()
        assert (ours[:, 2:] >= 1).all()
        assert (ours[:, :2] + ours[:, 2:] <= [height, width]).all()
        for one, other in zip(described(ours, height, width), described(theirs, height, width), strict=True):
            assert ks_2samp(one, other, method="asymp").statistic < 0.06, (height, width)


def described(boxes: np.ndarray, height: int, width: int) -> list[np.ndarray]:
    """Share of the area, logarithm of the aspect ratio, and place of each box."""
    top, left, h, w = boxes.T
    return [h * w / (height * width), np.log(w / h), top / height, left + w / 2]


def test_one_size_for_all_and_the_same_size_for_each_give_the_same_crops() -> None:
    u = uniform(64, torch.Generator().manual_seed(0), 0)
    together = random_boxes(u, *torch.tensor(SIDES * 13)[:64].unbind(1), (0.08, 1.0), (3 / 4, 4 / 3))
    for position, box in enumerate(together):
        side = torch.tensor(SIDES[position % len(SIDES)])
        alone = random_boxes(u[position : position + 1], side[:1], side[1:], (0.08, 1.0), (3 / 4, 4 / 3))
        assert torch.equal(alone[0], box)


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_a_view_is_that_of_the_picture_alone(backend: str) -> None:
    rng = np.random.default_rng(0)
    pictures = [torch.from_numpy(rng.integers(0, 256, (3, h, w), dtype=np.uint8)) for h, w in SIDES]
    images = torch.full((len(SIDES), 3, 200, 320), 255, dtype=torch.uint8)
    for image, picture in zip(images, pictures, strict=True):
        image[:, : picture.shape[1], : picture.shape[2]] = picture
    for recipe in (simclr(), moco_v2(), Recipe(size=24, scale=None, centre=0.8)):
        recipe = recipe.with_(size=24)
        views = recipe(images, torch.Generator().manual_seed(5), sizes=torch.tensor(SIDES), backend=backend)
        draws = recipe.draw(len(images), *torch.tensor(SIDES).unbind(1), torch.Generator().manual_seed(5))
        for position, picture in enumerate(pictures):
            rows = {name: value[position : position + 1] for name, value in draws.given().items()}
            alone = apply(picture[None], type(draws)(**rows), 24, backend="numba")
            assert torch.allclose(views[position], alone[0], atol=1e-3), (recipe, position)


@pytest.mark.parametrize("sizes", [[[4, 4]], [[0, 4], [4, 4]], [[4, 4], [4, 9]], [4, 4]])
def test_sizes_that_do_not_fit_are_refused(sizes: list) -> None:
    with pytest.raises(ValueError, match="sizes must"):
        simclr()(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.Generator(), sizes=torch.tensor(sizes))
