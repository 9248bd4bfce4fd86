"""The sentence that a page opens with: better than untrained, by how much and how sure, or what is wrong."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nearfar.evaluation import GEOMETRY
from nearfar.evaluation.answer import answer_without_labels

FEW_STEPS = 50
"""Updates below which a run is called barely trained, unless it became better all the same."""

ALARM_RANK, ALARM_STD = 1.5, 0.02
"""As :class:`nearfar.training.Monitor` has them."""


@dataclass(frozen=True)
class Seen:
    """What is known of a run, without opening its weights.

    Attributes:
        name: of its folder, as it is typed.
        state: ``finished``, ``running`` or ``stopped``.
        measured: its ``evaluation.json``, or ``None``.
        rows: of its ``metrics.csv``.
        total: steps that it is to make, ``None`` where that is not known yet.
        epochs: passes over the data so far, ``None`` where that is not known.
        can_collapse: whether its method's representation is one that may.
    """

    name: str
    state: str
    measured: Mapping[str, Any] | None
    rows: Sequence[Mapping[str, float]] = ()
    total: int | None = None
    epochs: float | None = None
    can_collapse: bool = True

    @property
    def step(self) -> int:
        return int(max((row.get("step", 0) for row in self.rows), default=0))

    def first_and_last(self, name: str) -> tuple[float | None, float | None]:
        """A column's untrained value (of step 0, where there is one) and its last."""
        found = [(row.get("step", 0), row[name]) for row in self.rows if name in row]
        return (found[0][1] if found and found[0][0] == 0 else None), (found[-1][1] if found else None)


@dataclass(frozen=True)
class Answer:
    """A sentence and what follows from it.

    Attributes:
        kind: ``good``, ``bad``, ``poor`` (neither better nor broken) or ``open`` (it cannot be said yet).
        title: in a word or three.
        sentence: the answer.
        then: what else is to be known or done.
    """

    kind: str
    title: str
    sentence: str
    then: list[str] = field(default_factory=list)


def answer(seen: Seen) -> Answer:
    """One answer for any run: what is wrong comes first, then what is not known yet, then the difference measured."""
    broken = _broken(seen)
    if broken is not None:
        return broken
    if seen.state != "finished":
        return _unfinished(seen)
    if seen.measured is None:
        return Answer(
            "open",
            "Not measured yet",
            f"Trained for {seen.step:,} steps, and nobody knows yet whether it is better than untrained.",
            [f"Measure it: nearfar evaluate {seen.name}", *_watched(seen)],
        )
    return _measured(seen, seen.measured)


def _broken(seen: Seen) -> Answer | None:
    """Numbers that are none, and collapse."""
    trained, untrained = ((seen.measured or {}).get(who, {}) for who in ("trained", "untrained"))
    rank, std = trained.get("effective_rank"), trained.get("std")
    rank_before, std_before = untrained.get("effective_rank"), untrained.get("std")
    what = "dimensions"
    if std is None:
        (rank_before, rank), (std_before, std) = (
            seen.first_and_last(f"monitor/{name}") for name in ("centred_rank", "std")
        )
    values = [value for value in (rank, std) if value is not None]
    if any(not math.isfinite(value) for value in values):
        return Answer(
            "bad",
            "Broken",
            "The vectors hold numbers that are not finite; nothing that uses them can work.",
            ["Train again with a lower learning rate, or --precision 32."],
        )
    if not seen.can_collapse or not values:
        return None
    narrow = rank is not None and rank < min(ALARM_RANK, _half(rank_before, 2))
    tight = std is not None and std < min(ALARM_STD, _half(std_before, 4))
    if not (narrow or tight):
        return None
    span = "" if rank is None else f" span {rank:.1f} {what}{_untrained(rank_before, '.1f')}"
    spread = "" if std is None else f"{' and' * bool(span)} have a spread of {std:.3f}{_untrained(std_before, '.3f')}"
    return Answer(
        "bad",
        "Collapsed",
        f"The representation has collapsed: almost all examples get the same vector, so it cannot tell them apart. "
        f"The vectors{span}{spread}.",
        [
            "Lower the learning rate, or check the predictor, the stop-gradient and the normalisation of the heads; "
            "scores of a collapsed run mean nothing."
        ],
    )


def _half(before: float | None, by: float) -> float:
    return math.inf if before is None else before / by


def _untrained(value: float | None, form: str) -> str:
    return "" if value is None else f" (untrained {value:{form}})"


def _unfinished(seen: Seen) -> Answer:
    of = f" of {seen.total:,}" if seen.total else ""
    if seen.state == "running":
        then = ["This page shows what there was when it was written; write it again, or with --live."]
        return Answer("open", "Training", f"Still training: step {seen.step:,}{of}.", [*_watched(seen), *then])
    return Answer(
        "poor",
        "Not finished",
        f"Stopped before its end, at step {seen.step:,}{of}; it has no encoder to use yet.",
        [f"Continue it to the same end: nearfar resume {seen.name}", *_watched(seen)],
    )


def _watched(seen: Seen) -> list[str]:
    """What the monitor saw, in a sentence."""
    before, now = seen.first_and_last("monitor/knn")
    if now is not None:
        at_first = "" if before is None else f", {before:.1%} before training"
        return [f"On a sample of the training data, neighbours name the right label {now:.1%} of the time{at_first}."]
    before, now = seen.first_and_last("monitor/std")
    return (
        []
        if now is None
        else [f"No collapse so far: the spread of the vectors is {now:.2f}{_untrained(before, '.2f')}."]
    )


def _measured(seen: Seen, measured: Mapping[str, Any]) -> Answer:
    trained, untrained = measured.get("trained", {}), measured.get("untrained", {})
    better = measured.get("better", {})
    name = next((n for n in trained if _direction(better, n) != "neither" and n in untrained), None)
    if name is None:
        return Answer(
            "open",
            "Nothing to tell by",
            "Nothing was measured that says whether it is better than untrained: the data name no labels, pairs or "
            "answers.",
            ["The vectors have not collapsed." if seen.can_collapse and "std" in trained else "", *_watched(seen)],
        )
    lower = _direction(better, name) == "lower"
    gain = (untrained[name] - trained[name]) if lower else (trained[name] - untrained[name])
    ahead = (measured.get("ahead") or {}).get(name)
    unlabelled = answer_without_labels(trained, untrained)
    share = _is_share(name, trained, untrained, ahead)
    size = f"{abs(gain) * 100:.1f} points" if share else f"{abs(gain):.3g}"
    levels = f"{_say(trained[name], share)} instead of {_say(untrained[name], share)}"
    of = "" if ahead is None else f" on {ahead['examples']:,} examples"
    if ahead is not None:
        low, high = sorted((ahead["low"], ahead["high"]))
        known = f" (95% interval {_signed(low, share)} to {_signed(high, share)})"
        up, down = low > 0, high < 0
    else:
        known, up, down = "", gain > 0, gain < 0
    if unlabelled and ahead is None:
        up, down = ": yes." in unlabelled, ": no." in unlabelled
    then = [unlabelled] if unlabelled else []
    if ahead is None and not unlabelled:
        then.append("One run gives no interval for this measure; nearfar compare over several seeds does.")
    behind = [n for n, each in (measured.get("ahead") or {}).items() if n != name and each["high"] < 0]
    if up and behind:
        then.append(f"But worse than untrained in {', '.join(behind)}.")
    if up:
        sentence = f"Better than untrained by {size}{known}{of}: {name} is {levels}."
        return Answer("good", "Better than untrained", sentence, then)
    few = seen.step < FEW_STEPS or (seen.epochs is not None and seen.epochs < 1)
    if few and seen.step:
        passes = "" if seen.epochs is None else f", {_passes(seen.epochs)} the data"
        sentence = (
            f"Barely trained: {seen.step:,} {'step' if seen.step == 1 else 'steps'}{passes}, and not better than "
            f"untrained yet; {name} is {levels}{known}{of}."
        )
        return Answer("poor", "Barely trained", sentence, ["Train longer: --steps or --epochs.", *then])
    if down:
        sentence = f"Worse than untrained by {size}{known}{of}: {name} is {levels}."
        return Answer("bad", "Worse than untrained", sentence, then)
    return Answer(
        "poor",
        "No difference shown",
        f"Not shown to be better than untrained: {name} is {levels}, a difference of "
        f"{_signed(gain, share)}{known}{of}.",
        then,
    )


def _passes(epochs: float) -> str:
    return f"{epochs:.1f} passes over" if epochs >= 1 else f"{epochs:.0%} of a pass over"


def _direction(better: Mapping[str, str], name: str) -> str:
    return better.get(name, "neither" if name in GEOMETRY else "higher")


def _is_share(name: str, trained: Mapping[str, float], untrained: Mapping[str, float], ahead: Any) -> bool:
    """Whether a number is a share of examples: it has an interval over them and lies in [0, 1], or is called so."""
    inside = all(0 <= who[name] <= 1 for who in (trained, untrained))
    return inside and (ahead is not None or re.search(r"accuracy|recall|linear|knn|probe|retrieval", name) is not None)


def _say(value: float, share: bool) -> str:
    return f"{value:.1%}" if share else f"{value:.4g}"


def _signed(value: float, share: bool) -> str:
    return f"{value * 100:+.1f}" if share else f"{value:+.3g}"
