"""What every measure refuses, and that importing the package costs nothing."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from nearfar import evaluation as ev

X, Y = np.random.default_rng(0).normal(size=(12, 3)), np.arange(12) % 3
BAD = X.copy()
BAD[4, 1] = np.nan


@pytest.mark.parametrize(
    "measure",
    [
        lambda x: ev.alignment(x, X),
        ev.uniformity,
        lambda x: ev.tolerance(x, Y),
        ev.feature_std,
        ev.effective_rank,
        ev.rankme,
        ev.participation_ratio,
        ev.alpha_req,
        ev.collapsed,
        lambda x: ev.lidar(np.stack([x, X])),
        lambda x: ev.cka(x, X),
        lambda x: ev.minibatch_cka(x, X),
        lambda x: ev.knn(x, Y, X, Y, k=3),
        lambda x: ev.linear_probe(x, Y, X, Y),
        lambda x: ev.liblinear_probe(x, Y, X, Y),
        lambda x: ev.linear_regression_probe(x, X, X, X),
        lambda x: ev.kmeans_scores(x, Y),
        lambda x: ev.retrieval((x, X), (Y, Y), ks=(1,)),
        lambda x: ev.paired_retrieval(x, X, ks=(1,)),
        lambda x: ev.sts(x, X, np.arange(12)),
        lambda x: ev.fit_temperature(x, Y),
        lambda x: ev.zero_shot(x, Y, np.array([True, False, True])),
        lambda x: ev.top_k_accuracy(x, Y, 2),
    ],
)
def test_missing_values_and_empty_arrays_are_refused(measure):
    with pytest.raises(ValueError, match=r"^\w+ must be finite, got 1 NaN"):
        measure(BAD)
    assert measure(torch.tensor(X)) is not None


@pytest.mark.parametrize(
    "measure",
    [ev.uniformity, ev.feature_std, ev.effective_rank, ev.rankme, ev.participation_ratio, ev.collapsed],
)
def test_empty_and_misshapen_arrays_are_refused(measure):
    with pytest.raises(ValueError, match="x must not be empty"):
        measure(np.empty((0, 3)))
    with pytest.raises(ValueError, match=r"x must have shape \(rows, features\)"):
        measure(np.ones(3))
    with pytest.raises(ValueError, match="x must hold real numbers"):
        measure(np.array([["a", "b"]]))


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: ev.uniformity(X[:1]), "x must have at least 2 rows"),
        (lambda: ev.uniformity(X, t=0), "t must be positive"),
        (lambda: ev.alignment(X, X[:3]), "one shape"),
        (lambda: ev.alignment(X, X, alpha=-1), "alpha must be positive"),
        (lambda: ev.rankme(X, eps=-1), "eps"),
        (lambda: ev.cka(X, X[:3]), "y must have 12 rows"),
        (lambda: ev.minibatch_cka(X[:3], X[:3]), "at least 4 rows"),
        (
            lambda: ev.knn(X, Y, X, Y, k=13),
            r"k must be an integer between 1 and 12 \(.*train_x",
        ),
        (lambda: ev.knn(X, Y, X, Y, k=0), "k must be"),
        (lambda: ev.knn(X, Y, X, Y, k=3, temperature=0), "temperature"),
        (lambda: ev.knn(X, Y, X, Y, k=3, index="hnsw"), "index"),
        (lambda: ev.knn(X, Y[:3], X, Y, k=3), "train_y must have 12 entries"),
        (lambda: ev.knn(X, Y, X, Y[:3], k=3), "test_y must have 12 entries"),
        (lambda: ev.knn(X, np.zeros(12), X, Y, k=3), "train_y must contain at least 2 classes"),
        (lambda: ev.knn(X, Y, X[:, :2], Y, k=3), "test_x must have 3 columns"),
        (lambda: ev.linear_probe(X, np.zeros(12), X, Y), "y must contain at least 2 classes"),
        (lambda: ev.linear_probe(X, Y[:3], X, Y), "y must have 12 entries"),
        (lambda: ev.linear_probe(X, Y, X[:, :2], Y), "x must have 3 columns"),
        (lambda: ev.linear_probe(X, Y, X, Y, C_grid=[]), "C_grid must not be empty"),
        (lambda: ev.linear_probe(X, Y, X, Y, C_grid=[0, 1]), "C_grid must hold positive"),
        (lambda: ev.linear_probe(X, Y, X, Y, validation=1), "validation"),
        (lambda: ev.liblinear_probe(X, Y, X, Y, folds=13), "folds"),
        (lambda: ev.linear_regression_probe(X, np.ones(12), X, X[:, 0]), "train_y must not have a constant"),
        (lambda: ev.linear_regression_probe(X, X, X, X[:, 0]), "test_y must have 3 targets"),
        (lambda: ev.top_k_accuracy(X, Y, 4), "k must be"),
        (lambda: ev.per_class_accuracy([1, 2], [1]), "predictions must have 2 entries"),
        (lambda: ev.per_class_accuracy([1, np.nan], [1, 2]), "labels must not contain NaN"),
    ],
)
def test_the_argument_is_named(call, named):
    with pytest.raises(ValueError, match=named):
        call()


def test_everything_public_is_documented():
    for name in ev.__all__:
        thing = getattr(ev, name)
        if callable(thing):
            assert thing.__doc__, name


def test_importing_loads_no_heavy_library():
    code = (
        "import sys, nearfar.evaluation as ev; "
        "libraries = {'torch', 'sklearn', 'scipy', 'faiss', 'cv2', 'pyarrow', 'PIL', 'pandas'}; "
        "heavy = libraries & set(sys.modules); "
        "assert not heavy, heavy; assert ev.rankme([[1.0, 0], [0, 1]]) > 1.9"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
