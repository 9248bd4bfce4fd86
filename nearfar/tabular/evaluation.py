"""How methods on tables are judged: whether anomalies score higher than normal rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from nearfar.evaluation import detection
from nearfar.sources.data import in_order
from nearfar.system import Scores
from nearfar.tabular.data import Rows
from nearfar.training import Data

__all__ = ["evaluate", "scores_of", "separation"]


def evaluate(method: Any, data: Data, *, seed: int = 0) -> Scores:
    """AUROC, AUPR, F1 and the false positives at 95% recall on the test rows; see :func:`separation`.

    Of several kinds of anomalies also the mean AUROC of each against the normal rows.
    Without labels of both kinds, the mean score alone, which says nothing.
    """
    test = data.splits().get("test", data)
    assert isinstance(test, Rows)
    found = scores_of(method, test)
    anomalous = test.anomalous
    if anomalous is None or anomalous.all() or not anomalous.any():
        return Scores({"mean score": float(found.mean())}, neither=["mean score"])
    scores = separation(found, anomalous)
    assert test.labels is not None
    kinds = np.unique(test.labels[anomalous])
    if len(kinds) > 1:
        each = [
            detection(found[k], anomalous[k])["auroc"] for k in (~anomalous | (test.labels == kind) for kind in kinds)
        ]
        scores["mean class auroc"] = float(np.mean(each))
    return scores


def scores_of(method: Any, data: Data) -> np.ndarray:
    """(N,) scores of all rows."""
    with method.frozen():
        parts = [method.rates(batch).float().cpu().numpy() for _, batch in in_order(data, 4096)]
    return np.concatenate(parts)


def separation(scores: np.ndarray, anomalous: np.ndarray) -> Scores:
    """AUROC, AUPR (average precision), F1 where as many rows are called anomalies as there are, FPR at 95% recall."""
    found = detection(scores, anomalous)
    called = np.zeros(len(scores), dtype=bool)
    called[np.argsort(-scores, kind="stable")[: int(anomalous.sum())]] = True
    f1 = float((called & anomalous).sum() / anomalous.sum())
    return Scores({"auroc": found["auroc"], "aupr": found["aupr"], "f1": f1, "fpr95": found["fpr95"]}, lower=["fpr95"])
