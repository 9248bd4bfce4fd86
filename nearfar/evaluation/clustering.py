"""Do clusters match classes? Scores of an assignment, of k-means, and of old and new categories."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from nearfar.evaluation._arrays import binary, class_labels, matrix, positive_integer, unit_rows


def clustering(labels: Any, assignment: Any) -> dict[str, float]:
    """Agreement of clusters with classes; names of either do not matter.

    ``nmi`` (mutual information over the *arithmetic* mean of the entropies, scikit-learn's default; older
    papers divide by the geometric mean or the maximum), ``ari``, ``ami``, ``v_measure``, ``purity`` (each
    cluster given its commonest class), ``accuracy`` (clusters and classes matched one to one so that most
    rows agree, by the Hungarian algorithm; clusters left over count as wrong). All at most 1; ``ari`` and
    ``ami`` are about 0 for random assignments, while ``nmi`` and ``purity`` rise with the number of clusters.

    Args:
        labels: (N,) true classes, at least two.
        assignment: (N,) clusters; their number may differ from that of classes.

    Raises:
        ValueError: different lengths, empty, or one class only.
    """
    from sklearn import metrics

    table, y, clusters = _contingency(labels, assignment)
    rows, columns = _match(table)
    return {
        "nmi": float(metrics.normalized_mutual_info_score(y, clusters)),
        "ari": float(metrics.adjusted_rand_score(y, clusters)),
        "ami": float(metrics.adjusted_mutual_info_score(y, clusters)),
        "v_measure": float(metrics.v_measure_score(y, clusters)),
        "purity": float(table.max(1).sum() / table.sum()),
        "accuracy": float(table[rows, columns].sum() / table.sum()),
    }


def kmeans_scores(
    x: Any,
    labels: Any,
    *,
    clusters: int | None = None,
    seed: int = 0,
    restarts: int = 10,
    normalize: bool = True,
) -> dict[str, float]:
    """:func:`clustering` of the k-means clusters of an embedding.

    Args:
        x: (N, D).
        labels: (N,) classes, used for scoring and, unless ``clusters`` is given, for their number.
        clusters: k, at most N.
        seed: of the initialisation.
        restarts: k-means++ starts, the one with the least inertia being kept.
        normalize: cluster the L2-normalised rows, the usual protocol for contrastive embeddings.

    Raises:
        ValueError: NaN, lengths that differ, one class only, k beyond N.
    """
    from sklearn.cluster import KMeans

    rows = matrix(x, "x")
    y = class_labels(labels, "labels", length=len(rows), classes=2)
    k = positive_integer(
        len(np.unique(y)) if clusters is None else clusters, "clusters", at_most=len(rows), why="the rows"
    )
    model = KMeans(k, n_init=positive_integer(restarts, "restarts"), random_state=seed)
    return clustering(y, model.fit_predict(unit_rows(rows) if normalize else rows))


def split_cluster_accuracy(
    labels: Any, assignment: Any, old: Any, *, matching: Literal["together", "apart"] = "together"
) -> dict[str, float]:
    """Clustering accuracy on all rows and, under the *same* matching, on old and on new categories.

    The evaluation of generalized category discovery, ``v2`` of sgvaze/generalized-category-discovery,
    project_utils/cluster_and_log_utils.py: one Hungarian matching over all unlabelled rows.

    Args:
        labels: (N,) true classes of the unlabelled rows.
        assignment: (N,) clusters.
        old: (N,) booleans, true for rows of classes that had labels in training. Both kinds must be present.
        matching: ``"apart"`` matches each part by itself, ``v1`` there, which gives higher numbers that must not be
            compared with those of ``"together"``; ``all`` is then the mean of the parts, weighted by their rows.

    Returns:
        ``all``, ``old``, ``new`` in [0, 1].

    Raises:
        ValueError: different lengths, only old or only new rows, a class that is both, or another matching.
    """
    if matching not in ("together", "apart"):
        raise ValueError(f"matching must be 'together' or 'apart', got {matching!r}")
    table, y, clusters = _contingency(labels, assignment)
    known = binary(old, "old", length=len(y))
    both = np.intersect1d(y[known], y[~known])
    if both.size:
        raise ValueError(f"old must be the same for all rows of a class; these classes have both: {both[:5].tolist()}")
    right = np.empty(len(y), bool)
    for part in (np.ones(len(y), bool),) if matching == "together" else (known, ~known):
        counts = np.zeros_like(table)
        np.add.at(counts, (clusters[part], y[part]), 1)
        matched = np.full(len(table), -1)
        rows, columns = _match(counts)
        matched[rows] = columns
        right[part] = matched[clusters[part]] == y[part]
    return {"all": float(right.mean()), "old": float(right[known].mean()), "new": float(right[~known].mean())}


def _contingency(labels: Any, assignment: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts (clusters, classes), and both vectors as numbers from 0."""
    _, y = np.unique(class_labels(labels, "labels", classes=2), return_inverse=True)
    _, clusters = np.unique(class_labels(assignment, "assignment", length=len(y)), return_inverse=True)
    shape = (clusters.max() + 1, y.max() + 1)
    table = np.bincount(clusters * shape[1] + y, minlength=shape[0] * shape[1]).reshape(shape)
    return table, y, clusters


def _match(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from scipy.optimize import linear_sum_assignment

    return linear_sum_assignment(table, maximize=True)
