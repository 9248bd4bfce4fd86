"""Forecasts from representations: ridge regression from a step to the values that follow it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from nearfar.series.anomalies import causal_windows

__all__ = ["ALPHAS", "Ridges", "causal_steps", "fit_ridges", "followed_by"]

ALPHAS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Ridge strengths of TS2Vec's released evaluation."""


def causal_steps(encode_steps: Callable[..., Tensor], values: Tensor, context: int = 200) -> np.ndarray:
    """(T, D) float32, the representation of each step of values (T, C) from the ``context`` steps before it alone."""
    return torch.cat([encode_steps(w)[:, -1] for w in causal_windows(values, context)]).float().cpu().numpy()


def followed_by(values: np.ndarray, horizon: int) -> np.ndarray:
    """(T - horizon, horizon * C), of each step of values (T, C) the ``horizon`` steps after it."""
    windows = np.lib.stride_tricks.sliding_window_view(values[1:], horizon, axis=0)
    return np.ascontiguousarray(windows.transpose(0, 2, 1)).reshape(len(windows), -1)


class Ridges:
    """Ridge regression with the strength that forecasts held-out steps best."""

    def __init__(self, weights: np.ndarray, x_mean: np.ndarray, y_mean: np.ndarray, alpha: float) -> None:
        self.weights, self.x_mean, self.y_mean, self.alpha = weights, x_mean, y_mean, alpha

    def predict(self, x: np.ndarray) -> np.ndarray:
        return (x - self.x_mean) @ self.weights + self.y_mean


def fit_ridges(
    train_x: np.ndarray, train_y: np.ndarray, valid_x: np.ndarray, valid_y: np.ndarray, *, refit: bool = False
) -> Ridges:
    """The strength of :data:`ALPHAS` with the least RMSE + MAE on the validation part, as released.

    Args:
        refit: fit the chosen strength on both parts; the released evaluation keeps the fit of the training part.
    """
    best: Ridges | None = None
    least = np.inf
    for found in _path(train_x, train_y):
        error = found.predict(valid_x) - valid_y
        score = float(np.sqrt((error**2).mean()) + np.abs(error).mean())
        if score < least:
            best, least = found, score
    assert best is not None, "a finite error exists for finite values"
    if refit:
        both = np.concatenate([train_x, valid_x]), np.concatenate([train_y, valid_y])
        return next(iter(_path(*both, (best.alpha,))))
    return best


def _path(x: np.ndarray, y: np.ndarray, alphas: tuple[float, ...] = ALPHAS) -> list[Ridges]:
    """All strengths from one eigendecomposition."""
    x_mean, y_mean = x.mean(0, dtype=np.float64), y.mean(0, dtype=np.float64)
    centred = x - x_mean
    values, vectors = np.linalg.eigh(centred.T @ centred)
    cross = vectors.T @ (centred.T @ (y - y_mean))
    values = np.maximum(values, 0.0)[:, None]
    return [Ridges(vectors @ (cross / (values + alpha)), x_mean, y_mean, float(alpha)) for alpha in alphas]
