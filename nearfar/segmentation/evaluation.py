"""What is measured on scenes: mean intersection over union, and agreement between appearances."""

from __future__ import annotations

import itertools

import numpy as np
import torch

from nearfar.evaluation import ConfusionMatrix
from nearfar.segmentation.data.scenes import RenderedScenes
from nearfar.segmentation.method import SegmentationMethod
from nearfar.training import Data, Method
from nearfar.training.data import in_order
from nearfar.training.embed import to_device


def evaluate(method: Method, data: Data, *, seed: int = 0) -> dict[str, float]:
    """Of every held-out set: ``miou <set>`` from one confusion matrix over all its scenes and appearances, and
    ``agreement <set>``, the share of pixels that two appearances of a scene give the same class. All in [0, 1]."""
    assert isinstance(method, SegmentationMethod)
    scores: dict[str, float] = {}
    for name, held_out in (dict(data.splits()) or {"data": data}).items():
        assert isinstance(held_out, RenderedScenes)
        matrix = ConfusionMatrix(len(held_out.classes))
        agreements = []
        for _, batch in in_order(held_out, 8):
            predicted = predict_appearances(method, batch.images)
            for column in range(predicted.shape[1]):
                matrix.update(predicted[:, column], batch.labels.numpy())
            agreements += [
                float((predicted[:, a] == predicted[:, b]).mean())
                for a, b in itertools.combinations(range(predicted.shape[1]), 2)
            ]
        scores[f"miou {name}"] = matrix.miou
        if agreements:
            scores[f"agreement {name}"] = float(np.mean(agreements))
    return scores


def predict_appearances(method: SegmentationMethod, images: torch.Tensor) -> np.ndarray:
    """Class numbers (N, A, H, W) for images (N, A, 3, H, W)."""
    with method.frozen():
        flat = method.predict(to_device(images.flatten(0, 1), method.device))
    return flat.view(*images.shape[:2], *images.shape[3:]).cpu().numpy()
