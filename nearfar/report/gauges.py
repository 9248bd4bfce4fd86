"""Gauges: a number on a scale whose zones say whether it is healthy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from nearfar.report.answer import ALARM_RANK, ALARM_STD, Seen

WORDS = {"bad": "collapsed", "poor": "narrow", "good": "healthy"}
OF_VIEWS = {"bad": "as strangers", "poor": "loose", "good": "healthy"}


@dataclass(frozen=True)
class Gauge:
    """A number with its scale.

    Attributes:
        title: what it is, its only name on the page.
        value, before: of the run and of its untrained self.
        text, before_text: the same as written.
        place, before_place: where on the scale, in percent.
        zones: (kind, percent of the scale's width), from the bad end.
        kind: the zone of the value.
        word: the zone in a word.
        about: what the number says, and what is healthy.
    """

    title: str
    value: float
    before: float | None
    text: str
    before_text: str
    place: float
    before_place: float | None
    zones: tuple[tuple[str, float], ...]
    kind: str
    word: str
    about: str


def gauges(seen: Seen, width: int | None = None) -> list[Gauge]:
    """The gauges that a run has numbers for; none where the representation is not one that can collapse.

    Args:
        seen: the run.
        width: of its vectors, where known.
    """
    trained, untrained = ((seen.measured or {}).get(who, {}) for who in ("trained", "untrained"))
    found = []
    if "std" in trained:
        found.append(_spread("Spread of the vectors (std)", trained["std"], untrained.get("std")))
    else:
        before, now = seen.first_and_last("monitor/std")
        if now is not None:
            found.append(_spread("Spread of the watched vectors (monitor/std)", now, before))
    if "effective_rank" in trained:
        title, about = "Dimensions in use (effective_rank)", "As RankMe, of the vectors as they are. "
        found.append(_rank(title, about, trained["effective_rank"], untrained.get("effective_rank"), width))
    before, now = seen.first_and_last("monitor/centred_rank")
    if now is not None:
        title, about = (
            "Dimensions in use, centred (monitor/centred_rank)",
            "Of watched training examples less their mean. ",
        )
        found.append(_rank(title, about, now, before, width))
    if "uniformity" in trained:
        found.append(_uniformity(trained["uniformity"], untrained.get("uniformity")))
    found.append(_alignment(trained, untrained))
    if "lidar" in trained:
        title, about = "Dimensions that tell examples apart (lidar)", "LiDAR, over several views of each picture. "
        found.append(_rank(title, about, trained["lidar"], untrained.get("lidar"), width))
    return [gauge for gauge in found if gauge is not None] if seen.can_collapse else []


def _spread(title: str, value: float, before: float | None) -> Gauge | None:
    edges = (min(ALARM_STD, before / 4 if before else ALARM_STD), min(0.1, before / 2 if before else 0.1))
    about = (
        "0: all examples share one vector. 1: they spread evenly in all directions. Healthy from "
        f"{edges[1]:.2g}; below {edges[0]:.2g} they have collapsed."
    )
    return _gauge(title, value, before, edges, lambda x: math.sqrt(min(max(x, 0.0), 1.0)), about, "{:.3f}")


def _rank(title: str, about: str, value: float, before: float | None, width: int | None) -> Gauge | None:
    top = max(filter(None, (value, before, float(width) if width else None, 4.0)))
    start = before if before else top
    edges = (min(ALARM_RANK, start / 2), max(min(start / 4, 8.0), ALARM_RANK))
    edges = (edges[0], max(edges))
    about += f"Healthy from {edges[1]:.2g}{f' of {width}' if width else ''}; it may fall somewhat while training."
    return _gauge(title, value, before, edges, lambda x: math.log(max(x, 1.0)) / math.log(top * 1.02), about, "{:.1f}")


def _uniformity(value: float, before: float | None) -> Gauge | None:
    edges = (max(-0.0016, before / 8 if before else -0.0016), max(-0.04, before / 4 if before else -0.04))
    about = f"0: all examples share one vector. -4: as evenly spread as can be. Healthy below {edges[1]:.2g}."
    return _gauge(
        "Evenness (uniformity)", value, before, edges, lambda x: math.sqrt(min(max(-x, 0) / 4, 1)), about, "{:.2f}"
    )


ALIGNED = (0.9, 0.6)
"""Shares of the distance of strangers below which views of one thing are no strangers, and near each other."""


def _alignment(trained: Mapping[str, float], untrained: Mapping[str, float]) -> Gauge | None:
    """Beside ``separation``: alone it is best where all vectors are one."""
    shares = [_share(scores) for scores in (trained, untrained)]
    if shares[0] is None:
        return None
    about = (
        "Mean squared distance of two views of one example, of that of different examples (separation). Healthy below "
        f"{ALIGNED[1]:.0%} of it; from {ALIGNED[0]:.0%} a view says little of what it shows."
    )
    title = "Views of one example (alignment)"
    found = _gauge(title, shares[0], shares[1], ALIGNED, lambda share: 1 - share, about, "{:.2f}", OF_VIEWS)
    if found is None:
        return None
    before = f"{untrained['alignment']:.2f} of {untrained['separation']:.2f}" if shares[1] is not None else ""
    return replace(
        found,
        value=trained["alignment"],
        before=untrained.get("alignment"),
        text=f"{trained['alignment']:.2f} of {trained['separation']:.2f}",
        before_text=before,
    )


def _share(scores: Mapping[str, float]) -> float | None:
    """Alignment as a share of separation; none where vectors are so near to each other that it means nothing."""
    near, apart = scores.get("alignment"), scores.get("separation")
    return None if near is None or apart is None or not apart > 2 * ALARM_STD**2 else near / apart


def _gauge(
    title: str,
    value: Any,
    before: Any,
    edges: tuple[float, float],
    place: Any,
    about: str,
    form: str,
    words: Mapping[str, str] = WORDS,
) -> Gauge | None:
    if not isinstance(value, int | float) or not math.isfinite(value):
        return None
    before = before if isinstance(before, int | float) and math.isfinite(before) else None
    at, first, second = (100 * min(max(place(x), 0.0), 1.0) for x in (value, *edges))
    kind = "bad" if at < first else "poor" if at < second else "good"
    return Gauge(
        title,
        value,
        before,
        form.format(value),
        "" if before is None else form.format(before),
        at,
        None if before is None else 100 * min(max(place(before), 0.0), 1.0),
        (("bad", max(first, 2.0)), ("poor", max(second - first, 2.0)), ("good", 100 - max(second, 4.0))),
        kind,
        words[kind],
        about,
    )
