"""What is measured of a system of this field that does not measure itself: what an audit finds."""

from __future__ import annotations

from nearfar.security.bench import audit, both, named
from nearfar.system import Scores
from nearfar.training import Data, Method


def evaluate(method: Method, data: Data, *, seed: int = 0) -> Scores:
    """Every finding of an audit of the method's encoder; of all but accuracies and cosines less is better."""
    members, others = both(data, 600)
    method.eval()
    found = Scores(named(audit(method.encode, members, others, seed=seed)))
    return found.direct(lower=[name for name in found if "accuracy" not in name and "cosine" not in name])
