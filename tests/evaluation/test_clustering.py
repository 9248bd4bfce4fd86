"""Cluster scores against scikit-learn, brute-force matching and the released evaluation of discovery."""

from itertools import permutations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from sklearn import metrics

from nearfar.evaluation import clustering, kmeans_scores, split_cluster_accuracy


def example(classes, clusters, n=60, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, classes, n), rng.integers(0, clusters, n)


@pytest.mark.parametrize(("classes", "clusters"), [(4, 4), (3, 5), (5, 3)])
def test_scores_agree_with_references(classes, clusters):
    y, assignment = example(classes, clusters)
    found = clustering(y, assignment)
    assert found["nmi"] == pytest.approx(metrics.normalized_mutual_info_score(y, assignment))
    assert found["v_measure"] == pytest.approx(found["nmi"])
    assert found["ari"] == pytest.approx(metrics.adjusted_rand_score(y, assignment))
    assert found["ami"] == pytest.approx(metrics.adjusted_mutual_info_score(y, assignment))
    size = max(classes, clusters)
    best = max(np.mean(np.array(order)[assignment] == y) for order in permutations(range(size)))
    assert found["accuracy"] == pytest.approx(best)
    majority = sum(np.bincount(y[assignment == c]).max() for c in np.unique(assignment))
    assert found["purity"] == pytest.approx(majority / len(y))


def test_names_do_not_matter():
    y, assignment = example(4, 5)
    words = np.array(["w", "a", "z", "k", "b"])
    assert clustering(words[y], 7 * assignment - 3) == pytest.approx(clustering(y, assignment))
    assert clustering(y, words[assignment]) == pytest.approx(clustering(y, assignment))


def test_perfect_and_useless():
    y = np.repeat(np.arange(4), 10)
    assert list(clustering(y, (y + 2) % 4).values()) == pytest.approx([1] * 6)
    one = clustering(y, np.zeros(40))
    assert (one["accuracy"], one["purity"], one["nmi"], one["ari"]) == (0.25, 0.25, pytest.approx(0), 0)
    every = clustering(y, np.arange(40))
    assert (every["purity"], every["accuracy"]) == (1, pytest.approx(0.1))


def test_kmeans_finds_separate_directions_whatever_their_length():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(4), 25)
    x = (np.eye(6)[y] + 0.05 * rng.normal(size=(100, 6))) * 10 ** rng.uniform(-2, 2, (100, 1))
    assert kmeans_scores(x, y)["accuracy"] == 1
    assert kmeans_scores(x, y, normalize=False)["accuracy"] < 0.9
    assert kmeans_scores(x, y, seed=3) == kmeans_scores(x, y, seed=3)
    assert kmeans_scores(x, y, clusters=8)["accuracy"] < 1


def released_v2(y_true, y_pred, mask):
    """Square table, one matching for all rows, then sums over old and over new classes."""
    size = max(y_true.max(), y_pred.max()) + 1
    w = np.zeros((size, size), int)
    np.add.at(w, (y_pred, y_true), 1)
    cluster_of = {c: r for r, c in zip(*linear_sum_assignment(w.max() - w), strict=True)}
    share = lambda classes: sum(w[cluster_of[c], c] for c in classes) / w[:, list(classes)].sum()  # noqa: E731
    return {
        "all": share(set(y_true.tolist())),
        "old": share(set(y_true[mask].tolist())),
        "new": share(set(y_true[~mask].tolist())),
    }


@pytest.mark.parametrize("clusters", [4, 6, 9])
@pytest.mark.parametrize("seed", range(3))
def test_split_accuracy_is_the_released_v2(clusters, seed):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 6, 300)
    assignment = np.where(rng.random(300) < 0.6, (y + 1) % clusters, rng.integers(0, clusters, 300))
    assert split_cluster_accuracy(y, assignment, y < 4) == pytest.approx(released_v2(y, assignment, y < 4))


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: clustering([0, 0], [0, 1]), "labels must contain at least 2 classes"),
        (lambda: clustering([0, 1], [0]), "assignment must have 2 entries"),
        (lambda: clustering([], []), "labels must have one label per row"),
        (lambda: kmeans_scores(np.ones((3, 2)), [0, 1, 1], clusters=4), "clusters must be"),
        (lambda: split_cluster_accuracy([0, 1], [0, 1], [True, True]), "old must contain both"),
        (lambda: split_cluster_accuracy([0, 0, 1], [0, 1, 1], [True, False, False]), "have both"),
    ],
)
def test_bad_input(call, named):
    with pytest.raises(ValueError, match=named):
        call()
