"""Networks that make features of classes from their attributes, and that judge them."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def feature_maker(inputs: int, hidden: int, features: int) -> nn.Sequential:
    """Noise and attributes to rectified features."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, features), nn.ReLU())


def scorer(inputs: int, hidden: int) -> nn.Sequential:
    """One number for each row."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, 1))


def begin_normal(network: nn.Module, std: float) -> None:
    """Normal weights of this deviation and no bias in every linear layer."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=std)
            nn.init.zeros_(module.bias)


def gradient_penalty(critic: nn.Module, real: Tensor, fake: Tensor, attributes: Tensor, share: Tensor) -> Tensor:
    """Mean squared distance from 1 of the critic's slope between real and made features.

    Args:
        critic: scores rows of features and attributes.
        real, fake: (N, D) features.
        attributes: (N, A) of their classes.
        share: (N, 1) in [0, 1], how much of ``real`` is in the place between.
    """
    between = (share * real + (1 - share) * fake).detach().requires_grad_()
    scores = critic(torch.cat([between, attributes], dim=1))
    (slope,) = torch.autograd.grad(scores.sum(), between, create_graph=True)
    return (slope.norm(dim=1) - 1).square().mean()


def all_scores(comparator: nn.Module, h: Tensor, described: Tensor) -> Tensor:
    """(N, C) scores of embeddings (N, E) beside the attributes (C, A) of every class."""
    classes = len(described)
    pairs = torch.cat([h[:, None].expand(-1, classes, -1), described.to(h).expand(len(h), -1, -1)], dim=2)
    return comparator(pairs)[..., 0]
