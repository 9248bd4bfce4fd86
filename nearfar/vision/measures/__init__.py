"""What can be measured on images beside probes and geometry, by name: ``nearfar evaluate <run> --also corruptions``."""

from __future__ import annotations

from collections.abc import Callable

from nearfar.spelling import one_of
from nearfar.training import Data, Method
from nearfar.vision.measures.attention import attention, layers
from nearfar.vision.measures.equivariance import equivariance
from nearfar.vision.measures.few_labels import clusters, few_labels, neighbours
from nearfar.vision.measures.invariance import invariances
from nearfar.vision.measures.robustness import corruptions

__all__ = [
    "MEASURES",
    "attention",
    "clusters",
    "corruptions",
    "equivariance",
    "few_labels",
    "invariances",
    "layers",
    "neighbours",
]

MEASURES: dict[str, Callable[..., dict[str, float]]] = {
    "attention": attention,
    "clusters": clusters,
    "corruptions": corruptions,
    "equivariance": equivariance,
    "few-labels": few_labels,
    "invariances": invariances,
    "layers": layers,
    "neighbours": neighbours,
}
"""Each takes ``(method, data, *, seed)`` and gives named numbers; see its docstring."""


def measure(name: str, method: Method, data: Data, *, seed: int = 0) -> dict[str, float]:
    """One of :data:`MEASURES`. Raises ValueError for another name."""
    if name not in MEASURES:
        raise ValueError(f"there is no measure {name!r} for images{one_of(name, MEASURES)}")
    return MEASURES[name](method, data, seed=seed)
