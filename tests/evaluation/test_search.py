"""Blocked search against the whole matrix."""

import numpy as np
import pytest

from nearfar.evaluation.probing import _search
from nearfar.evaluation.probing._search import search, top_k


@pytest.mark.parametrize("k", [1, 3, 17, 49])
@pytest.mark.parametrize("exclude_self", [False, True])
@pytest.mark.parametrize("levels", [3, 1000])
def test_blocks_agree_with_the_whole_matrix(monkeypatch, k, exclude_self, levels):
    """Small integers, whose products are exact and often equal."""
    monkeypatch.setattr(_search, "QUERIES", 7)
    monkeypatch.setattr(_search, "BANK", 4)
    bank = np.random.default_rng(k).integers(-levels, levels, (50, 3)).astype(np.float32)
    scores = bank @ bank.T
    if exclude_self:
        np.fill_diagonal(scores, -np.inf)
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    values, rows = search(bank, bank, k, exclude_self=exclude_self)
    assert np.array_equal(rows, expected)
    assert np.array_equal(values, np.take_along_axis(scores, expected, 1))
    assert np.array_equal(top_k(scores, k), expected)


def test_a_sorted_bank_is_no_harder(monkeypatch):
    """Every block beats all before it."""
    monkeypatch.setattr(_search, "BANK", 8)
    bank = np.arange(1, 101, dtype=np.float32)[:, None]
    values, rows = search(np.ones((3, 1), np.float32), bank, 5, exclude_self=False)
    assert rows.tolist() == [[99, 98, 97, 96, 95]] * 3
    assert values.tolist() == [[100, 99, 98, 97, 96]] * 3
