"""Alarms of collapse: a dozen runs that must raise one, a dozen that must not."""

from __future__ import annotations

import dataclasses
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from nearfar import workflow
from nearfar.catalogue import find
from nearfar.training import CollapseWarning, Method, Optimization, Training, fit

HEALTHY = (
    *("simclr", "byol", "simsiam", "barlow-twins", "vicreg", "moco", "moco-v3", "relic", "swav"),
    *("simcse", "clip", "grace"),
)
STEPS, EVERY = 120, 10


def pull(a: Tensor, b: Tensor) -> Tensor:
    """Views of one thing near each other, and nothing that keeps things apart."""
    return -(normalize(a, dim=1) * normalize(b, dim=1)).sum(1).mean()


def pull_euclidean(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().sum(1).mean()


def pull_all(a: Tensor, b: Tensor) -> Tensor:
    """A contrast with its sign turned around."""
    return -(normalize(a, dim=1) @ normalize(b, dim=1).t()).mean()


def shrink(a: Tensor, b: Tensor) -> Tensor:
    return (a.square() + b.square()).sum(1).mean()


FAST = Optimization("adamw", lr=1e-2, schedule="constant")
STEEP = Optimization("sgd", lr=0.5, schedule="constant")
COLLAPSING: tuple[tuple[str, Callable[[Tensor, Tensor], Tensor], Optimization], ...] = tuple(
    (slug, loss, optimization)
    for slug in ("simclr", "simcse", "grace")
    for loss, optimization in ((pull, FAST), (pull_all, FAST), (pull_euclidean, FAST), (pull, STEEP))
)


def measure(scratch: Path) -> dict[str, Any]:
    false = [slug for slug in HEALTHY if _alarm(slug)[0]]
    runs = [(f"{slug} {loss.__name__} {o.optimizer}", *_alarm(slug, loss, o)) for slug, loss, o in COLLAPSING]
    return {
        "healthy": len(HEALTHY),
        "false_alarms": len(false),
        "falsely": false,
        "collapsing": len(runs),
        "hits": sum(alarm for _, alarm, _ in runs),
        "missed": [f"{name} (rank {rank:.1f})" for name, alarm, rank in runs if not alarm],
    }


def _alarm(
    slug: str, loss: Callable[[Tensor, Tensor], Tensor] | None = None, optimization: Optimization | None = None
) -> tuple[bool, float]:
    """Whether a short run on the embedded data raised the alarm, and its last effective rank."""
    system = find(slug)
    arguments, settings = workflow.laptop_settings(system)
    options = {"graph": {"nodes": 400}, "vision": {"size": 16}}.get(system.field, {})
    data = workflow.load_data(system.field, system.data, **options)
    method = workflow.build_method(system, arguments, data, 0)
    if loss is not None and optimization is not None:
        method.optimization = optimization
        method.loss = types.MethodType(_of_the_encoder(loss), method)  # type: ignore[method-assign]
    training = Training(
        **{**settings, "steps": STEPS, "batch_size": min(settings.get("batch_size", 64), 64), "monitor_every": EVERY}
    )
    rank = [float("nan")]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        fit(method, data, dataclasses.replace(training, non_finite="stop"), progress=False)
        rank[0] = _rank(method, data)
    return any(issubclass(w.category, CollapseWarning) for w in said), rank[0]


def _of_the_encoder(loss: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Method, Any], Tensor]:
    def replaced(self: Method, views: Any) -> Tensor:
        a, b = (self.encoder(view) for view in list(views)[:2])
        return loss(a, b)

    return replaced


def _rank(method: Method, data: Any) -> float:
    from nearfar.training import Monitor

    return Monitor(data, 1).measure(method)["centred_rank"]


torch.set_num_threads(1)
