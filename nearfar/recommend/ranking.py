"""The best items of every user among all items, without those that they chose already."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numba import njit

# Rows of scores that are made at a time: 128 rows of 40,000 items are 20 MB.
ROWS = 128
TAKEN = np.float32(-np.inf)


def best_items(
    users: np.ndarray, items: np.ndarray, rows: np.ndarray, starts: np.ndarray, chosen: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The ``k`` items of the largest products, best first, of each user in ``rows``.

    Scores are made in blocks of rows; a row is read once and compared with its k-th best so far. Equal scores rank by
    item. Where a user has fewer than ``k`` items left, the rest is item -1 with the score minus infinity.

    Args:
        users: (U, D) float32. items: (I, D) float32.
        rows: (N,) rows of users.
        starts, chosen: compressed rows (U + 1,) and (nnz,) of what each user chose already.
        k: from 1 to I.

    Returns:
        Items (N, k) int64 and scores (N, k) float32.

    Raises:
        ValueError: k out of range.
    """
    if not 1 <= k <= len(items):
        raise ValueError(f"k must lie between 1 and the number of items, {len(items)}; got {k}")
    found = np.full((len(rows), k), -1, dtype=np.int64)
    scores = np.full((len(rows), k), TAKEN, dtype=np.float32)
    for first, block in _blocks(users, items, rows):
        part = slice(first, first + len(block))
        _take_best(block, rows[part], starts, chosen, found[part], scores[part])
    return found, scores


def _blocks(users: np.ndarray, items: np.ndarray, rows: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    buffer = np.empty((min(ROWS, len(rows)), len(items)), dtype=np.float32)
    turned = np.ascontiguousarray(items.T)
    for first in range(0, len(rows), ROWS):
        asked = users[rows[first : first + ROWS]]
        yield first, np.matmul(asked, turned, out=buffer[: len(asked)])


@njit(cache=True, nogil=True, error_model="numpy")
def _take_best(scores, rows, starts, chosen, items, best):  # type: ignore[no-untyped-def]
    k = items.shape[1]
    for r in range(len(rows)):
        row = scores[r]
        for at in range(starts[rows[r]], starts[rows[r] + 1]):
            row[chosen[at]] = -np.inf
        least = best[r, k - 1]
        for item in range(len(row)):
            score = row[item]
            if score > least:
                place = k - 1
                while place > 0 and best[r, place - 1] < score:
                    best[r, place] = best[r, place - 1]
                    items[r, place] = items[r, place - 1]
                    place -= 1
                best[r, place] = score
                items[r, place] = item
                least = best[r, k - 1]
