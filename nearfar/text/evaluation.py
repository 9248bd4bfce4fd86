"""What is measured on sentences: similarity against people's judgement, retrieval of the same intent, geometry."""

from __future__ import annotations

import numpy as np

from nearfar.evaluation import GEOMETRY, effective_rank, feature_std, knn, sts, uniformity
from nearfar.sources.labels import classed_rows
from nearfar.system import Scores
from nearfar.text.data.sentences import Sentences
from nearfar.training import Data, Method, embed


def evaluate(method: Method, data: Data, *, seed: int = 0) -> Scores:
    """Scores of every held-out set, or of the data itself when it has none.

    ``sts <set>`` is 100 times the Spearman correlation of cosine and gold similarity over all pairs;
    ``1-nn <set>`` the share of sentences whose nearest of the other half (drawn from ``seed``) has their label.
    Geometry (``effective_rank``, ``uniformity``, ``std``) is that of the first set.
    """
    sets = dict(data.splits()) or {"data": data}
    scores = Scores(neither=GEOMETRY)
    for name, held_out in sets.items():
        pairs = getattr(held_out, "pairs", None)
        if pairs is not None:
            left, right = (embed(method, Sentences(side)).array for side in pairs[:2])
            scores[f"sts {name}"] = float(sts(left, right, np.asarray(pairs[2])))
        found = embed(method, held_out)
        rows = classed_rows(found.labels, name)
        if found.labels is not None and len(rows):
            order = rows[np.random.default_rng(seed).permutation(len(rows))]
            bank, queries = order[: len(order) // 2], order[len(order) // 2 :]
            x, y = found.array, found.labels
            scores[f"1-nn {name}"] = float(knn(x[bank], y[bank], x[queries], y[queries], k=1))
        if "uniformity" not in scores:
            sample = found.array[:2048]
            scores["uniformity"] = uniformity(sample)
            scores["effective_rank"] = effective_rank(sample)
            scores["std"] = feature_std(sample, relative=True)
    return scores
