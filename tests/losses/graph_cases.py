"""Losses of walks on graphs: what they meet, and how near a Gaussian stays to the standard one."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar import losses
from tests.losses.registry import Case

OWNER = torch.tensor([0, 2, 2, 1, 0])


def walk_alignment(logits: Tensor, met: Tensor, weights: Tensor) -> Tensor:
    """Entry by entry, from the probabilities."""
    found = []
    for row, owner in enumerate(OWNER.tolist()):
        for column in range(met.shape[1]):
            p, y = torch.sigmoid(logits[owner, column]), met[row, column].detach()
            found.append(-weights[row, 0].detach() * (y * p.log() + (1 - y) * (1 - p).log()))
    return torch.stack(found).mean()


def gaussian_bottleneck(mean: Tensor, raw: Tensor, sample: Tensor) -> Tensor:
    own = torch.distributions.Normal(mean, raw.exp()).log_prob(sample).sum(1)
    return (own - torch.distributions.Normal(0.0, 1.0).log_prob(sample).sum(1)).mean()


def neighbour_prediction(near: Tensor, far: Tensor) -> Tensor:
    sides = [[torch.relu(1 - s) ** 2 for s in near.flatten()], [torch.relu(1 + s) ** 2 for s in far.flatten()]]
    return sum(torch.stack(side).mean() for side in sides)  # type: ignore[return-value]


CASES = (
    Case("neighbour_prediction", losses.neighbour_prediction, neighbour_prediction, shapes=((5,), (4, 3))),
    Case(
        "walk_alignment",
        lambda logits, met, weights: losses.walk_alignment(logits, met, OWNER, weights[:, 0]),
        walk_alignment,
        shapes=((3, 4), (5, 4), (5, 1)),
        ranged=(1, 2),
    ),
    Case(
        "gaussian_bottleneck",
        lambda mean, raw, sample: losses.gaussian_bottleneck(mean, raw.exp(), sample),
        gaussian_bottleneck,
        shapes=((4, 5), (4, 5), (4, 5)),
        ranged=(1,),
    ),
)
