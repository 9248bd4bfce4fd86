"""How restored pictures are judged."""

from __future__ import annotations

from typing import Any

import torch

from nearfar.generation.evaluation import COUNT, fidelity
from nearfar.generation.made import Made, Picture
from nearfar.generation.method import BATCH
from nearfar.generation.upscaling import (
    as_pixels,
    degrade,
    enlarge,
)
from nearfar.generation.wavelets import haar_bands
from nearfar.generation.writing import asked
from nearfar.sources.data import Data, in_order
from nearfar.system import Scores
from nearfar.training.embed import to_device


def restoration_scores(restore: object, method: Any, data: Data) -> Scores:
    """The scores of ``restore``, from small pictures to large ones, on the method's degradation of held-out ones."""
    assert callable(restore)
    made, errors = [], []
    for _, batch in in_order(asked(data).sample(COUNT), BATCH):
        images = to_device(batch, method.device).images.float() / 255
        height, width = (side // method.scale * method.scale for side in images.shape[2:])
        true = images[..., :height, :width]
        with method.frozen():
            restored = restore(degrade(true, method.scale)).clamp(0, 1)
        errors.append((haar_bands(restored) - haar_bands(true)).abs().mean((1, 2, 3)).cpu())
        pairs = zip(batch.rows.tolist(), restored, true, strict=True)
        made += [Made(row, {"": Picture(as_pixels(a))}, reference=Picture(as_pixels(b))) for row, a, b in pairs]
    return fidelity(made).add(Scores({"detail error": float(torch.cat(errors).mean())}, lower=["detail error"]))


def bicubic(data: Data, method: Any) -> Scores:
    """The scores of plain bicubic enlargement."""
    return restoration_scores(lambda small: enlarge(small, method.scale), method, data)
