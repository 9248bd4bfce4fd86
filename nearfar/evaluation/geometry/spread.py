"""The geometry of embeddings on their sphere: alignment, uniformity, tolerance, spread, similarity."""

from __future__ import annotations

from typing import Any

import numpy as np

from nearfar.evaluation._arrays import centred, class_labels, matrix, positive_integer, tiles, unit_rows


def alignment(x: Any, y: Any, *, alpha: float = 2.0, normalize: bool = True) -> float:
    """mean_i ||x_i - y_i||^alpha over positive pairs (Wang & Isola 2020, eq. 5); low is near.

    Equals ``align_loss`` of SsnL/align_uniform on normalised rows. In [0, 4] for alpha = 2 on the sphere,
    where it is 2 - 2 · mean cosine.

    Args:
        x, y: (N, D), row i of both being views of the same thing.
        alpha: positive exponent.
        normalize: project rows to the unit sphere first.
    """
    first, second = _rows(x, "x", normalize), _rows(y, "y", normalize)
    if first.shape != second.shape:
        raise ValueError(f"x and y must have one shape, got {first.shape} and {second.shape}")
    if not alpha > 0:
        raise ValueError(f"alpha must be positive, got {alpha}")
    return float(np.mean(np.linalg.norm(first - second, axis=1) ** alpha))


def separation(x: Any, y: Any) -> float:
    """mean_{i≠j} ||x_i - y_j||² on the unit sphere: how far views of different things are from each other.

    What :func:`alignment` of the same rows is to be compared with: a share of 0 says that views of one thing coincide,
    1 that they are as far from each other as those of different things. In [0, 4]; 2 where directions have no mean.

    Args:
        x, y: (N, D) with N at least 2, row i of both being views of the same thing.
    """
    first, second = _rows(x, "x", True, at_least=2), _rows(y, "y", True, at_least=2)
    if first.shape != second.shape:
        raise ValueError(f"x and y must have one shape, got {first.shape} and {second.shape}")
    n = len(first)
    norms = (n - 1) * ((first**2).sum() + (second**2).sum())  # rows of zeros have none
    products = first.sum(0) @ second.sum(0) - (first * second).sum()
    return float(max(norms - 2 * products, 0.0) / (n * (n - 1)))


def uniformity(x: Any, *, t: float = 2.0, normalize: bool = True) -> float:
    """log mean_{i<j} exp(-t ||x_i - x_j||²) (Wang & Isola 2020, eq. 6); low is evenly spread.

    Equals ``uniform_loss`` of SsnL/align_uniform, over all pairs, in tiles. On the sphere with t = 2 it is 0
    when all rows coincide and at best -4 N / (N - 1), a regular simplex; rows uniform on a sphere of many
    dimensions come close to -4.

    Args:
        x: (N, D) with N at least 2. Time grows with N²: a sample of a few thousand rows is enough.
        t: positive.
        normalize: project rows to the unit sphere first.
    """
    rows = _rows(x, "x", normalize, at_least=2)
    if not t > 0:
        raise ValueError(f"t must be positive, got {t}")
    n, squares, total = len(rows), (rows**2).sum(1), -np.inf
    for part in tiles(n, n):
        others = slice(part.start, n)
        distances = squares[part, None] + squares[others] - 2 * rows[part] @ rows[others].T
        exponents = -t * np.maximum(distances, 0)
        pairs = exponents[np.triu_indices_from(exponents, k=1)]
        if pairs.size:
            peak = pairs.max()
            total = np.logaddexp(total, peak + np.log(np.exp(pairs - peak).sum()))
    return float(total - np.log(n * (n - 1) / 2))


def tolerance(x: Any, labels: Any) -> float:
    """Mean cosine of the pairs i ≠ j with equal labels, in [-1, 1]: high keeps classes together.

    Wang & Liu 2021 ("Understanding the Behaviour of Contrastive Loss") write the mean over all pairs of the
    cosine times the indicator of equal labels; here it is divided by the number of such pairs, so that values
    of data sets with different numbers of classes can be compared.

    Args:
        x: (N, D).
        labels: (N,), at least one class having two rows.
    """
    rows = _rows(x, "x", True)
    y = class_labels(labels, "labels", length=len(rows))
    _, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
    pairs = int((counts * (counts - 1)).sum())
    if pairs == 0:
        raise ValueError("labels must contain a class with at least two rows")
    sums = np.zeros((len(counts), rows.shape[1]))
    np.add.at(sums, codes, rows)
    return float(((sums**2).sum() - (rows**2).sum()) / pairs)


def feature_std(x: Any, *, relative: bool = False) -> float:
    """Mean over dimensions of the standard deviation of the normalised rows: the collapse monitor of SimSiam.

    mean_d std_i( x_id / ||x_i|| ), population standard deviation; at most 1 / sqrt(D), reached when rows
    spread evenly around the origin, and 0 when all rows point the same way (Chen & He 2021, Fig. 2).

    Args:
        x: (N, D).
        relative: the ratio to 1 / sqrt(D), in [0, 1].
    """
    rows = _rows(x, "x", True)
    spread = float(rows.std(0).mean())
    return spread * float(np.sqrt(rows.shape[1])) if relative else spread


def cka(x: Any, y: Any) -> float:
    """Linear centred kernel alignment of two embeddings of the same examples, in [0, 1].

    ||Y'X||_F² / (||X'X||_F ||Y'Y||_F) on column-centred X, Y (Kornblith et al. 2019, eq. 9 and 10). 1 when
    they agree up to rotation and one scale; no other linear map leaves it unchanged. It is biased upwards
    when the
    features outnumber the rows: use :func:`minibatch_cka` there.

    Args:
        x: (N, D1).
        y: (N, D2), row i embedding the same example.

    Raises:
        ValueError: different numbers of rows, NaN, or an embedding that is the same for all rows (undefined).
    """
    first = matrix(x, "x")
    second = matrix(y, "y", rows=len(first))
    first, second = centred(first), centred(second)
    for name, rows in (("x", first), ("y", second)):
        if not np.any(rows):
            raise ValueError(f"{name} must not be the same for all rows: CKA is undefined for a constant")
    if len(first) < min(first.shape[1], second.shape[1]):
        k, kl = first @ first.T, second @ second.T
        return float((k * kl).sum() / (np.linalg.norm(k) * np.linalg.norm(kl)))
    cross = np.linalg.norm(second.T @ first) ** 2
    return float(cross / (np.linalg.norm(first.T @ first) * np.linalg.norm(second.T @ second)))


def minibatch_cka(x: Any, y: Any, *, batch_size: int = 256) -> float:
    """Linear CKA from the unbiased HSIC estimator, averaged over consecutive batches.

    HSIC1 = [ tr(K~L~) + (1'K~1)(1'L~1) / ((n-1)(n-2)) - 2/(n-2) 1'K~L~1 ] / (n(n-3)), K~ = XX' with a zero
    diagonal; mean over batches of each of the three terms, then their ratio (Nguyen, Raghu & Kornblith 2021,
    eq. 3 and 4). About 0 for unrelated embeddings even when features outnumber rows, and then slightly
    negative at times. Rows should be in random order.

    Departure: rows are centred in each batch first, which does not change HSIC1 and keeps its differences from
    cancelling, and the terms are means over batches and not the sums of released code, which their ratio does not see.

    Args:
        x, y: (N, D1) and (N, D2), row i embedding the same example.
        batch_size: at least 4; a last batch of fewer than 4 rows is left out. N or more means one batch.

    Raises:
        ValueError: fewer than 4 rows, shapes that do not agree, or an embedding without variation.
    """
    first = matrix(x, "x")
    second = matrix(y, "y", rows=len(first))
    if len(first) < 4 or positive_integer(batch_size, "batch_size") < 4:
        raise ValueError(f"x and batch_size must be at least 4 rows, got {len(first)} and {batch_size}")
    terms = [
        _hsic_terms(first[start : start + batch_size], second[start : start + batch_size])
        for start in range(0, len(first) - 3, batch_size)
    ]
    cross, own_x, own_y = np.mean(terms, axis=0)
    if own_x <= 0 or own_y <= 0:
        raise ValueError(f"{'x' if own_x <= 0 else 'y'} must vary over the rows: CKA is undefined for a constant")
    return float(cross / np.sqrt(own_x * own_y))


def _hsic_terms(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    # A common shift leaves HSIC1 unchanged, and removing it keeps the differences below from cancelling.
    x, y = centred(x), centred(y)
    k, kl = x @ x.T, y @ y.T
    np.fill_diagonal(k, 0)
    np.fill_diagonal(kl, 0)
    return _hsic(k, kl), _hsic(k, k), _hsic(kl, kl)


def _hsic(k: np.ndarray, other: np.ndarray) -> float:
    n = len(k)
    a, b = k.sum(0), other.sum(0)
    total = (k * other).sum() + a.sum() * b.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (a @ b)
    return float(total / (n * (n - 3)))


def _rows(x: Any, name: str, normalize: bool, at_least: int = 1) -> np.ndarray:
    rows = matrix(x, name)
    if len(rows) < at_least:
        raise ValueError(f"{name} must have at least {at_least} rows, got {len(rows)}")
    return unit_rows(rows) if normalize else rows
