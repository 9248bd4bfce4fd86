"""Finding the points that phrases name: what a detector is taught, and which tokens are a phrase's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nearfar.losses import focal_loss
from nearfar.segmentation.counting.network import matched


@dataclass(frozen=True)
class Detection:
    """What finding points costs; the values are those of GroundingREC (``utils/criterion.py``).

    Args:
        class_cost: weight of the score where points are assigned to tokens.
        point_cost: weight there of the distance, in shares of the picture's side.
        label_weight: of the focal loss of all tokens.
        point_weight: of the L1 distance of assigned points.
        alpha, gamma: of the focal loss, see :func:`nearfar.losses.focal_loss`.
    """

    class_cost: float = 5.0
    point_cost: float = 1.0
    label_weight: float = 5.0
    point_weight: float = 1.0
    alpha: float = 0.25
    gamma: float = 2.0

    def __post_init__(self) -> None:
        if min(vars(self).values()) < 0:
            raise ValueError(f"costs and weights of detection must be at least 0, got {vars(self)}")

    def terms(self, logits: Tensor, where: Tensor, points: Sequence[Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """The losses of tokens and of points, and which tokens were given a phrase's points.

        Args:
            logits: (R, M) of M tokens for R phrases.
            where: (R, M, 2) the places that the tokens say.
            points: of each phrase the true ones (K, 2).

        Returns:
            ``label`` and ``point``; (R, M) bool.
        """
        named = torch.zeros_like(logits, dtype=torch.bool)
        distances = []
        for r, targets in enumerate(points):
            costs = {"class_cost": self.class_cost, "point_cost": self.point_cost}
            tokens, wanted = matched(logits[r], where[r], targets, **costs)
            named[r, tokens] = True
            distances.append((where[r, tokens] - targets[wanted]).abs().sum())
        label = focal_loss(logits, named.to(logits.dtype), alpha=self.alpha, gamma=self.gamma)
        point = torch.stack(distances).sum() / named.sum().clamp_min(1)
        return {"label": self.label_weight * label, "point": self.point_weight * point}, named


def check_phrases(phrases: Sequence[Sequence[str]]) -> None:
    """Raises:
    ValueError: a phrase without words.
    """
    for said in phrases:
        for phrase in said:
            if not any(c.isalnum() for c in phrase):
                raise ValueError(f"the phrase {phrase!r} has no words; say what is to be counted")


def most_similar(logits: Tensor, counts: Tensor) -> Tensor:
    """(R, M) boolean: of each phrase the ``counts`` (R,) tokens with the largest logits."""
    ranks = logits.argsort(1, descending=True).argsort(1)
    return ranks < counts[:, None]
