"""How counts and points are judged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from torch import Tensor

from nearfar.system import Scores

RADIUS = 0.05
"""How far a point may lie from an object, as a share of the picture's side, to have found it."""


class CountErrors:
    """Errors of counts, and how many points were found, over phrases that are added one by one."""

    def __init__(self) -> None:
        self.errors: list[int] = []
        self.right = self.said = self.there = 0

    def add(self, found: np.ndarray, true: np.ndarray) -> None:
        """Points (A, 2) that were found for a phrase, and those (B, 2) that there are."""
        self.errors.append(len(found) - len(true))
        self.said += len(found)
        self.there += len(true)
        if len(found) and len(true):
            distance = cdist(found, true)
            # Pairs out of reach must not be bought with the distance of others.
            chosen = linear_sum_assignment(np.where(distance <= RADIUS, distance, 10.0))
            self.right += int((distance[chosen] <= RADIUS).sum())

    def add_all(self, found: Sequence[Sequence[Tensor]], true: Sequence[Sequence[Tensor]]) -> None:
        """Of every picture of a batch the points of each of its phrases."""
        for said, there in zip(found, true, strict=True):
            for points, wanted in zip(said, there, strict=True):
                self.add(points.numpy(), wanted.cpu().numpy())

    def scores(self, name: str) -> Scores:
        """``mae`` and ``rmse`` of the counts (lower is better), and ``f1`` of the points, of the set ``name``."""
        errors = np.array(self.errors, dtype=np.float64)
        f1 = 2 * self.right / max(self.said + self.there, 1)
        found = {"mae": np.abs(errors).mean(), "rmse": np.sqrt((errors**2).mean()), "f1": f1}
        return Scores(
            {f"{what} {name}": float(value) for what, value in found.items()}, lower=[f"mae {name}", f"rmse {name}"]
        )
