"""k-means that keeps sizes alike, or keeps labelled rows where they belong; how many classes there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Clusters(NamedTuple):
    """The cluster of each row (N,), the centres (K, D) and the sum of squared distances."""

    assignment: np.ndarray
    centres: np.ndarray
    inertia: float


def unit(x: np.ndarray) -> np.ndarray:
    """Rows at length 1, in float64."""
    x = np.asarray(x, np.float64)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def squared_distances(x: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """(N, K), at least 0."""
    return np.maximum((x**2).sum(1)[:, None] - 2 * x @ centres.T + (centres**2).sum(1), 0.0)


def spread_centres(x: np.ndarray, k: int, rng: np.random.Generator, given: np.ndarray | None = None) -> np.ndarray:
    """k-means++: ``k`` centres (K, D), those ``given`` first, each further one a row far from those before."""
    centres = list(x[[int(rng.integers(len(x)))]] if given is None else given)
    nearest = squared_distances(x, np.stack(centres)).min(1)
    while len(centres) < k:
        total = nearest.sum()
        row = int(rng.choice(len(x), p=nearest / total)) if total > 0 else int(rng.integers(len(x)))
        centres.append(x[row])
        nearest = np.minimum(nearest, squared_distances(x, x[[row]])[:, 0])
    return np.stack(centres)


def balanced_kmeans(
    x: np.ndarray, centres: np.ndarray, *, cosine: bool = True, tolerance: float = 1e-4, iterations: int = 100
) -> Clusters:
    """k-means whose clusters differ in size by one row at most (SBCL; released ``balanced_cluster.py``).

    Pairs of cluster and row are visited from the most similar on, similarity divided by its sum over rows, and a row
    goes to the first cluster with room for ``N // k``; the ``N mod k`` rows that are left go one by one to the most
    similar cluster that has not got one of them.

    Args:
        x: (N, D), N at least K.
        centres: (K, D), where to begin.
        cosine: similarity is the cosine; otherwise minus the Euclidean distance, divided likewise.
        tolerance: it ends when the squared sum of the centres' shifts is below this.
    """
    k = len(centres)
    if len(x) < k:
        raise ValueError(f"{len(x)} rows make no {k} clusters")
    centres = np.asarray(centres, np.float64)
    assignment = np.full(len(x), -1)
    for _ in range(iterations):
        assignment = _balanced(_similarity(x, centres, cosine), len(x), k)
        moved = np.stack([x[assignment == c].mean(0) for c in range(k)])
        shift = float(np.sqrt(((moved - centres) ** 2).sum(1)).sum())
        centres = moved
        if shift**2 < tolerance:
            break
    return Clusters(assignment, centres, float(squared_distances(x, centres)[np.arange(len(x)), assignment].sum()))


def _similarity(x: np.ndarray, centres: np.ndarray, cosine: bool) -> np.ndarray:
    """(K, N), each row divided by its sum."""
    found = unit(centres) @ unit(x).T if cosine else -np.sqrt(squared_distances(centres, x))
    total = found.sum(1, keepdims=True)
    return found / np.where(total == 0, 1.0, total) * (1.0 if cosine else -1.0)


def _balanced(similarity: np.ndarray, rows: int, k: int) -> np.ndarray:
    assignment = np.full(rows, -1)
    room = np.full(k, rows // k)
    for flat in np.argsort(-similarity, axis=None, kind="stable"):
        cluster, row = divmod(int(flat), rows)
        if assignment[row] < 0 and room[cluster] > 0:
            assignment[row] = cluster
            room[cluster] -= 1
            if not room.any():
                break
    more = np.ones(k, dtype=bool)
    for _ in range(int((assignment < 0).sum())):
        left = np.where((assignment < 0)[None] & more[:, None], similarity, -np.inf)
        cluster, row = divmod(int(left.argmax()), rows)
        assignment[row], more[cluster] = cluster, False
    return assignment


def semi_supervised_kmeans(
    unlabelled: np.ndarray,
    labelled: np.ndarray,
    classes: np.ndarray,
    k: int,
    *,
    seed: int = 0,
    restarts: int = 10,
    iterations: int = 200,
    tolerance: float = 1e-4,
    centres: np.ndarray | None = None,
) -> Clusters:
    """k-means in which labelled rows keep their cluster (GCD; released ``faster_mix_k_means_pytorch.py``).

    The first clusters are the labelled classes, in the order of their numbers, begun at their means; the others begin
    by k-means++ among unlabelled rows. A cluster that empties begins anew at the row farthest from its centre, where
    the released code goes on with NaN.

    Args:
        unlabelled, labelled: (N, D) and (M, D).
        classes: (M,) class numbers of the labelled rows.
        k: number of clusters, at least that of the labelled classes.
        restarts: of which the one with the least inertia stays; 100 as released.
        centres: (K, D), where to begin instead.

    Returns:
        Clusters of the labelled rows, then of the unlabelled ones; the inertia is that before the last move.
    """
    names, own = np.unique(classes, return_inverse=True)
    if k < len(names):
        raise ValueError(f"k must be at least the {len(names)} labelled classes, got {k}")
    x = np.concatenate([labelled, unlabelled]).astype(np.float64)
    rng = np.random.default_rng(seed)
    best: Clusters | None = None
    means = np.stack([labelled[own == c].mean(0) for c in range(len(names))]) if len(names) else None
    for _ in range(1 if centres is not None else restarts):
        start = spread_centres(unlabelled, k, rng, means) if centres is None else centres
        found = _lloyd(x, own, np.asarray(start, np.float64), iterations, tolerance)
        if best is None or found.inertia < best.inertia:
            best = found
    assert best is not None
    return best


def _lloyd(x: np.ndarray, own: np.ndarray, centres: np.ndarray, iterations: int, tolerance: float) -> Clusters:
    best: Clusters | None = None
    for _ in range(iterations):
        distances = squared_distances(x, centres)
        assignment = distances.argmin(1)
        assignment[: len(own)] = own
        each = distances[np.arange(len(x)), assignment]
        inertia = float(each.sum())
        moved = centres.copy()
        for c in range(len(centres)):
            members = assignment == c
            moved[c] = x[members].mean(0) if members.any() else x[int(each.argmax())]
        if best is None or inertia < best.inertia:
            best = Clusters(assignment, moved, inertia)
        shift = float(np.sqrt(((moved - centres) ** 2).sum(1)).sum())
        centres = moved
        if shift**2 < tolerance:
            break
    assert best is not None
    return best


def estimate_classes(x: np.ndarray, classes: np.ndarray, *, most: int, seed: int = 0, restarts: int = 3) -> int:
    """How many classes there are: the k whose plain k-means agrees best with the labelled rows' classes (GCD).

    Args:
        x: (N, D), all rows.
        classes: (N,) class numbers, below 0 where not labelled.
        most: largest number to try; the least is that of the labelled classes.
    """
    from scipy.optimize import minimize_scalar
    from sklearn.cluster import KMeans

    from nearfar.evaluation import clustering

    known = classes >= 0
    least = len(np.unique(classes[known]))
    if least < 2 or most < least:
        raise ValueError(f"the search needs 2 or more labelled classes and most at least {least}, got {most}")

    def disagreement(k: float) -> float:
        found = KMeans(round(k), n_init=restarts, random_state=seed).fit_predict(x)
        return -clustering(classes[known], found[known])["accuracy"]

    found = minimize_scalar(disagreement, bounds=(least, most), method="bounded", options={"xatol": 0.5})
    return round(float(found.x))
