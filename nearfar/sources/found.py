"""What is in the data, in a few lines: how much, which parts and classes, and what was left out."""

from __future__ import annotations

from typing import Any

import numpy as np

from nearfar.sources.labels import known
from nearfar.sources.skipped import Skipped, plain

__all__ = ["describe"]

SHOWN = 6
"""Classes that are named."""


def describe(data: Any) -> list[str]:
    """Lines for people: the collection, its labels, its held-out sets, what was left out, and rules that were taken."""
    if not hasattr(data, "batch"):
        return [f"data      {plain(data.name)}, which is asked"]
    lines = [f"data      {plain(data.name)}: {_amount(data)}"]
    lines += [f"          {plain(data.taken)}"] if data.taken else []
    lines += [f"          {plain(note)}" for note in getattr(data, "notes", ())]
    lines.append(f"labels    {_labels(data.labels)}")
    for name, held in data.splits().items():
        if hasattr(held, "batch"):
            lines.append(f"held out  {plain(name)}: {_amount(held)}, labels: {_labels(held.labels)}")
    if not data.splits():
        lines.append("held out  nothing")
    for part in (data, *data.splits().values()):
        skipped = getattr(part, "skipped", None)
        if isinstance(skipped, Skipped) and skipped:
            lines.append(f"left out  {len(skipped):,} of {skipped.total:,} {skipped.kind}; see skipped.tsv")
    return lines


def _amount(data: Any) -> str:
    rows = len(data.ids)
    return f"{len(data):,} examples" if rows == len(data) else f"{len(data):,} with {rows:,} rows"


def _labels(labels: np.ndarray | None) -> str:
    if labels is None:
        return "none"
    fine = labels[known(labels)]
    missing = len(labels) - len(fine)
    names, counts = np.unique(fine, return_counts=True)
    few = ", ".join(f"{plain(str(n))} {c:,}" for n, c in list(zip(names, counts, strict=True))[:SHOWN])
    text = f"{len(names):,} classes ({few}{', ...' * (len(names) > SHOWN)})" if len(names) else "no class"
    return text + (f", {missing:,} without one" if missing else "")
