"""Pictures for a run's page: what the method is shown, and what it finds alike."""

from __future__ import annotations

import numpy as np
import torch

from nearfar.training import Data, Method, embed
from nearfar.vision.method import ImageMethod

COUNT, NEIGHBOURS = 8, 7


def pictures(method: Method, data: Data) -> list[tuple[str, np.ndarray]]:
    """Captioned RGB arrays: the random views of a few images; nearest neighbours of held-out images."""
    if not isinstance(method, ImageMethod):
        return []
    batch = data.batch(np.arange(min(COUNT, len(data))))
    method.generator.manual_seed(0)
    shown = batch.images[:, 0] if batch.images.ndim == 5 else batch.images
    views = [view for view in method.views(batch) if view.ndim == 4][:2]
    columns = [shown, *((view * 255).round().to(torch.uint8) for view in views)]
    two = "Images and the two random views the method was asked to call alike"
    found = [(two if len(views) == 2 else "Images, and what the method was shown of them", grid(columns))]
    held_out = next(reversed([*data.splits().values()]), None)
    if held_out is not None or len(data) > COUNT + NEIGHBOURS:
        bank, queries = _apart(data) if held_out is None else (data.sample(2048), held_out.sample(COUNT, seed=1))
        similar = embed(method, queries).normalized().array @ embed(method, bank).normalized().array.T
        nearest = np.argsort(-similar, axis=1)[:, :NEIGHBOURS]
        rows = [queries.batch(np.arange(len(queries))).images]
        for rank in range(NEIGHBOURS):
            images = bank.batch(nearest[:, rank]).images
            rows.append(images[:, 0] if images.ndim == 5 else images)
        left = "pictures of the collection" if held_out is None else held_out.name
        found.append((f"Left: {left}. Right of it: the nearest training images", grid(rows)))
    return found


def _apart(data: Data) -> tuple[Data, Data]:
    """Up to 2048 drawn examples, and a few others."""
    order = np.random.default_rng(1).permutation(len(data))
    return data.subset(order[COUNT : COUNT + 2048]), data.subset(order[:COUNT])


def grid(columns: list[torch.Tensor], gap: int = 2) -> np.ndarray:
    """Columns of (N, 3, H, W) uint8 images as one picture, image n of every column in row n."""
    height, width = (max(column.shape[axis] for column in columns) for axis in (2, 3))
    count = len(columns[0])
    sheet = np.full((count * (height + gap) - gap, len(columns) * (width + gap) - gap, 3), 255, np.uint8)
    for x, column in enumerate(columns):
        for y, image in enumerate(column.permute(0, 2, 3, 1).cpu().numpy()):
            top, left = y * (height + gap), x * (width + gap)
            sheet[top : top + image.shape[0], left : left + image.shape[1]] = image[:height, :width]
    return sheet
