"""What becomes of the projections, the part that is thrown away: where collapse shows first."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from nearfar.evaluation import effective_rank, feature_std
from nearfar.sources.data import in_order
from nearfar.training import Data, Method
from nearfar.vision.evaluation import evaluate
from nearfar.vision.method import ImageMethod


def projections(method: ImageMethod, data: Data) -> np.ndarray:
    """What the head makes of every example's representation, (N, D)."""
    with method.frozen():
        return torch.cat([method.head(method.encode(batch)) for _, batch in in_order(data, 256)]).numpy()


def probes_and_projections(data: Data) -> Callable[[Method], dict[str, float]]:
    """A measurement: the usual probes, and three numbers on the projections of the first held-out set.

    ``projection rank`` is the effective rank of the centred rows, in [1, D]; ``projection std`` the mean standard
    deviation of a dimension; ``projection spread`` the same for rows of length 1, times sqrt(D), near 1 when they
    cover the sphere.
    """
    held_out = next(iter(data.splits().values()))

    def measure(method: Method) -> dict[str, float]:
        assert isinstance(method, ImageMethod)
        rows = projections(method, held_out)
        return {
            **evaluate(method, data),
            "projection rank": effective_rank(rows - rows.mean(0)),
            "projection std": float(rows.std(0).mean()),
            "projection spread": feature_std(rows, relative=True),
        }

    return measure
