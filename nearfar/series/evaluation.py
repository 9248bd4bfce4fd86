"""How methods on series are judged: classes of whole series, forecasts from the representation of a step, geometry."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from nearfar.evaluation import GEOMETRY, effective_rank, feature_std, stratified_fraction
from nearfar.series.data import SeriesSet
from nearfar.series.forecasting import causal_steps, fit_ridges, followed_by
from nearfar.sources.labels import classed_rows, known
from nearfar.system import Scores
from nearfar.training import Data, Method, embed

__all__ = ["classify", "evaluate", "forecast_errors"]

# Steps of a series, from its end, that a forecast is measured on.
LONGEST = 20_000
HORIZON = 24


def evaluate(method: Method, data: Data, *, seed: int = 0) -> Scores:
    """Accuracy of TS2Vec's support vector machine on the test series; of a single long series, its forecast's error.

    Without a test set half of the labelled series are tested. Series without a label have no part in it. Without
    labels, and with several series, only the geometry is measured.
    """
    scores = Scores(neither=GEOMETRY)
    found = embed(method, data)
    test = data.splits().get("test")
    rows = _classed(found.labels, data.name)
    if found.labels is not None and len(rows):
        x, y = found.array[rows], found.labels[rows]
        if test is not None and test.labels is not None:
            held = embed(method, test)
            assert held.labels is not None
            told = _named(held.labels)
            scores["svm"] = classify(x, y, held.array[told], held.labels[told], seed=seed)
        else:
            chosen = stratified_fraction(y, 0.5, seed=seed)
            rest = np.setdiff1d(np.arange(len(y)), chosen)
            scores["svm"] = classify(x[chosen], y[chosen], x[rest], y[rest], seed=seed)
    if isinstance(data, SeriesSet) and len(data) == 1 and hasattr(method, "encode_steps"):
        scores.add(forecast_errors(method, data.series[0][-LONGEST:], (HORIZON,)))
    scores["effective_rank"] = effective_rank(found.array[:2048]) if len(found.array) > 1 else 1.0
    scores["std"] = feature_std(found.array, relative=True) if len(found.array) > 1 else 0.0
    return scores


def _named(labels: np.ndarray) -> np.ndarray:
    """Whether a series has a label; -1 is one, as in the archive."""
    return np.ones(len(labels), dtype=bool) if labels.dtype.kind in "iu" else known(labels)


def _classed(labels: np.ndarray | None, where: str) -> np.ndarray:
    """The rows whose labels are classes; none, with a warning, where there are not."""
    if labels is None:
        return np.empty(0, dtype=np.int64)
    numbers = np.where(_named(labels), np.unique(labels, return_inverse=True)[1], -1)
    return classed_rows(numbers, where)


def classify(x: np.ndarray, y: np.ndarray, test_x: np.ndarray, test_y: np.ndarray, *, seed: int = 0) -> float:
    """Accuracy of an RBF support vector machine, its penalty chosen by 5 folds from 1e-4 to 1e4 and infinity.

    TS2Vec's released protocol (``tasks/_eval_protocols.py``): no choice, and an infinite penalty, with fewer than 50
    series or fewer than five a class. Representations are taken as they are.
    """
    from sklearn.model_selection import GridSearchCV
    from sklearn.svm import SVC

    endless = 1e12
    classes = len(np.unique(y))
    svm = SVC(C=endless, gamma="scale", random_state=seed)
    if len(y) // classes < 5 or len(y) < 50:
        return float(svm.fit(x, y).score(test_x, test_y))
    grid = {"C": [*(10.0**power for power in range(-4, 5)), endless]}
    folds = 5 if np.unique(y, return_counts=True)[1].min() >= 5 else _folds(y, seed)
    return float(GridSearchCV(svm, grid, cv=folds).fit(x, y).score(test_x, test_y))


def _folds(y: np.ndarray, seed: int) -> Any:
    """Five folds where a class has fewer members than that, which scikit-learn would warn of."""
    from sklearn.model_selection import KFold

    return KFold(5, shuffle=True, random_state=seed)


def forecast_errors(
    method: Any, values: np.ndarray, horizons: tuple[int, ...], *, ends: tuple[int, int] | None = None
) -> Scores:
    """Errors of ridge forecasts from the representation of the last step, on the last part of a series.

    TS2Vec's released protocol (``tasks/forecasting.py``): representations that see the 200 steps before and nothing
    after; training, validation and test by time; values standardised by the training part. Errors are in that unit.

    Args:
        method: with ``encode_steps`` and, of its encoder's input, the same channels.
        values: (T, C), finite where forecast.
        horizons: steps ahead.
        ends: of training and validation; 60% and 80% when not given.
    """
    first, second = ends or (int(0.6 * len(values)), int(0.8 * len(values)))
    train = values[:first].astype(np.float64)
    scaled = ((values - np.nanmean(train, 0)) / np.maximum(np.nanstd(train, 0), 1e-12)).astype(np.float32)
    context = int(getattr(method, "context", 200))
    with method.frozen():
        steps = causal_steps(method.encode_steps, torch.from_numpy(np.ascontiguousarray(values)), context)
    scores = Scores()
    for horizon in horizons:
        parts = []
        for part in (slice(0, first), slice(first, second), slice(second, None)):
            x, y = steps[part], np.nan_to_num(scaled[part])
            if len(x) <= horizon + 1:
                return scores
            parts.append((x[: len(x) - horizon], followed_by(y, horizon)))
        (x, y), valid, (test_x, test_y) = parts
        drop = min(context, len(x) // 2)
        error = fit_ridges(x[drop:], y[drop:], *valid).predict(test_x) - test_y
        scores.add({f"mse {horizon}": float((error**2).mean()), f"mae {horizon}": float(np.abs(error).mean())})
        scores.direct(lower=[f"mse {horizon}", f"mae {horizon}"])
    return scores
