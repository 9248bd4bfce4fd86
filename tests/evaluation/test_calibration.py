"""Calibration against torchmetrics, scikit-learn and slow loops, and of forecasters whose error is known."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.metrics import brier_score_loss, log_loss
from torchmetrics.classification import MulticlassCalibrationError

from nearfar.evaluation import calibration, ece, fit_temperature


def example(n=500, classes=4, sharpness=2.0, seed=0):
    rng = np.random.default_rng(seed)
    logits = sharpness * rng.normal(size=(n, classes))
    return logits, np.array([rng.choice(classes, p=row) for row in softmax(logits / 2, 1)])


@pytest.mark.parametrize("bins", [5, 15])
@pytest.mark.parametrize("norm", ["l1", "max"])
def test_ece_agrees_with_torchmetrics(bins, norm):
    logits, y = example()
    p = softmax(logits, 1)
    peer = MulticlassCalibrationError(4, n_bins=bins, norm=norm)(torch.tensor(p), torch.tensor(y))
    assert ece(p, y, bins=bins, norm=norm) == pytest.approx(peer.item(), abs=1e-6)


def test_equal_mass_bins_are_cut_at_quantiles():
    logits, y = example(450)
    p = softmax(logits, 1)
    confidence, right = p.max(1), p.argmax(1) == y
    groups = np.split(np.argsort(confidence), 15)
    expected = sum(abs(right[g].sum() - confidence[g].sum()) for g in groups) / 450
    assert ece(p, y, scheme="mass") == pytest.approx(expected)


def test_bins_are_closed_above_and_ties_share_one():
    p = np.array([[0.6, 0.4]] * 3 + [[0.8, 0.2]] * 3)
    y = np.array([0, 0, 1, 0, 0, 0])
    both = abs(2 / 3 - 0.6) / 2 + abs(1 - 0.8) / 2
    assert ece(p, y, bins=5) == pytest.approx(both)
    assert ece(p, y, bins=2) == pytest.approx(abs(5 / 6 - 0.7))
    for order in ([0, 1, 2, 3, 4, 5], [2, 5, 1, 0, 4, 3]):
        assert ece(p[order], y[order], bins=4, scheme="mass") == pytest.approx(both)
    assert ece(np.eye(3), [0, 1, 2]) == 0
    assert ece(np.eye(3), [1, 2, 0]) == 1


def test_scores_agree_with_references():
    logits, y = example()
    p = softmax(logits, 1)
    found = calibration(p, y)
    assert found["nll"] == pytest.approx(log_loss(y, p))
    assert found["brier"] == pytest.approx(np.mean(((p - np.eye(4)[y]) ** 2).sum(1)))
    assert found["accuracy"] == pytest.approx(np.mean(p.argmax(1) == y))
    assert found["ece"] == ece(p, y)
    assert found["adaptive_ece"] == ece(p, y, scheme="mass")
    assert found["mce"] == ece(p, y, norm="max")
    edges, errors = np.linspace(0, 1, 16), []
    for c in range(4):
        total = 0.0
        for low, high in pairwise(edges):
            inside = (p[:, c] > low) & (p[:, c] <= high)
            total += abs((y[inside] == c).sum() - p[inside, c].sum())
        errors.append(total / len(y))
    assert found["classwise_ece"] == pytest.approx(np.mean(errors))
    pair = softmax(logits[:, :2], 1)
    assert calibration(pair, y % 2)["brier"] == pytest.approx(2 * brier_score_loss(y % 2, pair[:, 1]))


def test_a_calibrated_forecaster_has_an_error_that_vanishes():
    errors = []
    for n in (300, 30000):
        rng = np.random.default_rng(0)
        p = rng.uniform(0, 1, n)
        p = np.stack([p, 1 - p], 1)
        errors.append(ece(p, (rng.random(n) > p[:, 0]).astype(int)))
    assert errors[1] < 0.01 < errors[0]


def test_temperature_minimises_the_loss():
    logits, y = example()
    loss = lambda t: -log_softmax(logits / t, 1)[np.arange(len(y)), y].mean()  # noqa: E731
    best = minimize_scalar(loss, bounds=(0.1, 20), method="bounded", options={"xatol": 1e-10}).x
    assert fit_temperature(logits, y) == pytest.approx(best, rel=1e-6)
    assert fit_temperature(7 * logits + 3, y) == pytest.approx(7 * best, rel=1e-6)
    assert best == pytest.approx(2, rel=0.3)
    after = softmax(logits / best, 1)
    assert ece(after, y) < ece(softmax(logits, 1), y)


def test_temperature_without_a_minimum_stops_at_its_limits():
    eye = np.eye(3)
    assert fit_temperature(eye, [0, 1, 2]) == 1e-3
    assert fit_temperature(eye, [1, 2, 0], high=50) == 50


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: ece([[2.0, -1.0]], [0]), "probabilities must be distributions"),
        (lambda: ece([[0.5, 0.5]], [2]), "labels must be integers in 0..1"),
        (lambda: ece([[0.5, 0.5]], [0, 1]), "labels must have 1 entries"),
        (lambda: ece([[0.5, 0.5]], [0], scheme="equal"), "scheme"),
        (lambda: ece([[0.5, 0.5]], [0], norm="l2"), "norm"),
        (lambda: ece([[0.5, 0.5]], [0], bins=0), "bins"),
        (lambda: ece([[0.5, np.nan]], [0]), "probabilities must be finite"),
        (lambda: fit_temperature(np.ones((2, 2)), [0, 1], low=2, high=1), "limits"),
    ],
)
def test_bad_input(call, named):
    with pytest.raises(ValueError, match=named):
        call()
