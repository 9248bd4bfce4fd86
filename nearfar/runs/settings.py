"""What a run was trained with and what it is to go on with: the differences, and how they take effect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Settings that change what is written and how fast, but no weight.
FREE = ("training.workers", "training.checkpoint_every", "training.monitor_every", "training.log_every")


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted names."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Settings of ``config.yaml`` that decide a run's weights and differ, by dotted name, as (before, after)."""
    parts = ("method", "hyperparameters", "data", "training")
    old, new = ({**flatten({k: v for k, v in s.items() if k in parts})} for s in (before, after))
    names = [*new, *(name for name in old if name not in new)]
    return {n: (old.get(n), new.get(n)) for n in names if old.get(n) != new.get(n) and n not in FREE}


def in_words(changed: Mapping[str, tuple[Any, Any]]) -> str:
    """``temperature was 0.2 and is 0.5; ...``"""
    short = (name.removeprefix("hyperparameters.").removeprefix("training.") for name in changed)
    return "; ".join(
        f"{name} was {was!r} and is {now!r}" for name, (was, now) in zip(short, changed.values(), strict=True)
    )
