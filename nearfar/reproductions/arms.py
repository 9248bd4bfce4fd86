"""What reproductions share: training an arm, and finding the optional data sets."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from nearfar import workflow
from nearfar.catalogue import find
from nearfar.training import Data, Method, Training, fit


def shared(path: str) -> Path | None:
    """A file of the data sets that do not come with the library, when NEARFAR_DATA names their folder."""
    folder = os.environ.get("NEARFAR_DATA")
    found = Path(folder) / path if folder else None
    return found if found is not None and found.exists() else None


def build(slug: str, data: Data, seed: int, cls: type | None = None, **changes: Any) -> Method:
    """The method with its laptop settings and ``changes`` (constructor arguments), initial weights from ``seed``.

    ``cls`` replaces the catalogued class, for an arm that is an ablation of it.
    """
    system = find(slug)
    arguments, _ = workflow.laptop_settings(system)
    arguments |= changes
    if cls is None:
        return workflow.build_method(system, arguments, data, seed)
    torch.manual_seed(seed)
    return cls(**arguments)


def train(slug: str, method: Method, data: Data, seed: int, **settings: Any) -> Method:
    """Train with the method's laptop settings and ``settings`` instead of some of them."""
    _, training = workflow.laptop_settings(find(slug))
    training = {**training, "monitor_every": -1, **settings, "seed": seed}
    return fit(method, data, Training(**training), progress=False)


def arm(
    slug: str,
    data: Data,
    seed: int,
    measure: Callable[[Method], Mapping[str, float]],
    *,
    cls: type | None = None,
    settings: Mapping[str, Any] | None = None,
    **changes: Any,
) -> dict[str, float]:
    """Build, train and measure one arm."""
    method = build(slug, data, seed, cls, **changes)
    return dict(measure(train(slug, method, data, seed, **dict(settings or {}))))
