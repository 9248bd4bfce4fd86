"""The nearest rows by inner product, exactly, in blocks of queries and of the bank."""

from __future__ import annotations

import numpy as np

# A block is one matrix product: large enough that the product and not the passage over its result takes the time,
# small enough (16 MiB) that the result stays near the processor.
QUERIES, BANK = 1024, 4096


def search(queries: np.ndarray, bank: np.ndarray, k: int, *, exclude_self: bool) -> tuple[np.ndarray, np.ndarray]:
    """The ``k`` largest inner products (M, k) per query, descending, and their rows in ``bank`` (M, k).

    Equal products come in row order. After the first block only products above a query's k-th best so far are looked
    at again, of which there are fewer and fewer.
    """
    values = np.empty((len(queries), k), np.float32)
    rows = np.empty((len(queries), k), np.int64)
    for start in range(0, len(queries), QUERIES):
        part = slice(start, min(start + QUERIES, len(queries)))
        values[part], rows[part] = _search_part(queries[part], bank, k, start if exclude_self else None)
    return values, rows


def _search_part(queries: np.ndarray, bank: np.ndarray, k: int, own: int | None) -> tuple[np.ndarray, np.ndarray]:
    best = np.full((len(queries), k), -np.inf, np.float32)
    rows = np.zeros((len(queries), k), np.int64)
    waiting: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    count, width = 0, max(BANK, 2 * k)
    for start in range(0, len(bank), width):
        scores = queries @ bank[start : start + width].T
        if own is not None:
            _leave_out(scores, own - start)
        if start == 0:
            rows = top_k(scores, min(k, scores.shape[1]))
            best = np.take_along_axis(scores, rows, 1)
            continue
        query, column = np.nonzero(scores > best[:, -1:])
        waiting.append((query, scores[query, column], column + start))
        count += len(query)
        if count > best.size:
            best, rows = _merge(best, rows, waiting)
            waiting, count = [], 0
    return _merge(best, rows, waiting) if waiting else (best, rows)


def _leave_out(scores: np.ndarray, first: int) -> None:
    """Query i is row ``first + i`` of this part of the bank, and no neighbour of itself."""
    query = np.arange(max(-first, 0), min(len(scores), scores.shape[1] - first))
    if len(query):
        scores[query, query + first] = -np.inf


def _merge(
    best: np.ndarray, rows: np.ndarray, waiting: list[tuple[np.ndarray, np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray]:
    k = best.shape[1]
    query, values, found = (np.concatenate(parts) for parts in zip(*waiting, strict=True))
    query = np.concatenate([np.repeat(np.arange(len(best)), k), query])
    values = np.concatenate([best.ravel(), values])
    found = np.concatenate([rows.ravel(), found])
    order = np.lexsort((found, -values, query))
    first = np.searchsorted(query[order], np.arange(len(best)))
    kept = order[first[:, None] + np.arange(k)]
    return values[kept], found[kept]


def top_k(scores: np.ndarray, k: int) -> np.ndarray:
    """Columns of the ``k`` largest scores per row, largest first, equal ones in column order."""
    if k >= scores.shape[1]:
        return np.argsort(-scores, axis=1, kind="stable")
    found = np.sort(np.argpartition(scores, -k, axis=1)[:, -k:], axis=1)
    values = np.take_along_axis(scores, found, 1)
    edge = values.min(1, keepdims=True)
    # Where the k-th value also occurs outside, the partition chose among equals at random.
    unsettled = (scores == edge).sum(1) > (values == edge).sum(1)
    order = np.argsort(-values, axis=1, kind="stable")
    found = np.take_along_axis(found, order, 1)
    if unsettled.any():
        found[unsettled] = np.argsort(-scores[unsettled], axis=1, kind="stable")[:, :k]
    return found
