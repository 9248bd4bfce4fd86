"""What is measured on images: probes on every held-out set, and the geometry of the representation."""

from __future__ import annotations

import numpy as np

from nearfar.evaluation import GEOMETRY, LinearProbe, effective_rank, feature_std, knn, uniformity
from nearfar.system import Scores
from nearfar.training import Data, Method, embed


def split(data: Data, seed: int = 0) -> tuple[Data, dict[str, Data]]:
    """What probes learn from, and the held-out sets by name: a drawn fifth, ``test``, of labelled data without any."""
    held_out = dict(data.splits())
    if held_out or data.labels is None:
        return data, held_out
    order = np.random.default_rng(seed).permutation(len(data))
    cut = max(len(data) // 5, 1)
    return data.subset(order[cut:]), {"test": data.subset(order[:cut])}


def evaluate(method: Method, data: Data, *, seed: int = 0) -> Scores:
    """Linear-probe and kNN accuracy on each held-out set of ``data``, and geometry.

    The probe's regularisation is chosen on a part of the training set, never on a held-out one. Where ``data``
    has no held-out sets, a fifth of it (stratified by nothing, drawn from ``seed``) is held out as ``test``.
    Without labels only the geometry is measured.

    Returns:
        ``linear <set>``, ``knn <set>`` in [0, 1]; ``effective_rank``, ``uniformity`` and ``std`` (times sqrt(D),
        about 1 when healthy) of the first held-out set, or of the data itself.
    """
    train, held_out = split(data, seed)
    embeddings = embed(method, train)
    tests = {name: embed(method, split) for name, split in held_out.items()}
    scores = Scores(neither=GEOMETRY)
    if embeddings.labels is not None and len(np.unique(embeddings.labels)) > 1:
        probe = LinearProbe(seed=seed).fit(embeddings.array, embeddings.labels)
        for name, test in tests.items():
            if test.labels is not None:
                scores[f"linear {name}"] = float(probe.score(test.array, test.labels))
                scores[f"knn {name}"] = float(
                    knn(
                        embeddings.array,
                        embeddings.labels,
                        test.array,
                        test.labels,
                        k=min(20, len(embeddings)),
                    )
                )
    sample = next(iter(tests.values()), embeddings).array[:2048]
    scores["effective_rank"] = effective_rank(sample)
    scores["uniformity"] = uniformity(sample)
    scores["std"] = feature_std(sample, relative=True)
    return scores
