"""Scores that separate two groups: references, slow loops, ties, invariance to monotone transforms."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from nearfar.evaluation import detection, verification


def example(ties, seed=0, n=120):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.3).astype(int)
    s = y + rng.normal(size=n)
    return np.round(s) if ties else s, y


def slow_fpr(scores, y, level, rule):
    points = []
    for threshold in sorted(set(scores), reverse=True):
        accepted = scores >= threshold
        points.append((accepted[y == 1].mean(), accepted[y == 0].mean()))
        if points[-1][0] == 1:
            break
    if rule == "first":
        return next(fpr for tpr, fpr in points if tpr >= level)
    return min(points, key=lambda p: (abs(p[0] - level), -p[0], -p[1]))[1]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_detection_agrees_with_references(ties, seed):
    s, y = example(ties, seed)
    for rule in ("closest", "first"):
        found = detection(s, y, fpr_rule=rule)
        assert found["auroc"] == pytest.approx(roc_auc_score(y, s))
        assert found["aupr"] == pytest.approx(average_precision_score(y, s))
        assert found["aupr_normal"] == pytest.approx(average_precision_score(1 - y, -s))
        assert found["fpr95"] == pytest.approx(slow_fpr(s, y, 0.95, rule))
        assert found["prevalence"] == pytest.approx(y.mean())
    assert detection(s, y, recall=0.8)["fpr80"] == pytest.approx(slow_fpr(s, y, 0.8, "closest"))


def test_detection_at_its_ends():
    y = np.array([0] * 6 + [1] * 4)
    perfect = detection(np.arange(10), y)
    assert (perfect["auroc"], perfect["aupr"], perfect["fpr95"]) == (1, 1, 0)
    reversed_ = detection(-np.arange(10), y)
    assert (reversed_["auroc"], reversed_["fpr95"]) == (0, 1)
    constant = detection(np.zeros(10), y)
    assert (constant["auroc"], constant["aupr"], constant["fpr95"]) == (0.5, 0.4, 1)


@pytest.mark.parametrize("ties", [False, True])
def test_monotone_transforms_and_order_do_not_matter(ties):
    s, y = example(ties)
    order = np.random.default_rng(1).permutation(len(s))
    assert detection(np.exp(s)[order], y[order].astype(bool)) == pytest.approx(detection(s, y))
    first, second = verification(s, y), verification(np.arctan(s)[order], y[order])
    for name in ("eer", "eer_interpolated", "min_dcf"):
        assert first[name] == pytest.approx(second[name])


def slow_rates(s, y):
    thresholds = [*sorted(set(s)), np.inf]
    fnr = np.array([np.mean(s[y == 1] < t) for t in thresholds])
    fpr = np.array([np.mean(s[y == 0] >= t) for t in thresholds])
    return fnr, fpr


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_verification_agrees_with_a_slow_loop(ties, seed):
    s, y = example(ties, seed)
    fnr, fpr = slow_rates(s, y)
    found = verification(s, y, p_target=0.05, cost_miss=2, cost_false_alarm=3)
    nearest = np.argmin(np.abs(fnr - fpr))
    assert found["eer"] == pytest.approx(max(fnr[nearest], fpr[nearest]))
    costs = 2 * 0.05 * fnr + 3 * 0.95 * fpr
    assert found["min_dcf"] == pytest.approx(costs.min() / 0.1)
    llr = np.mean(np.log2(1 + np.exp(-s[y == 1]))) + np.mean(np.log2(1 + np.exp(s[y == 0])))
    assert found["cllr"] == pytest.approx(llr / 2)
    grid = np.linspace(0, 1, 20001)
    crossing = np.argmin(np.abs(np.interp(grid, fnr, fpr, left=1, right=0) - grid)) if not ties else None
    if crossing is not None:
        step = 1 / min(y.sum(), (1 - y).sum())
        assert abs(found["eer_interpolated"] - grid[crossing]) <= step
        assert abs(found["eer_interpolated"] - found["eer"]) <= step


def test_verification_at_its_ends():
    y = np.array([0] * 6 + [1] * 4)
    assert verification(np.arange(10), y)["eer"] == 0
    assert verification(np.arange(10), y)["min_dcf"] == 0
    assert verification(-np.arange(10), y)["eer"] == 1
    constant = verification(np.zeros(10), y)
    assert (constant["eer_interpolated"], constant["min_dcf"]) == (0.5, 1)
    assert constant["cllr"] == pytest.approx(1)
    rng = np.random.default_rng(0)
    random = verification(rng.normal(size=20000), rng.integers(0, 2, 20000))
    assert random["eer"] == pytest.approx(0.5, abs=0.02)
    assert np.isfinite(verification(1e4 * (2 * y - 1), 1 - y)["cllr"])


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: detection([1, 2], [1, 1]), "labels must contain both 0 and 1"),
        (lambda: detection([1, 2], [1, 2]), "labels must be 0/1"),
        (lambda: detection([1, np.nan], [0, 1]), "scores must be finite"),
        (lambda: detection([1, 2], [0, 1], recall=95), "recall"),
        (lambda: detection([1, 2], [0, 1], fpr_rule="last"), "fpr_rule"),
        (lambda: verification([1, 2, 3], [0, 1]), "labels must have 3 entries"),
        (lambda: verification([1, 2], [0, 1], p_target=0), "p_target"),
        (lambda: verification([1, 2], [0, 1], cost_miss=0), "costs"),
    ],
)
def test_bad_input(call, named):
    with pytest.raises(ValueError, match=named):
        call()
