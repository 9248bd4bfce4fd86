"""How pairs of texts of several domains are judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from nearfar.evaluation import best_f1
from nearfar.system import Scores
from nearfar.training import Data

Cosines = Callable[[Sequence[str], Sequence[str], Sequence[str]], np.ndarray]


def domain_scores(cosines: Cosines, data: Data) -> Scores:
    """Judged pairs of every held-out set, or of the data itself: ``f1 <set>`` is the best F1 over thresholds of the
    cosine, ``f1 <set> <domain>`` that of one domain, and ``ratio <set>`` the mean cosine of pairs that belong
    together by that of the others.

    Args:
        cosines: of N first texts, N second ones and their N domains.
        data: a collection with ``judged`` pairs, or with held-out sets of such.

    Raises:
        ValueError: no set has judged pairs.
    """
    scores = Scores()
    for name, held in (dict(data.splits()) or {"data": data}).items():
        judged = getattr(held, "judged", None)
        if judged is None:
            continue
        first, second, together, domains = judged
        found = cosines(first, second, domains)
        together = np.asarray(together)
        scores[f"f1 {name}"] = best_f1(found, together)
        scores[f"ratio {name}"] = float(found[together == 1].mean() / found[together == 0].mean())
        for domain in sorted(set(domains)):
            rows = np.array([each == domain for each in domains])
            if len(set(together[rows])) == 2:
                scores[f"f1 {name} {domain}"] = best_f1(found[rows], together[rows])
    if not scores:
        raise ValueError(
            f"{data.name} has no judged pairs: those are domain, sentence1, sentence2 and a score of 0 or 1"
        )
    return scores
