"""Defaults that finish: on this machine, with this data, in a budget of time. Decided before the start, and said."""

from __future__ import annotations

import math
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import lightning as L
import numpy as np
import torch

from nearfar.common.durations import in_time
from nearfar.runs.configure import parameters
from nearfar.sources.interaction import Interaction
from nearfar.system import Entry
from nearfar.training import Training
from nearfar.training.budget import LEAST_STEPS
from nearfar.training.fit import fit
from nearfar.workflow.comparing import Arm
from nearfar.workflow.systems import build_method

BUDGET = 600.0
"""Seconds of training on a processor when no budget is given."""

TIMED, MOST_TIMED = 3, 30
"""Steps that are timed, after one that warms up: at least, unless they are long; and at most."""

WATCHED, PATIENCE = 2.0, 4.0
"""Seconds for which short steps are timed, and after which no further long one is: people wait for the answer."""

SHARE = 0.85
"""Of the budget for steps; the rest is for watching and saving."""

MOST_EPOCHS = 200


@dataclass(frozen=True)
class Decided:
    """How long to train, and what was measured to decide it.

    Attributes:
        training: with its number of steps.
        seconds: what a step takes.
        limit: the budget that the length was made for; ``None`` where it was given, or is the paper's.
    """

    training: Training
    seconds: float
    limit: float | None


def has_accelerator() -> bool:
    return torch.cuda.is_available()


def decide(
    entry: Entry,
    collection: Any,
    arguments: Mapping[str, Any],
    training: Training,
    *,
    budget: float | None,
    say: Callable[[str], None],
    spent: Callable[[], float] = lambda: 0.0,
) -> Decided:
    """Time a few steps, take as many as fit into ``budget`` seconds, and say what will happen and why.

    Settings that say how long to train already are kept. The steps that are timed are thrown away: the run begins with
    its initial weights.

    Args:
        entry: what trains.
        collection: what it learns from.
        arguments, training: as for :func:`nearfar.workflow.train`.
        budget: seconds for the whole training; ``None`` for the paper's length on an accelerator, and :data:`BUDGET`
            on a processor.
        say: told one line at a time.
        spent: seconds of the budget that are over already.
    """
    size = None if isinstance(collection, Interaction) else collection.epoch_size
    count = "" if size is None else f"{len(collection):,} examples of "
    say(f"{entry.name} learns from {count}{collection.name} on {device_in_words()}")
    say(f"  {in_words(arguments, entry)}, batch {training.batch_size}; timing a few steps")
    limit = budget if budget is not None else (None if has_accelerator() else BUDGET)
    seconds, memory = time_steps(entry, collection, arguments, training, limit)
    given = training.steps is not None or training.epochs is not None
    if limit is not None and not given:
        training = replace(training, steps=steps_for(limit - spent(), seconds, training, size, entry))
    total = training.total_steps(size or 1)
    epochs = "" if size is None else f" ({total * min(training.examples, size) / size:.0f} passes over the data)"
    say(f"  {total:,} steps{epochs} in about {in_time(total * seconds / SHARE)}, {memory / 2**30:.1f} GB of memory")
    if limit is not None and not given:
        fits = spent() + total * seconds <= limit
        least = f"more than {in_time(limit)}, because fewer steps than {LEAST_STEPS} teach nothing"
        said = f"this fits into {in_time(limit)}" if fits else least
        say(f"  {said}; --budget changes it, --steps and other settings overrule it")
    paper = paper_cost(entry, collection, size)
    if paper:
        say(f"  {paper}")
    return Decided(training, seconds, None if given else limit)


def decide_together(
    arms: Sequence[Arm], collection: Any, *, seeds: int, budget: float | None, say: Callable[[str], None]
) -> list[Arm]:
    """The arms of a comparison with one number of steps for all: as many as the slowest of them makes in ``budget``.

    Args:
        arms: those whose length was not given.
        collection: what they learn from.
        seeds: how many runs each makes, for what is said.
        budget: seconds for each run; ``None`` for the papers' lengths on an accelerator, and :data:`BUDGET` on a
            processor.
        say: told one line at a time.
    """
    limit = budget if budget is not None else (None if has_accelerator() else BUDGET)
    trained = [arm for arm in arms if arm.entry.trains]
    if limit is None or not trained:
        return [*arms]
    size = None if isinstance(collection, Interaction) else len(collection)
    count = "" if size is None else f"{size:,} examples of "
    say(f"{len(trained)} systems learn from {count}{collection.name} on {device_in_words()}")
    say("  timing a few steps of each")
    each = {arm.label: time_steps(arm.entry, collection, arm.arguments, arm.training, limit)[0] for arm in trained}
    steps = min(steps_for(limit, each[arm.label], arm.training, size, arm.entry) for arm in trained)
    runs = seeds * len(trained)
    takes = in_time(steps * seeds * sum(each.values()) / SHARE)
    say(f"  {steps:,} steps each, so that no run takes longer than {in_time(limit)}; {runs} runs take about {takes}")
    say("  --budget changes it, --steps and other settings overrule it")
    return [replace(a, training=replace(a.training, steps=steps)) if a.entry.trains else a for a in arms]


def steps_for(limit: float, seconds: float, training: Training, size: int | None, entry: Entry) -> int:
    """How many steps fit into ``limit`` seconds; never more than so many passes over the data as stop being useful."""
    fitting = max(int(limit * SHARE / max(seconds, 1e-6)), LEAST_STEPS)
    if size is None:
        return fitting
    passes = math.ceil(MOST_EPOCHS * size / min(training.examples, size))
    return min(fitting, max(passes, int(entry.laptop.get("steps", 0))))


def time_steps(
    entry: Entry, collection: Any, arguments: Mapping[str, Any], training: Training, limit: float | None
) -> tuple[float, float]:
    """Seconds of a step, the median of a few, and bytes of memory of the process by then.

    Of a budget of ``limit`` seconds short steps are timed for a hundredth at most.
    """
    watch = _Stopwatch(WATCHED if limit is None else min(WATCHED, limit / 100))
    short = replace(training, steps=MOST_TIMED + 1, epochs=None, monitor_every=-1, compile=False, workers=0)
    fit(build_method(entry, arguments, collection, training.seed), collection, short, progress=False, callbacks=[watch])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return statistics.median(watch.seconds[1:]), peak * (1 if sys.platform == "darwin" else 1024)


class _Stopwatch(L.Callback):
    def __init__(self, watched: float) -> None:
        self.watched = watched
        self.seconds: list[float] = []
        self._begun = self._last = time.perf_counter()

    def on_train_start(self, *_: Any) -> None:
        self._begun = self._last = time.perf_counter()

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        now = time.perf_counter()
        self.seconds.append(now - self._last)
        self._last, over, timed = now, now - self._begun, len(self.seconds) - 1
        trainer.should_stop = (timed >= TIMED and over > self.watched) or (timed >= 1 and over > PATIENCE)


def paper_cost(entry: Entry, collection: Any, size: int | None) -> str:
    """What ``--preset paper`` would take here, from one pass of its encoder over two examples.

    Without a time where that cannot be told, as for an encoder that has to be fetched first.
    """
    length = entry.paper_training
    if size is None or not length or "embeds" not in entry.verbs:
        return ""
    batch = int(length.get("batch_size", 256))
    steps = length.get("steps") or math.ceil(length.get("epochs", 100) * max(size // batch, 1))
    try:
        with without_the_hub():
            method = build_method(entry, {}, collection, 0).eval()
        examples = collection.batch(np.arange(min(2, size)))
        with torch.no_grad():
            method.encode(examples)
            started = time.perf_counter()
            method.encode(examples)
            once = time.perf_counter() - started
    except Exception:  # an encoder that is not here, or data that the paper's sizes do not fit
        return f"--preset paper would take {steps:,} steps of {batch}"
    # Two views, and a backward pass that costs twice the forward one.
    seconds = once / min(2, size) * min(batch, size) * 2 * 3 * steps
    encoder = method.config.get("encoder")
    with_it = f" with {encoder}" if isinstance(encoder, str) else ""
    return f"--preset paper would take {steps:,} steps of {batch}{with_it}: about {in_time(seconds)} here"


@contextmanager
def without_the_hub() -> Iterator[None]:
    """Within this block a model is found on this machine or not at all: nothing is fetched, and nobody waits for it."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def device_in_words() -> str:
    if has_accelerator():
        return torch.cuda.get_device_name()
    threads = torch.get_num_threads()
    return f"the processor ({threads} thread{'s' * (threads > 1)})"


def in_words(arguments: Mapping[str, Any], entry: Entry) -> str:
    """The encoder, or what stands for it."""
    default = parameters(entry.load()).get("encoder")
    encoder = arguments.get("encoder", default.default if default is not None else None)
    return f"encoder {encoder}" if isinstance(encoder, str) else "its own network"


def seconds_of(text: str) -> float:
    """``90``, ``90s``, ``10m``, ``2h`` or ``1d`` as seconds.

    Raises:
        ValueError: anything else, or nothing above 0.
    """
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    number, unit = (text[:-1], text[-1]) if text and text[-1] in units else (text, "s")
    try:
        found = float(number) * units[unit]
    except ValueError:
        found = -1.0
    if not 0 < found < math.inf:
        raise ValueError(f"a budget is a time such as 90s, 10m or 2h, got {text!r}")
    return found
