"""What is measured on images: probes on every held-out set, and the geometry of the representation."""

from __future__ import annotations

from nearfar.sources.data import Data
from nearfar.sources.labels import known
from nearfar.system import Scores
from nearfar.training import Method
from nearfar.training.probing import probe_held_out, split
from nearfar.vision.unlabelled import alignment_of_views, without_labels

__all__ = ["evaluate", "split"]


def evaluate(method: Method, data: Data, *, seed: int = 0) -> Scores:
    """As :func:`nearfar.training.probing.probe_held_out`, and how near views of a picture are to each other; where no
    label is known, what :func:`nearfar.vision.unlabelled.without_labels` measures besides."""
    scores = probe_held_out(method, data, seed=seed)
    if data.labels is not None and known(data.labels).any():
        held_out = split(data, seed)[1]
        return scores.add(alignment_of_views(method, next(iter(held_out.values()), data), seed=seed))
    return scores.add(without_labels(method, data, seed=seed))
