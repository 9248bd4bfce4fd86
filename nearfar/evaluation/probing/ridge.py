"""Linear regression probe: how much of a continuous target is linear in the embedding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nearfar.evaluation._arrays import finite, matrix
from nearfar.evaluation.probing.probe import check_grid

DEFAULT_ALPHA_GRID: tuple[float, ...] = tuple(np.logspace(-3, 5, 9).tolist())


@dataclass(frozen=True)
class RegressionResult:
    """What a ridge probe found.

    Attributes:
        r2: coefficient of determination on the test rows, the mean over targets; at most 1, 0 for predicting
            the test mean, negative for worse.
        per_target: R² of every target.
        alpha: chosen ridge strength.
        validation: alpha -> mean R² on the part of the training rows it was chosen on.
    """

    r2: float
    per_target: tuple[float, ...]
    alpha: float
    validation: dict[float, float] = field(default_factory=dict)


def linear_regression_probe(
    train_x: Any,
    train_y: Any,
    test_x: Any,
    test_y: Any,
    *,
    alpha_grid: Sequence[float] | None = None,
    validation: float = 0.1,
    seed: int = 0,
) -> RegressionResult:
    """Ridge regression on standardised embeddings; R² on the test rows.

    min over W, b of ||Y - Z W - b||² + alpha ||W||², in closed form (scikit-learn's ``Ridge``), with z
    standardised by the training mean and standard deviation. alpha has the best mean R² on a random part of
    the training rows; the probe is then refitted on all of them. R² = 1 - sum (y - ŷ)² / sum (y - mean(test
    y))².

    Args:
        train_x, test_x: (N, D) and (M, D) embeddings.
        train_y, test_y: (N,) or (N, T) targets in any unit; (M,) or (M, T).
        alpha_grid: strengths to choose from; nine from 1e-3 to 1e5 unless given. A single one is used as it
            is.
        validation: share of the training rows to choose on, in (0, 1); at least two rows.
        seed: of the draw of those rows.

    Raises:
        ValueError: NaN, shapes that do not agree, or a target that is constant (R² is then undefined).
    """
    x = matrix(train_x, "train_x")
    y = _targets(train_y, "train_y", len(x))
    z = matrix(test_x, "test_x", columns=x.shape[1])
    t = _targets(test_y, "test_y", len(z))
    if y.shape[1] != t.shape[1]:
        raise ValueError(f"test_y must have {y.shape[1]} targets as train_y has, got {t.shape[1]}")
    grid = check_grid(DEFAULT_ALPHA_GRID if alpha_grid is None else alpha_grid, "alpha_grid")
    if not 0 < validation < 1:
        raise ValueError(f"validation must be a share in (0, 1), got {validation}")
    chosen, scores = grid[0], {}
    if len(grid) > 1:
        order = np.random.default_rng(seed).permutation(len(x))
        cut = max(round(validation * len(x)), 2)
        held, kept = order[:cut], order[cut:]
        if len(kept) < 2:
            raise ValueError(f"train_x must have at least 4 rows to choose alpha, got {len(x)}; pass one alpha")
        predictions = _ridge(x[kept], y[kept], x[held], grid)
        errors = {alpha: float(np.mean((y[held] - p) ** 2 / _spread(y))) for alpha, p in predictions.items()}
        chosen = min(errors, key=errors.__getitem__)
        scores = {alpha: 1 - error for alpha, error in errors.items()}
    residual = ((t - _ridge(x, y, z, (chosen,))[chosen]) ** 2).mean(0)
    r2 = 1 - residual / _spread(t)
    return RegressionResult(float(r2.mean()), tuple(float(v) for v in r2), chosen, scores)


def _targets(y: Any, name: str, rows: int) -> np.ndarray:
    array = finite(y, name)
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or len(array) != rows:
        raise ValueError(f"{name} must have shape ({rows},) or ({rows}, targets), got shape {np.shape(y)}")
    if (np.ptp(array, axis=0) == 0).any():
        raise ValueError(f"{name} must not have a constant target: there is nothing to explain")
    return array


def _spread(y: np.ndarray) -> np.ndarray:
    return ((y - y.mean(0)) ** 2).mean(0)


def _ridge(x: np.ndarray, y: np.ndarray, points: np.ndarray, alphas: Sequence[float]) -> dict[float, np.ndarray]:
    """Predictions at ``points`` for every alpha, from one singular value decomposition."""
    mean, std = x.mean(0), x.std(0)
    scale = np.where(std <= np.finfo(np.float32).eps * np.abs(mean), 1.0, std)
    centre = y.mean(0)
    u, s, vt = np.linalg.svd((x - mean) / scale, full_matrices=False)
    projected = u.T @ (y - centre)
    rotated = (points - mean) / scale @ vt.T
    return {alpha: rotated @ (projected * (s / (s**2 + alpha))[:, None]) + centre for alpha in alphas}
