"""Which steps of a series are unlike what came before."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.series.data import SeriesBatch

__all__ = ["Anomalies", "causal_windows", "series_anomalies", "step_anomalies"]

Anomalies = dict[str, Tensor]
# Steps before a step whose mean score its own is compared with.
BEFORE = 21
# Windows that are encoded at once.
BATCH = 256


def causal_windows(values: Tensor, context: int, *, first: int = 0, stop: int | None = None) -> Iterator[Tensor]:
    """Of each step of values (T, C) the window (context + 1, C) that ends with it, gaps before the beginning.

    Yields:
        (n, context + 1, C) with n up to :data:`BATCH`, for the steps ``first`` to ``stop`` in order.
    """
    padded = F.pad(values, (0, 0, context, 0), value=float("nan"))
    windows = padded.unfold(0, context + 1, 1).transpose(1, 2)[first:stop]
    for start in range(0, len(windows), BATCH):
        yield windows[start : start + BATCH].contiguous()


def step_anomalies(encode_steps: Callable[..., Tensor], values: Tensor, context: int = 200) -> Tensor:
    r"""TS2Vec's anomaly score of every step: :math:`\alpha_t = \| r_t^{hidden} - r_t \|_1`, by what it was before.

    Both representations see the ``context`` steps before t and nothing after; in the first, step t itself is hidden.
    The score is :math:`(\alpha_t - \bar\alpha_t) / \bar\alpha_t` with the mean of the 21 steps before, and 0 for the
    first 22 steps (``tasks/anomaly_detection.py``).

    Args:
        encode_steps: (values (B, T, C), mask (B, T)) to (B, T, D).
        values: (T, C), NaN for gaps.
        context: steps seen.

    Returns:
        (T,) scores; 0 is as usual, and higher is stranger.
    """
    moved = []
    for windows in causal_windows(values, context):
        shown = torch.ones(windows.shape[:2], dtype=torch.bool, device=values.device)
        hidden = shown.clone()
        hidden[:, -1] = False
        apart = encode_steps(windows, hidden)[:, -1] - encode_steps(windows, shown)[:, -1]
        moved.append(apart.abs().sum(1))
    alpha = torch.cat(moved).double()
    score = torch.zeros_like(alpha)
    if len(alpha) > BEFORE + 1:
        before = alpha.unfold(0, BEFORE, 1).mean(1)[:-1]
        score[BEFORE:] = (alpha[BEFORE:] - before) / before.clamp_min(1e-12)
        score[: BEFORE + 1] = 0.0
    return score


def series_anomalies(encode_steps: Callable[..., Tensor], batch: SeriesBatch, context: int) -> Anomalies:
    """Columns ``score``, that of the worst step of each series, and ``step``, where it is."""
    scores, steps = [], []
    for values, inside in zip(batch.values, batch.inside, strict=True):
        found = step_anomalies(encode_steps, values[inside], context)
        worst = int(found.argmax())
        scores.append(found[worst])
        steps.append(worst)
    return {"score": torch.stack(scores), "step": torch.tensor(steps)}
