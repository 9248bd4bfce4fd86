"""Linear probes: what a linear map can read from frozen embeddings."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nearfar.evaluation._arrays import (
    class_labels,
    finite,
    matrix,
    positive_integer,
    tiles,
    to_numpy,
    unit_rows,
)
from nearfar.evaluation.probing.accuracy import mean_class_accuracy, per_class_accuracy

DEFAULT_C_GRID: tuple[float, ...] = tuple(np.logspace(-5, 2, 8).tolist())
"""Eight strengths, a factor of ten apart: a second or two for a few thousand rows."""

CLIP_C_GRID: tuple[float, ...] = tuple(np.logspace(-6, 5, 45).tolist())
"""The 45 logarithmic steps between 1e-6 and 1e5 of the published transfer protocols, for final tables."""

GRACE_C_GRID: tuple[float, ...] = tuple((2.0 ** np.arange(-10, 10)).tolist())
"""Powers of two from 2^-10 to 2^9, as in CRIPAC-DIG/GRACE eval.py."""

LARGE = 1 << 26
"""Numbers from which a probe leaves float32 embeddings in float32 (half a gigabyte in float64)."""


@dataclass(frozen=True)
class ProbeResult:
    """What a probe found.

    Attributes:
        accuracy: share of test rows predicted right, in [0, 1].
        mean_class_accuracy: the same with every class counting equally.
        per_class: class -> share of its test rows predicted right.
        C: inverse regularisation strength that was chosen (scikit-learn's meaning).
        validation: C -> accuracy on the part of the training rows it was chosen on; empty if nothing was
            chosen.
        right: (M,) whether each test row was predicted right.
    """

    accuracy: float
    mean_class_accuracy: float
    per_class: dict[Any, float]
    C: float
    validation: dict[float, float] = field(default_factory=dict)
    right: np.ndarray = field(default_factory=lambda: np.empty(0, bool), repr=False, compare=False)


class LinearProbe:
    """Multinomial logistic regression on standardised embeddings, its strength chosen in training.

    min over W, b of C · sum_i CE(softmax(W z_i + b), y_i) + ||W||² / 2, with z standardised by the training
    mean and standard deviation, solved by L-BFGS to a gradient norm of 1e-6 (scikit-learn's
    ``LogisticRegression``). C has the best accuracy on a stratified validation part of the training rows,
    equal accuracies being decided by cross-entropy; the probe is then refitted on all training rows. It is
    the exact optimum of what the SGD protocols of MoCo, SimCLR and the rest approximate with a tuned learning
    rate.

    Args:
        C_grid: strengths to choose from, :data:`DEFAULT_C_GRID` unless given. A single one is used as it is.
        validation: share of the training rows to choose on, in (0, 1).
        seed: of the draw of those rows.
        standardize: divide by the training standard deviation (constant features are only centred). Off
            reproduces CLIP's probe on raw features.
        max_iter: L-BFGS iterations per strength.

    Attributes:
        C: the chosen strength.
        validation_accuracy: C -> accuracy on the validation part.
        classes: the sorted training classes.

    Example:
        >>> probe = LinearProbe().fit(train.array, train.labels)      # doctest: +SKIP
        >>> {name: probe.score(t.array, t.labels) for name, t in tests.items()}      # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        C_grid: Sequence[float] | None = None,
        validation: float = 0.1,
        seed: int = 0,
        standardize: bool = True,
        max_iter: int = 1000,
    ) -> None:
        self.C_grid = check_grid(DEFAULT_C_GRID if C_grid is None else C_grid, "C_grid")
        if not 0 < validation < 1:
            raise ValueError(f"validation must be a share in (0, 1), got {validation}")
        self.validation = validation
        self.seed = seed
        self.standardize = standardize
        self.max_iter = positive_integer(max_iter, "max_iter")
        self.C = float("nan")
        self.validation_accuracy: dict[float, float] = {}
        self._model: Any = None

    def fit(self, x: Any, y: Any) -> LinearProbe:
        """Choose C, then fit on all of ``x`` (N, D) with classes ``y`` (N,); returns itself.

        Raises:
            ValueError: NaN, lengths that differ, one class only, or too few rows to set some aside.
        """
        given = _features(x)
        labels = class_labels(y, "y", length=len(given), classes=2)
        self.mean, self.scale = _moments(given, self.standardize)
        features = _standardized(given, self.mean, self.scale)
        self.validation_accuracy = {}
        self.C = self.C_grid[0]
        if len(self.C_grid) > 1:
            self._choose(features, labels)
        _, self._model = next(self._path(features, labels, [self.C]))
        self.classes: np.ndarray = self._model.classes_
        return self

    def predict(self, x: Any) -> np.ndarray:
        """(M,) predicted classes of (M, D) embeddings."""
        return self._fitted().predict(self._standard(x))

    def predict_proba(self, x: Any) -> np.ndarray:
        """(M, C) probabilities, columns in the order of ``classes``."""
        return self._fitted().predict_proba(self._standard(x))

    def linear(self) -> tuple[np.ndarray, np.ndarray]:
        """(K, D) weights and (K,) biases that give the logits of embeddings as they are, standardising included; K is
        the number of classes, or 1 for two, whose logit is the second's."""
        model = self._fitted()
        weight = model.coef_.astype(np.float64) / self.scale
        return weight, model.intercept_ - weight @ np.asarray(self.mean, np.float64).reshape(-1)

    def score(self, x: Any, y: Any) -> float:
        """Accuracy on (M, D) embeddings, in [0, 1]; classes never trained on count as wrong."""
        return float(np.mean(self.predict(x) == class_labels(y, "y", length=len(x))))

    def evaluate(self, x: Any, y: Any) -> ProbeResult:
        """:meth:`score` with its breakdown by class and how C was chosen."""
        predictions = self.predict(x)
        labels = class_labels(y, "y", length=len(predictions))
        return _result(labels, predictions, self.C, self.validation_accuracy)

    def _choose(self, features: np.ndarray, labels: np.ndarray) -> None:
        held = validation_rows(labels, self.validation, self.seed)
        y = labels[held]
        best = (-1.0, -np.inf)
        for C, model in self._path(features[~held], labels[~held], self.C_grid):
            log_p = model.predict_log_proba(features[held])
            accuracy = float(np.mean(model.classes_[log_p.argmax(1)] == y))
            likelihood = float(log_p[np.arange(len(y)), np.searchsorted(model.classes_, y)].mean())
            self.validation_accuracy[C] = accuracy
            if (accuracy, likelihood) > best:
                best, self.C = (accuracy, likelihood), C

    def _path(self, x: np.ndarray, y: np.ndarray, grid: Sequence[float]) -> Iterator[tuple[float, Any]]:
        """One model, refitted for ascending C from where it was: the same optimum, a shorter way."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(tol=1e-6, max_iter=self.max_iter, warm_start=True)
        for C in grid:
            with warnings.catch_warnings():
                # Weak penalties on separable data have their optimum at infinity; max_iter is then the answer.
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.set_params(C=C).fit(x, y)
            yield C, model

    def _standard(self, x: Any) -> np.ndarray:
        self._fitted()
        return _standardized(_features(x, columns=len(self.mean)), self.mean, self.scale)

    def _fitted(self) -> Any:
        if self._model is None:
            raise RuntimeError("this LinearProbe has not been fitted; call fit(x, y) first")
        return self._model


def linear_probe(
    train_x: Any,
    train_y: Any,
    test_x: Any,
    test_y: Any,
    *,
    C_grid: Sequence[float] | None = None,
    validation: float = 0.1,
    seed: int = 0,
) -> ProbeResult:
    """Fit a :class:`LinearProbe` on the training rows and measure it on the test rows.

    Args:
        train_x, test_x: (N, D) and (M, D) embeddings.
        train_y, test_y: (N,) and (M,) classes of one type.
        C_grid, validation, seed: see :class:`LinearProbe`, which also serves several test sets with one fit.

    Raises:
        ValueError: NaN, shapes that do not agree, one class only.
    """
    probe = LinearProbe(C_grid=C_grid, validation=validation, seed=seed).fit(train_x, train_y)
    return probe.evaluate(test_x, test_y)


def liblinear_probe(
    train_x: Any,
    train_y: Any,
    test_x: Any,
    test_y: Any,
    *,
    C_grid: Sequence[float] | None = None,
    folds: int = 5,
    seed: int = 0,
) -> ProbeResult:
    """The probe of graph papers (GRACE and its successors): L2-normalised rows, one-vs-rest liblinear.

    C is chosen by cross-validation on the training rows. As in CRIPAC-DIG/GRACE eval.py the classes are given
    to the search as a one-hot table, so that a row counts as right there only if every one-vs-rest classifier
    is right about it, and the grid ends at 2^9; the test prediction is the most probable class (its accuracy
    is their micro-F1). Rows are shuffled into folds by ``seed``. The intercept is penalised, as liblinear
    does.

    Args:
        train_x, test_x: (N, D) and (M, D) embeddings of any norm.
        train_y, test_y: classes.
        C_grid: strengths to choose from, :data:`GRACE_C_GRID` unless given.
        folds: of the cross-validation, between 2 and N.
        seed: of the folds.

    Raises:
        ValueError: NaN, shapes that do not agree, one class only, too many folds.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, KFold
    from sklearn.multiclass import OneVsRestClassifier

    x = unit_rows(matrix(train_x, "train_x"))
    y = class_labels(train_y, "train_y", length=len(x), classes=2)
    test = unit_rows(matrix(test_x, "test_x", columns=x.shape[1]))
    truth = class_labels(test_y, "test_y", length=len(test))
    grid = check_grid(GRACE_C_GRID if C_grid is None else C_grid, "C_grid")
    folds = positive_integer(folds, "folds", at_most=len(x), why="the number of training rows")
    if folds < 2:
        raise ValueError("folds must be at least 2, got 1")
    classes, codes = np.unique(y, return_inverse=True)
    search = GridSearchCV(
        OneVsRestClassifier(LogisticRegression(solver="liblinear", random_state=seed)),
        {"estimator__C": list(grid)},
        cv=KFold(folds, shuffle=True, random_state=seed),
    )
    with warnings.catch_warnings():
        # A fold may lack a rare class; it is then predicted absent there, which is what the protocol does.
        warnings.filterwarnings("ignore", message="Label not .* is present", category=UserWarning)
        search.fit(x, np.eye(len(classes), dtype=int)[codes])
    means = search.cv_results_["mean_test_score"]
    return _result(
        truth,
        classes[search.predict_proba(test).argmax(1)],
        float(search.best_params_["estimator__C"]),
        {C: float(mean) for C, mean in zip(grid, means, strict=True)},
    )


def check_grid(grid: Sequence[float], name: str) -> tuple[float, ...]:
    """Strengths in ascending order; all positive and finite."""
    values = finite(list(grid), name)
    if (values <= 0).any():
        raise ValueError(f"{name} must hold positive numbers, got {values.min()}")
    return tuple(sorted(float(value) for value in values))


def validation_rows(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """(N,) booleans: a stratified draw of about ``share`` of the rows that never takes a whole class."""
    n = len(labels)
    order = np.random.default_rng(seed).permutation(n)
    _, codes = np.unique(labels, return_inverse=True)
    order = order[np.argsort(codes[order], kind="stable")]
    # Every 1/share-th row of the class-sorted order: each class gives its part, rounded up or down.
    steps = np.floor((np.arange(n) + 1) * share + 0.5) > np.floor(np.arange(n) * share + 0.5)
    held = np.zeros(n, bool)
    held[order[steps]] = True
    first_of_class = order[np.unique(codes[order], return_index=True)[1]]
    left = np.bincount(codes[~held], minlength=codes.max() + 1)
    held[first_of_class[left == 0]] = False
    if not held.any():
        raise ValueError(
            f"validation: {n} rows are too few to set a share of {share} aside; "
            "pass one strength as the grid, or a larger share"
        )
    return held


def _features(x: Any, columns: int | None = None) -> np.ndarray:
    """(N, D) in float64; very many numbers that come in float32 stay in it, which halves memory and time."""
    array = to_numpy(x, "x")
    large = array.size > LARGE and array.dtype == np.float32
    return matrix(array, "x", dtype=np.float32 if large else np.float64, columns=columns)


def _standardized(x: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    features = np.empty_like(x)
    for part in tiles(*x.shape):
        features[part] = (x[part] - mean) / scale
    return features


def _moments(x: np.ndarray, standardize: bool) -> tuple[np.ndarray, np.ndarray]:
    if not standardize:
        return np.zeros(x.shape[1]), np.ones(x.shape[1])
    parts = [*tiles(*x.shape)]
    mean = np.sum([x[part].sum(0, dtype=np.float64) for part in parts], axis=0) / len(x)
    std = np.sqrt(np.sum([np.square(x[part] - mean).sum(0) for part in parts], axis=0) / len(x))
    # Below the rounding of float32 a feature is constant, and its noise must not be blown up.
    constant = std <= np.finfo(np.float32).eps * np.abs(mean)
    return mean, np.where(constant, 1.0, std)


def _result(labels: np.ndarray, predictions: np.ndarray, C: float, validation: dict[float, float]) -> ProbeResult:
    return ProbeResult(
        accuracy=float(np.mean(predictions == labels)),
        mean_class_accuracy=mean_class_accuracy(labels, predictions),
        per_class=per_class_accuracy(labels, predictions),
        C=C,
        validation=dict(validation),
        right=predictions == labels,
    )
