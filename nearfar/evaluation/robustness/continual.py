"""Learning tasks one after another: what is kept, what is forgotten, what helps later."""

from __future__ import annotations

from typing import Any

import numpy as np

from nearfar.evaluation._arrays import to_numpy, vector


def continual(accuracy: Any, untrained: Any = None) -> dict[str, float]:
    """Summary of a continual run from a[t, j], the accuracy on task j after learning task t.

    - ``average_accuracy``: mean_j a[T, j] (Lopez-Paz & Ranzato 2017);
    - ``forgetting``: mean_{j<T} ( max_{t<T} a[t, j] - a[T, j] ), high is bad (Chaudhry et al. 2018);
    - ``backward_transfer``: mean_{j<T} ( a[T, j] - a[j, j] ), negative is forgetting (Lopez-Paz & Ranzato);
    - ``forward_transfer``: mean_{j>1} ( a[j-1, j] - untrained[j] ), only with ``untrained`` (the same).

    Args:
        accuracy: (T, T) in any unit, T at least 2. Entries above the diagonal (tasks not seen yet) may be
            NaN, except those next to the diagonal when ``untrained`` is given. Finite ones take part in the
            maximum of ``forgetting``, as in Chaudhry's definition.
        untrained: (T,) accuracy on every task of the encoder before any task.

    Raises:
        ValueError: not square, fewer than two tasks, or NaN where a value is needed.
    """
    a = to_numpy(accuracy, "accuracy").astype(np.float64)
    if a.ndim != 2 or a.shape[0] != a.shape[1] or len(a) < 2:
        raise ValueError(f"accuracy must be square with at least two tasks, (T, T), got shape {a.shape}")
    tasks = len(a)
    below = np.tril_indices(tasks)
    if not np.isfinite(a[below]).all():
        raise ValueError("accuracy must be finite on and below the diagonal: one value per task already learned")
    if np.isinf(a).any():
        raise ValueError("accuracy must not be infinite; mark tasks not measured with NaN")
    last = a[-1]
    best = np.nanmax(a[:-1, :-1], axis=0)
    result = {
        "average_accuracy": float(last.mean()),
        "forgetting": float(np.mean(best - last[:-1])),
        "backward_transfer": float(np.mean(last[:-1] - np.diag(a)[:-1])),
    }
    if untrained is not None:
        start = vector(untrained, "untrained", length=tasks)
        ahead = np.diag(a, k=1)
        if not np.isfinite(ahead).all():
            raise ValueError("accuracy must hold each task's value just before it is learned (a[t, t+1]), got NaN")
        result["forward_transfer"] = float(np.mean(ahead - start[1:]))
    return result
