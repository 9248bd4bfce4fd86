"""Finding the right one among candidates of one's own: predictions against banks."""

from __future__ import annotations

from typing import Any

import numpy as np

from nearfar.evaluation._arrays import finite, matrix


def mrr(prediction: Any, bank: Any, target: Any) -> float:
    """Mean reciprocal rank of the right candidate, every query having its own candidates.

    Candidates are ranked by their Euclidean distance from the prediction; of several at the distance of the right one
    it takes the middle place, so that a prediction that cannot tell candidates apart has no luck. Chance among M is
    ``(1 + 1/2 + ... + 1/M) / M`` (0.074 for 64), and a bank of equal candidates gives ``2 / (M + 1)``. Where all
    queries share one bank use :func:`nearfar.evaluation.ranking.retrieval`.

    Args:
        prediction: (Q, D).
        bank: (Q, M, D), candidates of each query. For a predictor of transformed pictures (IWM) leave the
            untransformed one out.
        target: (Q,) the right candidate's position.

    Returns:
        In (0, 1].

    Raises:
        ValueError: NaN, shapes that do not agree, positions beyond M.
    """
    asked = matrix(prediction, "prediction")
    offered = finite(bank, "bank")
    right = np.asarray(target)
    if offered.ndim != 3 or offered.shape[0] != len(asked) or offered.shape[2] != asked.shape[1]:
        raise ValueError(f"bank must have shape ({len(asked)}, M, {asked.shape[1]}), got {offered.shape}")
    if right.shape != (len(asked),) or right.dtype.kind not in "iu":
        raise ValueError(f"target must be {len(asked)} whole numbers, got shape {right.shape} of {right.dtype}")
    if right.min() < 0 or right.max() >= offered.shape[1]:
        raise ValueError(f"target must be in 0..{offered.shape[1] - 1}, got values from {right.min()} to {right.max()}")
    distance = np.square(offered - asked[:, None]).sum(2)
    own = np.take_along_axis(distance, right[:, None], 1)
    rank = 1 + (distance < own).sum(1) + ((distance == own).sum(1) - 1) / 2
    return float(np.mean(1 / rank))
