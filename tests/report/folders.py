"""Run folders as training leaves them, without training: enough for everything on a page but what needs weights."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml


def run_folder(
    path: Path,
    *,
    method: str = "simclr",
    source: str | None = None,
    rows: Sequence[Mapping[str, float]] = (),
    measured: Mapping[str, Any] | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
    steps: int = 100,
    cost: Mapping[str, float] | None = None,
) -> Path:
    """A folder that is no finished run, because it holds no weights."""
    path.mkdir(parents=True)
    config = {
        "method": method,
        "hyperparameters": dict(hyperparameters or {}),
        "data": {"source": source, "size": 16},
        "training": {"steps": steps, "batch_size": 32, "seed": 0, "accumulate": 1},
        "environment": {"torch": "2", "device": "cpu"},
    }
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    (path / "data.txt").write_text("data      somewhere: 1,280 examples\n")
    if rows:
        names = [*dict.fromkeys(name for row in rows for name in row)]
        lines = [",".join(names), *(",".join(str(row.get(name, "")) for name in names) for row in rows)]
        (path / "metrics.csv").write_text("\n".join(lines) + "\n")
    if measured is not None:
        (path / "evaluation.json").write_text(json.dumps(measured))
    if cost is not None:
        (path / "cost.json").write_text(json.dumps(cost))
    return path


def measured(gain: float, low: float, high: float, *, std: float = 0.5, rank: float = 40.0) -> dict[str, Any]:
    """An ``evaluation.json`` with one score that is ``gain`` above 0.5 untrained."""
    trained = {"effective_rank": rank, "uniformity": -4 * std**2, "std": std}
    trained |= {"alignment": (0.6 if std > 0.1 else 1.9) * std**2, "separation": 2 * std**2}
    untrained = {"effective_rank": 50.0, "uniformity": -0.64, "std": 0.4, "alignment": 0.2, "separation": 0.32}
    return {
        "method": "simclr",
        "data": "digits",
        "trained": {"linear test": 0.5 + gain, **trained},
        "untrained": {"linear test": 0.5, **untrained},
        "better": {"linear test": "higher", **dict.fromkeys(trained, "neither")},
        "ahead": {"linear test": {"mean": gain, "low": low, "high": high, "examples": 400}},
        "further": {},
    }


def health(steps: Sequence[int], knn: float = 0.9, std: float = 0.5, rank: float = 40.0) -> list[dict[str, float]]:
    """Rows of a monitor from 0.5, 0.4 and 50 to what is given, with a loss."""
    last = max(steps[-1], 1)
    return [
        {
            "step": step,
            "monitor/centred_rank": 50 + (rank - 50) * step / last,
            "monitor/std": 0.4 + (std - 0.4) * step / last,
            "monitor/knn": 0.5 + (knn - 0.5) * step / last,
            **({"train/loss": 3 - step / last} if step else {}),
        }
        for step in steps
    ]
