"""What a trained system says of a person's own series: the steps to come, the steps that are strange."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from nearfar.series.anomalies import step_anomalies
from nearfar.series.data import SeriesSet, Windows
from nearfar.series.forecasting import causal_steps, fit_ridges, followed_by
from nearfar.system import CannotError

__all__ = ["anomalies", "forecast"]

# Steps that a forecast is fitted on, the latest ones.
MOST_STEPS = 20_000

Columns = dict[str, list[Any]]


def forecast(system: Any, data: Any, horizon: int | None = None) -> Columns:
    """The ``horizon`` steps after each series: columns ``id``, ``step`` (and ``time`` where steps are even), channels.

    A forecaster answers itself. Of another method the representation of steps does, by ridge regression fitted on the
    series' own past: the last fifth chooses its strength, and it is fitted again on all.

    Raises:
        ValueError: no horizon, or one that the series are too short for.
        CannotError: the method does not represent steps.
    """
    if "predicts" in system.verbs and hasattr(system, "horizon"):
        return _by_forecaster(system, _as_series(data), horizon)
    if not hasattr(system, "encode_steps"):
        raise CannotError(f"{type(system).__name__} represents no steps, which a forecast starts from")
    if horizon is None or horizon < 1:
        raise ValueError(f"give --horizon, the steps to tell, of at least 1; got {horizon}")
    series = _as_series(data)
    xs, ys, last = [], [], []
    centre, spread = _standard(series)
    with system.frozen():
        for row, values in enumerate(series.series):
            if len(values) < 2 * horizon + 4:
                raise ValueError(
                    f"series {series.ids[row]} has {len(values)} steps; to tell {horizon} at least {2 * horizon + 4} "
                    "are needed"
                )
            values = values[-MOST_STEPS:]
            steps = causal_steps(system.encode_steps, torch.from_numpy(values), getattr(system, "context", 200))
            xs.append(steps[:-horizon])
            ys.append(followed_by(np.nan_to_num((values - centre) / spread).astype(np.float32), horizon))
            last.append(steps[-1])
    held = [max(len(x) // 5, 1) for x in xs]
    parts = [
        np.concatenate([each[part] for each, part in zip(side, cut, strict=True)])
        for cut in ([slice(0, -h) for h in held], [slice(-h, None) for h in held])
        for side in (xs, ys)
    ]
    told = fit_ridges(parts[0], parts[1], parts[2], parts[3], refit=True).predict(np.stack(last))
    return _columns(series, told.reshape(len(last), horizon, -1) * spread + centre)


def _by_forecaster(system: Any, series: SeriesSet, horizon: int | None) -> Columns:
    horizon = horizon or system.horizon
    if not 1 <= horizon <= system.horizon:
        raise ValueError(f"this run tells up to {system.horizon} steps, got {horizon}; train it with --ahead {horizon}")
    told = []
    for row, values in enumerate(series.series):
        if len(values) < system.window or np.isnan(values[-system.window :]).any():
            raise ValueError(f"series {series.ids[row]} must end with {system.window} steps without gaps")
        last = Windows(
            np.concatenate([values[-system.window :], np.zeros((system.horizon, values.shape[1]), np.float32)]),
            past=system.window,
            ahead=system.horizon,
            shares=(1.0, 1.0, 1.0),
            clock=_clock_at_the_end(system, series, row),
        )
        with system.frozen():
            told.append(system.predict(last.batch(np.array([0])))[0, :horizon].numpy())
    return _columns(series, np.stack(told))


def _clock_at_the_end(system: Any, series: SeriesSet, row: int) -> np.ndarray | None:
    from nearfar.series.data.columns import calendar

    clock = calendar(series.times[row]) if series.times is not None else None
    wanted = getattr(system, "clock", 0)
    if wanted and clock is None:
        raise ValueError("this run was trained with dates, and the series has none; give a column date")
    if not wanted or clock is None:
        return None
    return np.concatenate([clock[-system.window :], np.zeros((system.horizon, clock.shape[1]), np.float32)])


def anomalies(system: Any, data: Any) -> Columns:
    """Columns ``id``, ``step`` (and ``time``) and ``score``, a row per step; see :func:`step_anomalies`.

    Raises:
        CannotError: the method does not represent steps.
    """
    if not hasattr(system, "encode_steps"):
        raise CannotError(f"{type(system).__name__} represents no steps, which anomalies are found by")
    series = _as_series(data)
    columns: Columns = {"id": [], "step": [], **({"time": []} if series.times is not None else {}), "score": []}
    with system.frozen():
        for row, values in enumerate(series.series):
            score = step_anomalies(system.encode_steps, torch.from_numpy(values), getattr(system, "context", 200))
            columns["id"] += [str(series.ids[row])] * len(values)
            columns["step"] += [*range(len(values))]
            columns["score"] += score.tolist()
            if series.times is not None:
                columns["time"] += [str(when) for when in series.times[row]]
    return columns


def _as_series(data: Any) -> SeriesSet:
    if isinstance(data, Windows):
        return SeriesSet([data.values], channels=data.channels, name=data.name)
    if not isinstance(data, SeriesSet):
        raise TypeError(f"expected series, got {type(data).__name__}")
    return data


def _standard(series: SeriesSet) -> tuple[np.ndarray, np.ndarray]:
    facts = series.facts
    return np.array(facts["centre"]), np.array(facts["spread"])


def _columns(series: SeriesSet, told: np.ndarray) -> Columns:
    """Rows of all series, of told (N, H, C)."""
    horizon = told.shape[1]
    columns: Columns = {"id": [], "step": []}
    times = [_after(when, horizon) for when in series.times] if series.times is not None else None
    if times is not None and all(when is not None for when in times):
        columns["time"] = [str(when) for each in times if each is not None for when in each]
    for row, values in enumerate(series.series):
        columns["id"] += [str(series.ids[row])] * horizon
        columns["step"] += [*range(len(values), len(values) + horizon)]
    for channel, name in enumerate(series.channels):
        columns[name] = told[:, :, channel].reshape(-1).tolist()
    return columns


def _after(times: np.ndarray, horizon: int) -> np.ndarray | None:
    """The times that go on evenly after the last, where they come evenly."""
    if len(times) < 2:
        return None
    gaps = np.diff(times)
    return times[-1] + gaps[-1] * np.arange(1, horizon + 1) if (gaps == gaps[-1]).all() else None
