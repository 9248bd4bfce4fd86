"""Codes against the factors that a picture was drawn from: which number of a code says which factor, and only that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from nearfar.evaluation._arrays import binary, matrix, to_numpy


@dataclass(frozen=True)
class DCI:
    """Scores of Eastwood and Williams (2018), each in [0, 1], higher is better.

    Attributes:
        disentanglement: every number of the code matters for one factor only.
        completeness: every factor is said by one number only.
        informativeness: how well factors are predicted on held-out rows: mean of R² (at least 0) and accuracy.
        importance: (D, F) of every number for every factor.
    """

    disentanglement: float
    completeness: float
    informativeness: float
    importance: np.ndarray

    def scores(self) -> dict[str, float]:
        return {
            "disentanglement": self.disentanglement,
            "completeness": self.completeness,
            "informativeness": self.informativeness,
        }


def dci(
    codes: Any,
    factors: Any,
    *,
    discrete: Sequence[int] = (),
    regressor: Literal["lasso", "trees"] = "lasso",
    seed: int = 0,
) -> DCI:
    """Disentanglement, completeness and informativeness.

    A predictor of each factor is fitted to half of the rows; the importance R of numbers for factors is its weights'
    size (``lasso``: an L1 penalty of 0.01 on standardised columns, a class as its indicators) or its splits' gain
    (``trees``: 50 randomised trees). Disentanglement of a number is 1 - H(R_i / sum R_i) with logarithms to the number
    of factors, weighted by its share of all importance; completeness of a factor the same down the columns.

    Args:
        codes: (N, D), N at least 20.
        factors: (N, F), F at least 2.
        discrete: columns of ``factors`` that are classes; the others are quantities.
        regressor: as above. Trees hear factors that curve through the code.
        seed: of the division into halves.
    """
    x = matrix(codes, "codes")
    y = matrix(factors, "factors", rows=len(x))
    if len(x) < 20 or y.shape[1] < 2:
        raise ValueError(f"dci needs at least 20 rows and 2 factors, got {len(x)} and {y.shape[1]}")
    if regressor not in ("lasso", "trees"):
        raise ValueError(f"regressor must be 'lasso' or 'trees', got {regressor!r}")
    order = np.random.default_rng(seed).permutation(len(x))
    fit, test = order[: len(x) // 2], order[len(x) // 2 :]
    spread = x[fit].std(0)
    x = (x - x[fit].mean(0)) / np.where(spread > 0, spread, 1)
    found = [_predicted(x, y[:, f], fit, test, f in set(discrete), regressor, seed) for f in range(y.shape[1])]
    importance = np.stack([weights for weights, _ in found], 1)
    total = importance.sum()
    if total <= 0:
        return DCI(0.0, 0.0, float(np.mean([score for _, score in found])), importance)
    rows, columns = importance.sum(1), importance.sum(0)
    return DCI(
        float((rows / total) @ _concentration(importance)),
        float((columns / total) @ _concentration(importance.T)),
        float(np.mean([score for _, score in found])),
        importance,
    )


def _concentration(importance: np.ndarray) -> np.ndarray:
    """1 minus the entropy of each row, in units of its greatest possible; 0 for a row of zeros."""
    total = importance.sum(1, keepdims=True)
    p = np.divide(importance, total, out=np.full_like(importance, 1 / importance.shape[1]), where=total > 0)
    logs = np.log(np.where(p > 0, p, 1))
    return 1 + (p * logs).sum(1) / np.log(max(importance.shape[1], 2))


def _predicted(
    x: np.ndarray, y: np.ndarray, fit: np.ndarray, test: np.ndarray, classes: bool, regressor: str, seed: int
) -> tuple[np.ndarray, float]:
    """The importance of each column for one factor, and how well it is predicted."""
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
    from sklearn.linear_model import Lasso

    if len(np.unique(y[fit])) < 2:
        return np.zeros(x.shape[1]), 0.0
    if regressor == "trees":
        kind: Any = ExtraTreesClassifier if classes else ExtraTreesRegressor
        model = kind(50, random_state=seed, min_samples_leaf=5).fit(x[fit], y[fit])
        weights = model.feature_importances_
        return weights, float(max(model.score(x[test], y[test]), 0.0))
    names = np.unique(y[fit])
    wanted = (y[:, None] == names) * 1.0 if classes else y[:, None]
    wanted = (wanted - wanted[fit].mean(0)) / wanted[fit].std(0)
    models = [Lasso(alpha=0.01).fit(x[fit], wanted[fit, c]) for c in range(wanted.shape[1])]
    weights = np.mean([np.abs(model.coef_) for model in models], axis=0)
    said = np.stack([model.predict(x[test]) for model in models], 1)
    if classes:
        return weights, float(np.mean(names[said.argmax(1)] == y[test]))
    rest = np.square(said - wanted[test]).sum() / np.square(wanted[test] - wanted[test].mean()).sum()
    return weights, float(max(1 - rest, 0.0))


def tad(codes: Any, attributes: Any, *, captured: float = 0.75) -> tuple[float, int]:
    """Total AUROC difference and the number of attributes captured (Yeats, Liu, Womble and Li 2022).

    Every number of a code is taken as a detector of every attribute, by the better of its two directions. An attribute
    whose best detector reaches ``captured`` counts, and adds by how much the best is ahead of the second: 0 where
    several numbers say it, and at most 0.5 each.

    Args:
        codes: (N, D), D at least 2.
        attributes: (N, A) of 0 and 1, both present in each column; leave out attributes that imply one another.
        captured: AUROC in [0.5, 1].

    Returns:
        The sum of the differences, and how many attributes it is of.
    """
    from scipy.stats import rankdata

    x = matrix(codes, "codes")
    y = to_numpy(attributes, "attributes")
    if y.ndim != 2 or len(y) != len(x) or x.shape[1] < 2:
        raise ValueError(f"codes must be (N, D) with D at least 2 and attributes (N, A), got {x.shape} and {y.shape}")
    if not 0.5 <= captured <= 1:
        raise ValueError(f"captured must be in [0.5, 1], got {captured}")
    ranks = rankdata(x, axis=0)
    total, count = 0.0, 0
    for column in range(y.shape[1]):
        here = binary(y[:, column], f"attribute {column}", length=len(x))
        positive, negative = here.sum(), (~here).sum()
        area = (ranks[here].sum(0) - positive * (positive + 1) / 2) / (positive * negative)
        best = np.sort(np.maximum(area, 1 - area))[::-1]
        if best[0] >= captured:
            total, count = total + float(best[0] - best[1]), count + 1
    return total, count
