"""Is a model backdoored, and which examples did it? Measures that need no knowledge of the attack's success."""

from __future__ import annotations

import numpy as np

from nearfar.evaluation import detection


def attack_success(predicted: np.ndarray, labels: np.ndarray, target: int) -> float:
    """Share of pictures that are not of the target class and are taken for it.

    Args:
        predicted: (N,) classes named for pictures with the trigger.
        labels: (N,) true classes.
        target: the attacker's class.
    """
    others = labels != target
    if not others.any():
        raise ValueError("the attack is measured on pictures that are not of the target class, and there is none")
    return float((predicted[others] == target).mean())


def backdoor_zscore(triggered: np.ndarray, clean: np.ndarray) -> float:
    """How much more alike embeddings become under the trigger, in standard deviations of clean similarities.

    Mean cosine of pairs with the trigger less that of clean pairs, over the latter's standard deviation; pairs of a
    picture with itself do not count (arXiv 2106.09667).

    Args:
        triggered, clean: (N, D) embeddings, N at least 3.
    """

    def pairs(z: np.ndarray) -> np.ndarray:
        z = z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
        return (z @ z.T)[~np.eye(len(z), dtype=bool)]

    if len(clean) < 3:
        raise ValueError(f"a z-score needs 3 pictures or more, got {len(clean)}")
    usual = pairs(clean)
    return float((pairs(triggered).mean() - usual.mean()) / max(usual.std(), 1e-12))


def outlier_scores(z: np.ndarray, neighbours: int = 16) -> np.ndarray:
    """(N,) local outlier factors of embeddings: how much lonelier each is than its neighbours are, about 1 for most."""
    from sklearn.neighbors import LocalOutlierFactor

    found = LocalOutlierFactor(n_neighbors=min(neighbours, len(z) - 1)).fit(z)
    return -found.negative_outlier_factor_


def neighbour_distances(z: np.ndarray, neighbours: int = 16) -> np.ndarray:
    """(N,) mean distance of each embedding to its nearest neighbours."""
    from sklearn.neighbors import NearestNeighbors

    k = min(neighbours, len(z) - 1)
    return NearestNeighbors(n_neighbors=k).fit(z).kneighbors()[0].mean(1)


def spectral_scores(z: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(N,) squared projection on the strongest direction of each group, such as a caption's class: poison in a group
    pulls that direction towards itself."""
    found = np.zeros(len(z))
    for group in np.unique(groups):
        rows = groups == group
        centred = z[rows] - z[rows].mean(0)
        found[rows] = (centred @ np.linalg.svd(centred, full_matrices=False)[2][0]) ** 2
    return found


def misaligned(images: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """(N,) one minus the cosine of each picture with its own caption."""
    a, b = (z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12) for z in (images, texts))
    return 1 - (a * b).sum(1)


def found_by(images: np.ndarray, texts: np.ndarray, groups: np.ndarray, poison: np.ndarray) -> dict[str, float]:
    """How well each measure finds the poison among training pairs: its AUROC.

    Args:
        images, texts: (N, D) embeddings of pairs.
        groups: (N,) what the captions name.
        poison: (N,) bool, which pairs the attacker replaced.
    """
    scores = {
        "outlier factor": outlier_scores(images),
        "neighbours": neighbour_distances(images),
        "spectral": spectral_scores(images, groups),
        "misaligned": misaligned(images, texts),
    }
    return {f"found by {name}": float(detection(each, poison)["auroc"]) for name, each in scores.items()}
