"""The mean reciprocal rank among candidates of one's own."""

from __future__ import annotations

import numpy as np
import pytest

from nearfar.evaluation import mrr


def test_it_is_the_mean_of_one_over_the_rank() -> None:
    bank = np.array([[[0.0], [1.0], [2.0], [3.0]]] * 3)
    assert mrr([[0.1], [0.1], [0.1]], bank, [0, 1, 3]) == pytest.approx((1 + 1 / 2 + 1 / 4) / 3)
    assert mrr([[2.9]], bank[:1], [3]) == 1


def test_chance_and_what_cannot_tell_candidates_apart() -> None:
    rng = np.random.default_rng(0)
    found = mrr(np.zeros((4000, 3)), rng.standard_normal((4000, 8, 3)), rng.integers(8, size=4000))
    assert found == pytest.approx(np.mean(1 / np.arange(1, 9)), abs=0.02)
    assert mrr(np.ones((2, 3)), np.zeros((2, 9, 3)), [0, 8]) == pytest.approx(1 / 5)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"bank must have shape \(2, M, 3\)"):
        mrr(np.zeros((2, 3)), np.zeros((3, 4, 3)), [0, 1])
    with pytest.raises(ValueError, match=r"target must be in 0\.\.3"):
        mrr(np.zeros((2, 3)), np.zeros((2, 4, 3)), [0, 4])
    with pytest.raises(ValueError, match="prediction"):
        mrr(np.full((2, 3), np.nan), np.zeros((2, 4, 3)), [0, 1])
