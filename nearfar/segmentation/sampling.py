"""Rare-class sampling: which scenes an epoch meets, so that small and seldom things are seen often enough."""

from __future__ import annotations

import numpy as np
import torch

from nearfar.segmentation.classes import IGNORE
from nearfar.sources.data import in_order
from nearfar.training import Data


def class_pixels(data: Data, num_classes: int) -> np.ndarray:
    """Labelled pixels (scenes, classes) int64 of every class in every scene; reads all label maps once.

    Scenes in files count for themselves, without their pictures or from the statistics beside them.
    """
    counted = getattr(data, "class_pixels", None)
    if counted is not None:
        return counted()
    counts = np.zeros((len(data), num_classes), np.int64)
    for indices, batch in in_order(data, 64):
        for row, label in zip(indices, batch.labels, strict=True):
            found = torch.bincount(label[label != IGNORE].flatten(), minlength=num_classes)
            counts[row] = found[:num_classes].numpy()
    return counts


def rare_class_probabilities(pixels: np.ndarray, temperature: float = 0.01) -> np.ndarray:
    r"""How often each class is asked for: :math:`P(c) = softmax((1 - f_c) / T)` (DAFormer, eq. 10 and 11).

    :math:`f_c` is the share of class c of all labelled pixels. A high temperature asks for all classes alike, a low
    one for the rarest alone. Classes without a pixel get 0.

    Args:
        pixels: (scenes, classes) or (classes,) counts.
        temperature: above 0.
    """
    if temperature <= 0:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    total = np.asarray(pixels, np.float64).reshape(-1, np.shape(pixels)[-1]).sum(0)
    if total.sum() == 0:
        raise ValueError("rare-class sampling needs labelled pixels, and there are none")
    logits = np.where(total > 0, (1 - total / total.sum()) / temperature, -np.inf)
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def rare_class_draws(
    pixels: np.ndarray, count: int, rng: np.random.Generator, *, temperature: float = 0.01, min_pixels: int = 3000
) -> tuple[np.ndarray, np.ndarray]:
    """Scenes and the classes for which they were chosen, (count,) int64 each.

    A class is drawn by :func:`rare_class_probabilities`, then one of the scenes with more than ``min_pixels``
    pixels of it. Classes that no scene has so many pixels of are not asked for.

    Args:
        pixels: (scenes, classes) counts.
        count: number of draws, with replacement.
        rng: the source of both.
        temperature: see :func:`rare_class_probabilities`.
        min_pixels: at least 0; DAFormer's 3000 is 0.3% of its source images.
    """
    probabilities = rare_class_probabilities(pixels, temperature)
    eligible = [np.flatnonzero(pixels[:, c] > min_pixels) for c in range(pixels.shape[1])]
    probabilities = probabilities * np.array([len(scenes) > 0 for scenes in eligible])
    if probabilities.sum() == 0:
        raise ValueError(
            f"no scene has more than {min_pixels} pixels of any class; lower rare_class_pixels, which is meant for "
            "pictures of about a million pixels"
        )
    classes = rng.choice(len(probabilities), count, p=probabilities / probabilities.sum())
    place = rng.random(count)
    scenes = [eligible[c][int(u * len(eligible[c]))] for c, u in zip(classes, place, strict=True)]
    return np.array(scenes, np.int64), classes.astype(np.int64)
