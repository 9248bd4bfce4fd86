"""Invariance scores: known answers, and agreement with a slow version written from the definition."""

from __future__ import annotations

import numpy as np
import pytest

from nearfar.evaluation import invariance_score

RNG = np.random.default_rng(0)
SETS = np.repeat(np.arange(200), 10)


def slow(features: np.ndarray, sets: np.ndarray, classes: np.ndarray, k: int, firing: float = 0.05) -> float:
    names = np.unique(classes)
    share = min(1 - 1 / len(names), 1 - firing)
    n = len(features)
    best = []
    for name in names:
        scores = []
        for column in features.T:
            ordered = sorted(column)
            high, low = ordered[int(n * share + 1e-9)], ordered[::-1][int(n * share + 1e-9)]
            rates = []
            for one in np.unique(sets):
                members = np.flatnonzero(sets == one)
                if len(members) >= 3 and classes[members[0]] == name:
                    fired = max(sum(column[members] > high), sum(column[members] < low))
                    if fired:
                        rates.append(fired / len(members))
            scores.append((np.mean(rates) if rates else 0.0) / np.mean(column >= high))
        best.append(np.mean(sorted(scores, reverse=True)[:k]))
    return float(np.mean(best) * 100 * (1 - share))


def test_the_definition_of_the_released_code() -> None:
    for case in range(4):
        rng = np.random.default_rng(case)
        sets = rng.integers(0, 12, 70)
        sets[:2] = 50  # a set too small to count
        features = rng.normal(size=(70, 6)) + rng.normal(size=(51, 6))[sets]
        if case == 2:
            features = np.maximum(features, 0)  # ties
        classes = sets % 3 if case % 2 else sets
        found = invariance_score(features, sets, classes, top_k=(2, 5), firing=0.1)
        assert found["top 2"] == pytest.approx(slow(features, sets, classes, 2, 0.1))
        assert found["top 5"] == pytest.approx(slow(features, sets, classes, 5, 0.1))


def test_noise_scores_what_its_null_scores_and_not_the_firing_rate() -> None:
    noise = invariance_score(RNG.normal(size=(2000, 64)), SETS)
    assert noise["top 10"] == pytest.approx(20, abs=1.5)
    assert noise["top 10 shuffled"] == pytest.approx(noise["top 10"], abs=1)
    assert noise["top 25"] < noise["top 10"]


def test_neurons_that_know_the_set_score_far_above_the_null() -> None:
    of_set = RNG.normal(size=(200, 64))[SETS]
    constant = invariance_score(of_set, SETS)  # 9 + 9 of 200 sets fire each neuron: 64 * 0.09 full marks among ten
    assert constant["top 10"] == pytest.approx(57.6, abs=3)
    nearly = invariance_score(of_set + 1e-9 * RNG.normal(size=of_set.shape), SETS)  # the tie at the quantile is broken
    assert nearly["top 10"] == pytest.approx(63, abs=3)
    assert constant["top 10 shuffled"] == pytest.approx(20, abs=1.5)
    # Each neuron fires on all pictures of 9 of the 200 sets, less than the 5% that the quantile leaves.
    whole = RNG.normal(size=(2000, 1920)) * 1e-3
    for neuron in range(1920):
        whole[np.isin(SETS, (np.arange(10) * 20 + neuron) % 200), neuron] += 5 + RNG.random()
    assert invariance_score(whole, SETS)["top 10"] > 80


def test_neither_scale_nor_order_nor_sign_matters() -> None:
    features = RNG.normal(size=(2000, 30)) + RNG.normal(size=(200, 30))[SETS]
    expected = invariance_score(features, SETS)["top 10"]
    order = RNG.permutation(2000)
    assert invariance_score(features[order] * 7 + 1, SETS[order])["top 10"] == pytest.approx(expected)
    assert invariance_score(features, SETS.astype(str))["top 10"] == pytest.approx(expected)
    assert invariance_score(-features, SETS)["top 10"] == pytest.approx(expected)


def test_what_cannot_be_measured_is_named() -> None:
    features = RNG.normal(size=(20, 30))
    with pytest.raises(ValueError, match="at least 3 pictures"):
        invariance_score(features, np.arange(20) // 2)
    with pytest.raises(ValueError, match="top_k must be an integer between 1 and 30"):
        invariance_score(features, np.arange(20) // 4, top_k=(31,))
    with pytest.raises(ValueError, match="set_ids must contain at least 2"):
        invariance_score(features, np.zeros(20))
    with pytest.raises(ValueError, match="firing must lie between"):
        invariance_score(features, np.arange(20) // 4, firing=1.0)
    with pytest.raises(ValueError, match="features must be finite"):
        invariance_score(features * np.nan, np.arange(20) // 4)
