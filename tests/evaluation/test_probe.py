"""Probes against scikit-learn and slow loops; their hyper-parameters come from training rows alone."""

import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import balanced_accuracy_score, r2_score
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nearfar.evaluation import (
    CLIP_C_GRID,
    LinearProbe,
    liblinear_probe,
    linear_probe,
    linear_regression_probe,
)
from nearfar.evaluation.probing import probe as probe_module
from nearfar.evaluation.probing.probe import validation_rows


def blobs(n, classes=4, d=8, spread=1.5, seed=0):
    centres = np.random.default_rng(99).normal(size=(classes, d))
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n)
    return centres[y] + spread * rng.normal(size=(n, d)), y


@pytest.mark.parametrize("C", [1e-3, 1.0, 100.0])
@pytest.mark.parametrize("classes", [2, 4])
def test_one_strength_is_scikit_learns_logistic_regression(C, classes):
    x, y = blobs(300, classes)
    z, t = blobs(200, classes, seed=1)
    probe = LinearProbe(C_grid=[C]).fit(x, y)
    peer = make_pipeline(StandardScaler(), LogisticRegression(C=C, tol=1e-8, max_iter=5000)).fit(x, y)
    np.testing.assert_allclose(probe.predict_proba(z), peer.predict_proba(z), atol=1e-4)
    assert probe.score(z, t) == peer.score(z, t)
    assert probe.validation_accuracy == {}


def test_strength_is_chosen_without_the_test_rows():
    x, y = blobs(300, d=60, spread=3)
    z, t = blobs(100, d=60, spread=3, seed=1)
    found = linear_probe(x, y, z, t)
    shuffled = linear_probe(x, y, z, np.random.default_rng(0).permutation(t))
    assert found.C == shuffled.C
    assert found.validation == shuffled.validation
    assert found.accuracy > shuffled.accuracy
    best = max(found.validation.values())
    assert found.validation[found.C] == best
    assert found.accuracy > linear_probe(x, y, z, t, C_grid=[1e3]).accuracy


def test_result_has_its_breakdown():
    x, y = blobs(300)
    z, t = blobs(200, seed=1)
    probe = LinearProbe(seed=3).fit(x, y)
    found = probe.evaluate(z, t)
    predictions = probe.predict(z)
    assert found.accuracy == pytest.approx(np.mean(predictions == t)) == probe.score(z, t)
    assert found.mean_class_accuracy == pytest.approx(balanced_accuracy_score(t, predictions))
    assert found.per_class[2] == pytest.approx(np.mean(predictions[t == 2] == 2))


def test_labels_of_any_type_and_any_affine_scale():
    x, y = blobs(200)
    z, _ = blobs(100, seed=1)
    names = np.array(["ant", "bee", "cat", "dog"])
    scale, shift = 10.0 ** np.linspace(-3, 3, x.shape[1]), 5.0
    plain, moved = LinearProbe().fit(x, y), LinearProbe().fit(x * scale + shift, names[y])
    assert np.array_equal(names[plain.predict(z)], moved.predict(z * scale + shift))
    assert moved.classes.tolist() == sorted(names)


def test_constant_features_and_dead_units_do_no_harm():
    x, y = blobs(200)
    z, t = blobs(100, seed=1)
    dead = np.full((200, 1), 0.1, np.float32)
    wide = LinearProbe(C_grid=[1.0]).fit(np.hstack([x, dead]), y)
    plain = LinearProbe(C_grid=[1.0]).fit(x, y)
    assert wide.score(np.hstack([z, dead[:100]]), t) == plain.score(z, t)
    assert np.isfinite(wide.predict_proba(np.hstack([z, dead[:100] + 1]))).all()


def test_clip_grid_is_the_published_one():
    assert len(CLIP_C_GRID) == 45
    assert CLIP_C_GRID[0] == pytest.approx(1e-6)
    assert CLIP_C_GRID[-1] == pytest.approx(1e5)


@pytest.mark.parametrize("sizes", [[50, 50], [3, 3, 94], [1, 1, 1, 30], [10, 10]])
def test_validation_rows_are_stratified_and_leave_every_class_behind(sizes):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    for seed in range(5):
        held = validation_rows(labels, 0.1, seed)
        for c, size in enumerate(sizes):
            taken = held[labels == c].sum()
            assert taken < size
            assert abs(taken - 0.1 * size) <= 1
        assert held.sum() >= 1
    assert not np.array_equal(validation_rows(labels, 0.1, 0), validation_rows(labels, 0.1, 7))


def test_too_few_rows_to_choose_on_is_said():
    x, y = np.eye(3), np.arange(3)
    with pytest.raises(ValueError, match="too few to set a share"):
        LinearProbe().fit(x, y)
    assert LinearProbe(C_grid=[1.0]).fit(x, y).score(x, y) == 1


def test_probe_must_be_fitted():
    with pytest.raises(RuntimeError, match="fit"):
        LinearProbe().predict(np.ones((2, 2)))


def slow_liblinear(x, y, z, grid, folds, seed):
    x, z = (m / np.linalg.norm(m, axis=1, keepdims=True) for m in (x, z))
    classes = np.unique(y)

    def fit(rows, targets, C):
        return [LogisticRegression(solver="liblinear", C=C).fit(rows, targets == c) for c in classes]

    quality = []
    for C in grid:
        shares = []
        for train, held in KFold(folds, shuffle=True, random_state=seed).split(x):
            models = fit(x[train], y[train], C)
            decisions = np.stack([m.predict(x[held]) for m in models], 1)
            shares.append(np.mean((decisions == (y[held][:, None] == classes)).all(1)))
        quality.append(np.mean(shares))
    C = grid[int(np.argmax(quality))]
    scores = np.stack([m.predict_proba(z)[:, 1] for m in fit(x, y, C)], 1)
    return C, quality, classes[scores.argmax(1)]


def test_liblinear_probe_is_the_protocol_of_grace():
    x, y = blobs(120, classes=3)
    z, t = blobs(80, classes=3, seed=1)
    grid = [0.25, 1.0, 4.0, 64.0]
    found = liblinear_probe(x, y, 3 * z, t, C_grid=grid, folds=3, seed=1)
    C, quality, predictions = slow_liblinear(x, y, z, grid, 3, 1)
    assert found.C == C
    assert list(found.validation.values()) == pytest.approx(quality)
    assert found.accuracy == np.mean(predictions == t)


def test_liblinear_probe_survives_a_class_missing_from_a_fold():
    x, y = blobs(40, classes=3)
    y = y.copy()
    y[:] = np.where(y == 2, 0, y)
    y[:2] = 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert 0 <= liblinear_probe(x, y, x, y, C_grid=[1.0, 8.0]).accuracy <= 1


@pytest.mark.parametrize("d", [6, 150])
def test_regression_probe_is_scikit_learns_ridge(d):
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(100, d)), rng.normal(size=(80, d))
    w = rng.normal(size=(d, 2))
    y, t = x @ w + rng.normal(size=(100, 2)), z @ w + rng.normal(size=(80, 2))
    for alpha in (0.1, 30.0):
        found = linear_regression_probe(x, y, z, t, alpha_grid=[alpha])
        peer = make_pipeline(StandardScaler(), Ridge(alpha=alpha)).fit(x, y).predict(z)
        assert found.r2 == pytest.approx(r2_score(t, peer), abs=1e-9)
        assert found.per_target == pytest.approx(r2_score(t, peer, multioutput="raw_values"), abs=1e-9)
    chosen = linear_regression_probe(x, y[:, 0], z, t[:, 0])
    assert chosen.alpha == max(chosen.validation, key=chosen.validation.get)


def test_regression_probe_of_a_linear_target_and_of_noise():
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(400, 5)), rng.normal(size=(400, 5))
    w = rng.normal(size=5)
    assert linear_regression_probe(x, x @ w, z, z @ w).r2 > 0.999
    assert abs(linear_regression_probe(x, rng.normal(size=400), z, rng.normal(size=400)).r2) < 0.1


def test_very_many_float32_rows_give_the_same_probe(monkeypatch):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 300)
    x = (np.eye(3)[y] @ rng.normal(size=(3, 6)) + rng.normal(size=(300, 6))).astype(np.float32)
    expected = LinearProbe().fit(x, y)
    monkeypatch.setattr(probe_module, "LARGE", 0)
    found = LinearProbe().fit(x, y)
    assert found.C == expected.C
    assert np.allclose(found.predict_proba(x), expected.predict_proba(x), atol=1e-3)
