"""Classifying pictures of classes that were seen in training and of others."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.evaluation import mean_class_accuracy
from nearfar.system import Scores


def softmax_classifier(x: Tensor, y: Tensor, classes: int, *, seed: int = 0, epochs: int = 25) -> nn.Linear:
    """A linear softmax classifier as released: Adam 1e-3, 25 epochs of batches of 100, from zero weights."""
    with torch.enable_grad():
        layer = nn.Linear(x.shape[1], classes)
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
        optimizer = torch.optim.Adam(layer.parameters(), lr=1e-3, betas=(0.5, 0.999))
        generator = torch.Generator().manual_seed(seed)
        for _ in range(epochs):
            for rows in torch.randperm(len(x), generator=generator).split(100):
                optimizer.zero_grad()
                F.cross_entropy(layer(x[rows]), y[rows]).backward()
                optimizer.step()
    return layer.requires_grad_(False)


def zero_shot_scores(guesses: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray]) -> Scores:
    """How many pictures of seen and of unseen classes are named, with all classes as candidates.

    Args:
        guesses, labels: class numbers of the held-out sets ``seen`` and ``unseen``.

    Returns:
        ``seen`` and ``unseen``, mean per-class accuracy, and ``harmonic``, their harmonic mean; in [0, 1].
    """
    found = Scores({name: mean_class_accuracy(labels[name], guesses[name]) for name in guesses})
    both = found["seen"] + found["unseen"]
    found["harmonic"] = 2 * found["seen"] * found["unseen"] / both if both else 0.0
    return found
