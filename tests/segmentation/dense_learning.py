"""What the tests of dense pre-training share: few small collages, one loss, one short training."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nearfar.reproductions.arms import build, train
from nearfar.segmentation.data.collage import DigitCollages
from nearfar.segmentation.dense import DensePretraining, DenseViews
from nearfar.training import Method


@functools.cache
def collages() -> DigitCollages:
    return DigitCollages(128, size=48, splits={"test": DigitCollages(16, "test", size=48)})


def dense(slug: str, **changes: Any) -> DensePretraining:
    method = build(slug, collages(), 0, **{"hidden": 32, "projection_dim": 16, **changes})
    assert isinstance(method, DensePretraining)
    return method


def some_views(method: DensePretraining, rows: int = 8) -> DenseViews:
    method.seed_step(0, 0)
    return method.views(collages().batch(np.arange(rows)))


def one_loss(method: DensePretraining, rows: int = 8) -> dict[str, Tensor]:
    """The loss of the first images, as a training step would compute it."""
    views = some_views(method, rows)
    return method.loss(views)  # type: ignore[return-value]


def agreement(method: DensePretraining) -> float:
    """By how much a cell is more like the cells of the other view that show its place than like the rest."""
    from nearfar.segmentation.dense import grid_of, to_cells
    from nearfar.segmentation.places import close_cells

    with method.frozen():
        views = some_views(method, 64)
        maps = [method.map(view) for view in views[:2]]
        first, second = (torch.nn.functional.normalize(to_cells(m) - to_cells(m).mean((0, 1)), dim=2) for m in maps)
        close = close_cells(views.corners1, views.corners2, grid_of(maps[0]))
        cosine = first @ second.mT
        return float(cosine[close].mean() - cosine[~close].mean())


def learn(slug: str, steps: int = 40, **changes: Any) -> tuple[Method, float, float]:
    """The method after a few steps, and its :func:`agreement` before and after them."""
    method = dense(slug, **changes)
    before = agreement(method)
    train(slug, method, collages(), 0, steps=steps, batch_size=16)
    return method, before, agreement(method)
