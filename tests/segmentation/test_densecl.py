"""DenseCL: its two losses against loops, its queues, its matching, and the dense views that three methods share."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from nearfar.segmentation.data.collage import CLASSES, DigitCollages
from nearfar.segmentation.dense import deepest_map, dense_encoder, to_cells
from nearfar.segmentation.evaluation import evaluate
from nearfar.segmentation.methods.densecl import DenseCL
from nearfar.segmentation.pixel_probe import match_accuracy
from nearfar.segmentation.places import cell_centres, close_cells, crop_corners
from nearfar.vision.method import ImageBatch
from nearfar.vision.views import Draws, Recipe, apply
from tests.segmentation.dense_learning import collages, dense, learn, one_loss, some_views


def cos(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(a @ b / (a.norm() * b.norm()))


def test_both_losses_against_their_formulas() -> None:
    method = dense("densecl", queue_size=8, dense_weight=0.3, key_groups=1).double()
    views = some_views(method, 2)
    views = views._replace(first=views.first.double(), second=views.second.double())
    with torch.no_grad():
        terms = method.loss(views)
        encoder, head, dense_head = method.key_network.module
        queries, keys = (to_cells(deepest_map(e, v)) for e, v in ((method.encoder, views[0]), (encoder, views[1])))

        def nll(q: torch.Tensor, k: torch.Tensor, queue: torch.Tensor) -> float:
            e = [math.exp(cos(q, key) / 0.2) for key in [k, *queue]]
            return -math.log(e[0] / sum(e))

        pooled = [
            (method.head(q.mean(0, True))[0], head(k.mean(0, True))[0]) for q, k in zip(queries, keys, strict=True)
        ]
        image = [nll(q, k, method.queue.keys) for q, k in pooled]
        cells = []
        for n in range(2):
            for b in queries[n]:
                match = max(range(len(keys[n])), key=lambda j: cos(b, keys[n, j]))
                projected = method.dense_head(b[None])[0], dense_head(keys[n, match][None])[0]
                cells.append(nll(*projected, method.dense_queue.keys))
    assert float(terms["image"]) == pytest.approx(0.7 * np.mean(image), rel=1e-6)
    assert float(terms["dense"]) == pytest.approx(0.3 * np.mean(cells), rel=1e-6)


def test_queues_hold_keys_of_images_and_pooled_cells() -> None:
    method = dense("densecl", queue_size=12, key_groups=1)
    views = some_views(method)
    method.loss(views)
    _, pooled, cells = method.keys(views.second)
    method.after_step()
    unit = nn.functional.normalize
    torch.testing.assert_close(method.queue.keys[:8], unit(pooled, dim=1))
    torch.testing.assert_close(method.dense_queue.keys[:8], unit(cells.mean(1), dim=1))
    assert int(method.queue.position) == 8


def test_gradients_reach_the_query_side_only() -> None:
    method = dense("densecl")
    terms = one_loss(method)
    torch.stack([*terms.values()]).sum().backward()
    assert all(p.grad is not None for module in method.network for p in module.parameters())
    assert all(p.grad is None for p in method.key_network.parameters())


def test_a_late_start_is_moco() -> None:
    late, moco = dense("densecl", dense_start=0.5), dense("densecl", dense_weight=0.0)
    for method in (late, moco):
        terms = one_loss(method)
        assert terms["dense"].item() == 0
        assert terms["image"].item() == pytest.approx(one_loss(moco)["image"].item(), rel=1e-5)


def test_training_brings_cells_of_one_place_together() -> None:
    _, before, after = learn("densecl", queue_size=128)
    assert after > before + 0.03


def test_it_is_measured_by_the_pixel_probe() -> None:
    scores = evaluate(dense("densecl").eval(), collages())
    assert set(scores) == {"pixel miou test", "presence map test", "matched test", "effective_rank", "std"}
    assert 0 < scores["pixel miou test"] < 1
    assert 0.1 < scores["presence map test"] <= 1
    assert match_accuracy(dense("densecl"), collages().splits()["test"]) == pytest.approx(
        scores["matched test"], abs=0.05
    )


def test_views_lie_where_their_corners_say() -> None:
    # A picture whose red is the column and whose green is the row, so that a view's pixels tell where it was cut.
    size = 65
    ramp = torch.arange(size, dtype=torch.uint8) * 3
    image = torch.stack([ramp.expand(size, size), ramp.view(-1, 1).expand(size, size), torch.zeros(size, size)])
    images = image.to(torch.uint8).expand(16, 3, size, size)
    recipe = Recipe(scale=(0.2, 0.8), flip=0.5, size=32)
    draws = recipe.draw(16, size, size, torch.Generator().manual_seed(0))
    corners = crop_corners(draws, size, size)
    views = apply(images, draws, 32)
    centres = cell_centres(corners, (4, 4)) * (size - 1) * 3 / 255
    cells = torch.nn.functional.avg_pool2d(views, 8)
    torch.testing.assert_close(to_cells(cells[:, :2]), centres, atol=0.01, rtol=0)
    assert 0 < int(draws.flip.sum()) < 16


def test_close_cells_of_known_crops() -> None:
    def corners(*boxes: tuple[int, int, int, int], flip: bool = False) -> torch.Tensor:
        return crop_corners(Draws(torch.tensor(boxes), flip=torch.full((len(boxes),), flip)), 101, 101)

    whole, mirrored = corners((0, 0, 101, 101)), corners((0, 0, 101, 101), flip=True)
    assert torch.equal(close_cells(whole, whole, (3, 3), 0.7), torch.eye(9, dtype=torch.bool)[None])
    across = torch.eye(9, dtype=torch.bool).view(9, 3, 3).flip(2).view(1, 9, 9)
    assert torch.equal(close_cells(whole, mirrored, (3, 3), 0.7), across)
    apart = close_cells(corners((0, 0, 40, 40)), corners((60, 60, 40, 40)), (3, 3))
    assert not apart.any()
    assert close_cells(whole, whole, (3, 3), 0.71).sum() == 9 + 24  # 0.707 diagonals: the next cell beside
    with pytest.raises(ValueError, match="ratio must be above 0, got 0"):
        close_cells(whole, whole, (3, 3), 0)


def test_collages_are_repeatable_and_split_by_digit() -> None:
    first, again = DigitCollages(6), DigitCollages(6)
    assert np.array_equal(first.images, again.images)
    assert not np.array_equal(first.images, DigitCollages(6, seed=1).images)
    many = DigitCollages(60, digits=(2, 3))
    counts = [len(np.unique(i)) - 1 for i in many.instances]
    assert set(counts) == {2, 3}
    assert set(np.unique(many.label_maps)) == set(range(len(CLASSES)))
    # Every stroke is lighter than the canvas: on average so is what is labelled.
    luma = many.images.mean(-1)
    assert luma[many.label_maps > 0].mean() > luma[many.label_maps == 0].mean() + 20
    batch = many.batch(np.array([3, 1]))
    assert batch.images.shape == (2, 1, 3, 64, 64)
    assert torch.equal(batch.labels[0], torch.from_numpy(many.label_maps[3]).long())
    with pytest.raises(ValueError, match="within 1 to 4, got"):
        DigitCollages(1, digits=(0, 4))


def test_any_encoder_with_a_map() -> None:
    images = torch.zeros(2, 3, 32, 32)
    shapes = {"small-dense": (96, 4, 4), "small-pyramid": (96, 2, 2), "resnet18": (512, 1, 1)}
    for name, shape in shapes.items():
        assert deepest_map(dense_encoder(name).eval(), images).shape[1:] == shape
    vector = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 5))
    vector.out_features = 5
    with pytest.raises(ValueError, match=r"a feature map \(N, C, h, w\), got \(2, 5\)"):
        deepest_map(dense_encoder(vector), images)
    with pytest.raises(ValueError, match=r"unknown encoder 'resnet7'.*small-dense"):
        dense_encoder("resnet7")


def test_it_learns_from_pictures_without_labels() -> None:
    method = dense("densecl")
    images = torch.randint(0, 255, (4, 3, 40, 40), dtype=torch.uint8)
    method.seed_step(0, 0)
    views = method.views(ImageBatch(images, torch.arange(4)))
    assert views.first.shape == (4, 3, 40, 40)
    assert method.encode(images).shape == (4, method.features)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"dense_weight must be in \[0, 1\], got 1.5"):
        DenseCL("small-dense", dense_weight=1.5)
    with pytest.raises(ValueError, match="views must be one of"):
        DenseCL("small-dense", views="none")
