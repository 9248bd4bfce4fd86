"""Intervals against SciPy, and at the edges where formulas give NaN."""

import math

import numpy as np
import pytest
from scipy import stats

from nearfar.evaluation import difference_on_examples, mean_interval, paired_interval, sts
from nearfar.evaluation.ranking.sts import sts_outcomes


@pytest.mark.parametrize("confidence", [0.8, 0.95])
@pytest.mark.parametrize("n", [2, 5, 30])
def test_paired_interval_is_scipys(n, confidence):
    rng = np.random.default_rng(n)
    a, b = rng.normal(0.7, 0.1, n), rng.normal(0.6, 0.1, n)
    expected = stats.ttest_rel(a, b).confidence_interval(confidence)
    mean, low, high = paired_interval(a, b, confidence)
    assert mean == pytest.approx(np.mean(a - b))
    assert (low, high) == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_pairing_removes_what_seeds_share():
    rng = np.random.default_rng(0)
    seeds, noise = rng.normal(0, 0.1, 8), rng.normal(0, 0.001, 8)
    paired = paired_interval(0.7 + seeds + noise, 0.69 + seeds)
    alone = mean_interval(0.7 + seeds)
    assert paired.low > 0
    assert paired.high - paired.low < (alone.high - alone.low) / 10


def test_edges():
    assert paired_interval([0.5], [0.4]) == (pytest.approx(0.1), -math.inf, math.inf)
    assert mean_interval([0.1, 0.1, 0.1]) == (0.1, 0.1, 0.1)
    assert paired_interval([1, 2, 3], [0, 1, 2]) == (1, 1, 1)


def test_coverage():
    rng = np.random.default_rng(0)
    inside = [low <= 0 <= high for _, low, high in (mean_interval(rng.normal(size=4)) for _ in range(600))]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.03)


def test_bad_input():
    with pytest.raises(ValueError, match="baseline must have 2 entries"):
        paired_interval([1, 2], [1])
    with pytest.raises(ValueError, match="values must be finite"):
        mean_interval([1, math.nan])
    with pytest.raises(ValueError, match="confidence"):
        mean_interval([1, 2], 95)


def test_the_interval_over_examples_covers_what_it_says_and_stays_honest_with_few() -> None:
    rng, covered, truth = np.random.default_rng(0), 0, 0.8 - 0.6
    for _ in range(400):
        luck = rng.random(60)  # shared, so that the two agree often, as two systems on one example do
        found = difference_on_examples(luck < 0.8, np.where(rng.random(60) < 0.5, luck, rng.random(60)) < 0.6)
        covered += found.low <= truth <= found.high
    assert 0.92 <= covered / 400 <= 0.99
    same = difference_on_examples(np.ones(8), np.ones(8))
    assert same.low < 0 == same.mean < same.high
    wide, narrow = (difference_on_examples(np.ones(n), np.zeros(n)) for n in (5, 500))
    assert wide.low < narrow.low < wide.mean == wide.high == 1


def test_several_outcomes_of_one_example_count_as_one() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.normal(0.3, 1, 50), rng.normal(size=50)
    once = difference_on_examples(first, second)
    repeated = difference_on_examples(np.tile(first, 4), np.tile(second, 4), np.tile(np.arange(50), 4))
    assert repeated == pytest.approx(once)
    with pytest.raises(ValueError, match="one length"):
        difference_on_examples(first, second[:-1])


def test_what_pairs_add_to_a_rank_correlation_is_as_wide_as_a_bootstrap_finds() -> None:
    rng = np.random.default_rng(2)
    u, v = rng.normal(size=(300, 4)), rng.normal(size=(300, 4))
    gold = np.einsum("nd,nd->n", u, v) + rng.normal(size=300) * 2
    found = sts_outcomes(u, v, gold)
    assert found.mean() == pytest.approx(sts(u, v, gold))
    drawn = (rng.integers(300, size=300) for _ in range(300))
    spread = np.std([sts(u[rows], v[rows], gold[rows]) for rows in drawn])
    assert found.std() / np.sqrt(300) == pytest.approx(spread, rel=0.25)
