"""Similarity of sentences, continual learning, zero-shot curves, accuracies: each against its definition."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import balanced_accuracy_score, top_k_accuracy_score

from nearfar.evaluation import (
    continual,
    mean_class_accuracy,
    per_class_accuracy,
    spearman,
    sts,
    top_k_accuracy,
    zero_shot,
)


@pytest.mark.parametrize("levels", [3, 1000])
def test_sts_is_scipys_spearman_of_cosines(levels):
    rng = np.random.default_rng(0)
    u = rng.normal(size=(80, 5))
    v = u + rng.normal(size=(80, 5))
    gold = rng.integers(0, levels, 80)
    cosines = (u * v).sum(1) / np.linalg.norm(u, axis=1) / np.linalg.norm(v, axis=1)
    assert sts(u, v, gold) == pytest.approx(100 * spearmanr(cosines, gold).statistic)
    assert spearman(np.round(cosines, 1), gold) == pytest.approx(spearmanr(np.round(cosines, 1), gold).statistic)
    assert sts(3 * u, v, np.exp(gold / levels)) == pytest.approx(sts(u, v, gold))
    assert sts(u, v, cosines**3) == pytest.approx(100)


def test_sts_of_a_constant_is_undefined():
    with pytest.raises(ValueError, match="gold must hold at least two"):
        sts(np.eye(3), np.arange(9).reshape(3, 3), [1, 1, 1])
    with pytest.raises(ValueError, match=r"cos\(u, v\) must hold"):
        sts(np.eye(3), np.eye(3), [1, 2, 3])
    with pytest.raises(ValueError, match="v must have 3 rows"):
        sts(np.eye(3), np.ones((2, 3)), [1, 2, 3])


def test_continual_by_hand():
    a = np.array([[0.9, np.nan, np.nan], [0.7, 0.8, np.nan], [0.6, 0.85, 0.5]])
    found = continual(a)
    assert found["average_accuracy"] == pytest.approx((0.6 + 0.85 + 0.5) / 3)
    assert found["forgetting"] == pytest.approx((0.3 + (0.8 - 0.85)) / 2)
    assert found["backward_transfer"] == pytest.approx((0.6 - 0.9 + 0.85 - 0.8) / 2)
    a[0, 1], a[1, 2] = 0.3, 0.4
    found = continual(a, untrained=[0.1, 0.2, 0.1])
    assert found["forward_transfer"] == pytest.approx((0.3 - 0.2 + 0.4 - 0.1) / 2)


def test_forgetting_is_from_the_best_moment():
    a = np.array([[0.5, 0.1, 0], [0.9, 0.5, 0], [0.4, 0.5, 0.5]])
    assert continual(a)["forgetting"] == pytest.approx(0.25)
    assert continual(a)["backward_transfer"] == pytest.approx(-0.05)


@pytest.mark.parametrize(
    ("accuracy", "untrained", "named"),
    [
        (np.ones((1, 1)), None, "at least two tasks"),
        (np.ones((2, 3)), None, "square"),
        (np.array([[1, 0], [np.nan, 1]]), None, "finite on and below"),
        (np.array([[1, np.nan], [1, 1]]), [0, 0], "just before"),
        (np.ones((2, 2)), [0], "untrained must have 2"),
    ],
)
def test_continual_bad_input(accuracy, untrained, named):
    with pytest.raises(ValueError, match=named):
        continual(accuracy, untrained)


def slow_stacking(scores, y, seen, offset):
    predictions = np.argmax(scores + np.where(seen, 0, offset), 1)

    def share(classes):
        return np.mean([np.mean(predictions[y == c] == c) for c in classes if (y == c).any()])

    return share(np.flatnonzero(seen)), share(np.flatnonzero(~seen))


def test_zero_shot_sweeps_every_offset():
    rng = np.random.default_rng(0)
    seen = np.array([True, True, False, True, False, False])
    y = rng.choice(6, 150, p=[0.3, 0.2, 0.2, 0.1, 0.15, 0.05])
    scores = rng.normal(size=(150, 6)) + 1.5 * np.eye(6)[y] + np.where(seen, 1, 0)
    for offset in (0.0, 0.7):
        found = zero_shot(scores, y, seen, offset=offset)
        s, u = slow_stacking(scores, y, seen, offset)
        assert (found["seen"], found["unseen"]) == (pytest.approx(s), pytest.approx(u))
        assert found["harmonic"] == pytest.approx(2 * s * u / (s + u))
    assert found["unseen_only"] == pytest.approx(slow_stacking(scores, y, seen, 1e3)[1])
    margins = np.sort(scores[:, seen].max(1) - scores[:, ~seen].max(1))
    curve = np.array([slow_stacking(scores, y, seen, t) for t in [margins[0] - 1, *(margins + 1e-9)]])
    assert found["ausuc"] == pytest.approx(np.trapezoid(curve[:, 0], curve[:, 1]))


def test_zero_shot_at_its_ends():
    y, seen = np.arange(4), np.array([True, True, False, False])
    perfect = zero_shot(np.eye(4), y, seen)
    assert perfect["harmonic"] == perfect["ausuc"] == 1
    blind = zero_shot(np.eye(4) + 10 * seen, y, seen)
    assert (blind["seen"], blind["unseen"], blind["harmonic"]) == (1, 0, 0)
    assert blind["unseen_only"] == 1
    with pytest.raises(ValueError, match="seen must be 4 booleans"):
        zero_shot(np.eye(4), y, [1, 1, 0, 0])
    with pytest.raises(ValueError, match="rows of seen and of unseen"):
        zero_shot(np.eye(4)[:2], y[:2], seen)


def test_accuracies():
    rng = np.random.default_rng(0)
    y, predicted = rng.choice(4, 100, p=[0.7, 0.1, 0.1, 0.1]), rng.integers(0, 4, 100)
    assert mean_class_accuracy(y, predicted) == pytest.approx(balanced_accuracy_score(y, predicted))
    words = np.array(["a", "b", "a"], dtype=object)
    assert per_class_accuracy(words, ["a", "a", "b"]) == {"a": 0.5, "b": 0.0}
    scores = rng.normal(size=(100, 4))
    for k in (1, 2, 3):
        assert top_k_accuracy(scores, y, k) == pytest.approx(top_k_accuracy_score(y, scores, k=k, labels=range(4)))
    assert top_k_accuracy(np.zeros((3, 4)), [0, 1, 2], 2) == pytest.approx(2 / 3)
