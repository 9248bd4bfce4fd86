"""Comparisons as experiments: runs that are kept, seeds that are paired, differences with intervals."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.common.durations import in_time
from nearfar.evaluation import mean_interval, paired_interval
from nearfar.runs.hub import plain
from nearfar.runs.settings import differences, in_words
from nearfar.system import Better, Entry, Scores
from nearfar.training import Run, RunError, Training
from nearfar.training.fit import fit
from nearfar.workflow.measuring import keep_measured
from nearfar.workflow.running import check_unchanged, config_of, keep_what_was_found, load_run, resume_run
from nearfar.workflow.systems import build_method, load_data, measure


@dataclass(frozen=True)
class Arm:
    """One of the systems that are compared.

    Attributes:
        label: what it is called in the table and in the folder of runs: a slug, and what is different about it.
        entry: its row.
        arguments: its constructor's arguments, other than the defaults.
        training: how it trains; the seed is the comparison's.
    """

    label: str
    entry: Entry
    arguments: Mapping[str, Any] = field(default_factory=dict)
    training: Training = field(default_factory=Training)


@dataclass(frozen=True)
class Comparison:
    """What a comparison found.

    Attributes:
        data: the name of the data.
        scores: by arm (and ``untrained``), by metric, one number a seed.
        better: the direction of each metric.
    """

    data: str
    scores: dict[str, dict[str, list[float]]]
    better: dict[str, Better]

    def means(self) -> dict[str, dict[str, tuple[float, float, float]]]:
        """Mean and 95% interval of every number."""
        return {arm: {name: mean_interval(v) for name, v in found.items()} for arm, found in self.scores.items()}

    def differences(self) -> dict[str, dict[str, tuple[float, float, float]]]:
        """How far each further arm is ahead of the first, over the seeds that they share: mean and 95% interval,
        positive where it is better, of every metric that has a direction."""
        first, *others = [arm for arm in self.scores if arm != "untrained"]
        base = self.scores[first]
        found: dict[str, dict[str, tuple[float, float, float]]] = {}
        for arm in others:
            for name, values in self.scores[arm].items():
                sign = {"higher": 1.0, "lower": -1.0}.get(self.better.get(name, "higher"))
                if sign is None or name not in base or not np.isfinite([*values, *base[name]]).all():
                    continue
                found.setdefault(arm, {})[name] = paired_interval(sign * np.array(values), sign * np.array(base[name]))
        return found


def compare(
    arms: Sequence[Arm],
    *,
    data: Any = None,
    seeds: int = 3,
    out: Path | str | None = None,
    data_options: Mapping[str, Any] | None = None,
    collection: Any = None,
    progress: bool = True,
    say: Callable[[str], None] | None = None,
) -> Comparison:
    """Train every arm on the same data with the same seeds and measure it. Systems that need no training are measured.

    Args:
        arms: of one field, with labels that differ. The first is what the others are compared with.
        data: as for ``train``; the first arm's embedded data when not given.
        seeds: how many, from 0.
        out: folder in which the runs are kept, ``<out>/<arm>/seed-<n>``: what is finished there is not done again, and
            what was interrupted goes on. Nothing is written without it.
        data_options: further arguments of the field's loader.
        collection: what ``data`` and its options give, where it was loaded already.
        say: told of every finished run, with an estimate of what is left.

    Raises:
        ValueError: arms of several fields, or labels that are equal. RunError: a kept run has other settings.
    """
    rooms = {arm.entry.field for arm in arms}
    if len(rooms) != 1:
        raise ValueError(f"compare takes methods of one field; these are of {', '.join(sorted(rooms))}")
    labels = [arm.label for arm in arms]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise ValueError(
            f"{twice} is named twice; give one of them another setting, as in {twice.partition(':')[0]}:name=value"
        )
    source = arms[0].entry.data if data is None else data
    options = dict(data_options or {})
    collection = load_data(arms[0].entry.field, source, **options) if collection is None else collection
    work = _Work(source, options, collection, progress)
    scores: dict[str, dict[str, list[float]]] = {}
    better: dict[str, Better] = {}
    done, started, trained = 0, time.perf_counter(), 0
    for seed in range(seeds):
        for arm in arms:
            folder = None if out is None else Path(out) / arm.label / f"seed-{seed}"
            found, beside, new = _one(work, arm, seed, folder)
            if arm is arms[0] and beside is not None:
                _collect(scores, "untrained", beside)
            _collect(scores, arm.label, found)
            better |= found.better
            done, trained = done + 1, trained + new
            if say is not None:
                each = (time.perf_counter() - started) / max(trained, 1)
                left = seeds * len(arms) - done
                later = f", about {in_time(each * left)} left" if left and trained else ""
                say(f"{arm.label}, seed {seed}: {'done' if new else 'kept'}, {done} of {seeds * len(arms)}{later}")
    return Comparison(collection.name, scores, better)


@dataclass(frozen=True)
class _Work:
    """What all arms share."""

    source: Any
    options: dict[str, Any]
    collection: Any
    progress: bool


def _one(work: _Work, arm: Arm, seed: int, folder: Path | None) -> tuple[Scores, Scores | None, bool]:
    """The scores of an arm with a seed and of its untrained self, and whether anything had to be done."""
    if not arm.entry.trains:
        procedure = build_method(arm.entry, arm.arguments, work.collection, seed)
        return measure(arm.entry, procedure, work.collection, seed=seed), None, True
    training = replace(arm.training, seed=seed)
    untrained = build_method(arm.entry, arm.arguments, work.collection, seed)
    run, new = None, True
    if folder is None:
        method = fit(untrained, work.collection, training, progress=work.progress)
    else:
        run, method, new = _kept(work, arm, training, untrained, folder)
        stored = run.read_json("evaluation.json")
        if stored is not None and stored["data"] == work.collection.name:
            directed = {d: [n for n, b in stored["better"].items() if b == d] for d in ("lower", "neither")}
            return Scores(stored["trained"], **directed), Scores(stored["untrained"], **directed), new
    found = measure(arm.entry, method, work.collection)
    before = build_method(arm.entry, arm.arguments, work.collection, seed).eval()
    beside = measure(arm.entry, before, work.collection)
    if run is not None:
        keep_measured(run, work.collection, found, beside)
    return found, beside, new


def _kept(work: _Work, arm: Arm, training: Training, method: Any, folder: Path) -> tuple[Run, Any, bool]:
    """The arm's run in ``folder``: finished before, finished now, or begun and finished now."""
    config = config_of(arm.entry.slug, method, work.source, work.options, training)
    if not (folder / "config.yaml").is_file():
        run = Run.create(folder, config)
        keep_what_was_found(run, work.collection, arm.entry, config["data"])
        try:
            return run, fit(method, work.collection, training, run=run, progress=work.progress), True
        finally:
            run.unlock()
    run = Run.open(folder)
    changed = differences(run.config, {**config, "training": plain(config["training"])})
    if changed:
        raise RunError(f"{folder} was trained with other settings: {in_words(changed)}. Choose another --out")
    check_unchanged(run, work.collection, False)
    if run.complete:
        return run, load_run(folder)[1], False
    return run, resume_run(folder, progress=work.progress)[0], True


def _collect(table: dict[str, dict[str, list[float]]], row: str, scores: Mapping[str, float]) -> None:
    for name, value in scores.items():
        table.setdefault(row, {}).setdefault(name, []).append(float(value))
