"""A run folder in, one HTML page out: a file that asks nothing of the network and carries its charts' library.

Everything that came from a user (names, texts, settings) is escaped by Jinja2, and the page's policy lets the browser
run no script but the page's own two, which it tells by their digests, and load nothing.
"""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nearfar import catalogue, workflow
from nearfar.catalogue import find
from nearfar.report import charts, embedding, facts
from nearfar.report.answer import ALARM_RANK, ALARM_STD, Seen, answer
from nearfar.report.beside import check_fields, other_data
from nearfar.report.embedding import Mapped, mapped
from nearfar.report.filling import filled
from nearfar.report.gauges import gauges
from nearfar.report.scores import further_tables, score_table, titled
from nearfar.runs.listing import in_use
from nearfar.runs.metrics import read_metrics
from nearfar.runs.run import Run, RunError
from nearfar.sources.data import Data
from nearfar.system import Entry

LARGEST = 8 << 20
"""Bytes of a page, whatever the data: everything in it is a sample of fixed size."""

MOST_CURVES = 16
SIDE = 1400
"""Pixels of a picture's longer side."""
ENLARGED = 560
"""Pixels that small pictures are enlarged to, so that drawings of 16 pixels can be seen."""

CURVES = {
    "monitor/knn": ("Right label among neighbours (monitor/knn)", True),
    "monitor/centred_rank": ("Dimensions in use, centred (monitor/centred_rank)", False),
    "monitor/std": ("Spread of the watched vectors (monitor/std)", False),
}
"""Titles of what the monitor watches, and whether the number is a share."""


def write_report(path: Path | str, against: Sequence[Path | str] = (), *, refresh: float | None = None) -> Path:
    """Write ``report.html`` of a run: whether it is better than untrained, its health, how training went, what it cost.

    ``against`` names other runs, whose curves and scores are shown beside this one's. Parts whose material is missing
    are left out: a run that still trains has curves and no pictures, and without ``nearfar evaluate`` there is no table
    of scores. With ``refresh`` the page reads itself again after so many seconds. It is never larger than
    :data:`LARGEST` bytes.

    Raises:
        RunError: no run, or one of another field beside it.
    """
    run = Run.open(path)
    return run.write_text("report.html", render(run, [Run.open(other) for other in against], refresh=refresh))


def render(run: Run, others: Sequence[Run] = (), *, refresh: float | None = None) -> str:
    """The page as text; see :func:`write_report`."""
    check_fields(run, others)
    config, system = run.config, find(run.config["method"])
    seen = _seen(run, system)
    measured = seen.measured
    beside = titled([(_name(other), other.read_json("evaluation.json") or {}) for other in others])
    judged = {name: found for name, found in beside.items() if found}
    named = dict(zip(beside, others, strict=True))
    notes = {name: note for name, other in named.items() if (note := other_data(run, other))}
    found, pictures = _looked_at(system, run)
    drawn = _curves(seen, {"this run": run, **named})
    return filled(
        "page.html",
        {
            "title": f"{system.name} on {_data_name(measured, config)}",
            "system": system,
            "refresh": None if refresh is None else max(round(refresh), 1),
            "answer": answer(seen),
            "gauges": gauges(seen, None if found is None else found.vectors.shape[1]),
            "scores": score_table(measured, judged, apart=[*notes]) if measured else None,
            "further": further_tables(measured, judged) if measured else [],
            "notes": notes,
            "runs": [{"name": name, "colour": _colour(i)} for i, name in enumerate(["this run", *named])],
            "pictures": pictures,
            "around": None if found is None else _around_the_map(found),
            "cost": facts.cost(run),
            "command": facts.repeat_command(run),
            "settings": facts.settings(config),
        },
        drawn,
        found,
    )


def _seen(run: Run, system: Entry) -> Seen:
    rows = [_renamed(row) for row in read_metrics(run.path / "metrics.csv")]
    training, size = run.config.get("training", {}), facts.examples(run)
    seen = Seen(
        name=str(run.path),
        state="finished" if run.complete else "running" if in_use(run.path) else "stopped",
        measured=run.read_json("evaluation.json"),
        rows=rows,
        can_collapse=system.trains and "embeds" in system.verbs and getattr(system.load(), "can_collapse", True),
    )
    batch = training.get("batch_size")
    epochs = seen.step * batch * training.get("accumulate", 1) / size if isinstance(batch, int) and size else None
    return Seen(**{**vars(seen), "total": training.get("steps"), "epochs": epochs})


def _renamed(row: dict[str, float]) -> dict[str, float]:
    """A row of the metrics with today's names; version 0.1.0 called the rank of centred vectors ``effective_rank``."""
    return {"monitor/centred_rank" if k == "monitor/effective_rank" else k: v for k, v in row.items()}


def _name(run: Run) -> str:
    return f"{run.config['method']} ({run.path.resolve().name})"[:80]


def _data_name(measured: Mapping[str, Any] | None, config: Mapping[str, Any]) -> str:
    return measured["data"] if measured else str(config.get("data", {}).get("source") or "embedded data")


def _colour(place: int) -> str:
    return charts.COLOURS[place % len(charts.COLOURS)]


def _curves(seen: Seen, runs: Mapping[str, Run]) -> dict[str, dict[str, Any]]:
    """Charts by the place where they are drawn: what is watched first, then the loss and its terms, then the rest."""
    tables = {name: [_renamed(row) for row in read_metrics(run.path / "metrics.csv")] for name, run in runs.items()}
    measures = dict.fromkeys(key for row in tables["this run"] for key in row if key != "step")
    order = sorted(measures, key=lambda m: (m not in CURVES and not m.startswith("monitor/"), m != "train/loss"))
    order = [m for m in CURVES if m in order] + [m for m in order if m not in CURVES]
    drawn: dict[str, dict[str, Any]] = {}
    for measure in order:
        lines = [
            charts.Line(name, *found, colour=place)
            for place, (name, rows) in enumerate(tables.items())
            if len((found := _column(rows, measure))[0])
        ]
        if not lines or all(len(line.steps) < 2 for line in lines) or len(drawn) == MOST_CURVES:
            continue
        title, share = CURVES.get(measure, (measure.removeprefix("train/"), False))
        before = seen.first_and_last(measure)[0]
        healthy = {
            "monitor/std": min(ALARM_STD, (before or 1) / 4),
            "monitor/centred_rank": min(ALARM_RANK, (before or 3) / 2),
        }.get(measure)
        item = charts.curve(title.split(" (")[0], lines, share=share, healthy=healthy if seen.can_collapse else None)
        drawn[f"curve-{len(drawn)}"] = {"title": title, "item": item}
    return drawn


def _column(rows: Sequence[Mapping[str, float]], name: str) -> tuple[np.ndarray, np.ndarray]:
    found = np.array([(row["step"], row[name]) for row in rows if "step" in row and np.isfinite(row.get(name, np.nan))])
    return (found[:, 0], found[:, 1]) if len(found) else (np.empty(0), np.empty(0))


def _looked_at(system: Entry, run: Run) -> tuple[Mapped | None, list[dict[str, Any]]]:
    """The map of a finished run's data, and what its field shows: captions and pictures."""
    show = catalogue.field(system.field).show
    embeds = "embeds" in system.verbs
    if not run.complete or not (embeds or show):
        return None, []
    _, method, _ = workflow.load_run(run.path)
    try:
        data = workflow.run_data(system, run.config.get("data", {}))
    except (FileNotFoundError, RunError) as error:
        warnings.warn(f"the page has no map and no pictures: {error}", stacklevel=3)
        return None, []
    found = mapped(method, data) if embeds and isinstance(data, Data) else None
    shown = [] if show is None else show(method, data)
    return found, [{"caption": caption, **as_picture(pixels)} for caption, pixels in shown]


def _around_the_map(found: Mapped) -> dict[str, Any]:
    """What the template says of the map."""
    return {
        "by": found.by,
        "count": len(found.ids),
        "total": found.total,
        "groups": embedding.groups(found),
        "pictures": found.cards.pictures is not None,
        "collapsed": found.collapsed,
        "names": [found.cards.texts[i] or found.ids[i] for i in range(len(found.ids))],
        "labels": found.labels,
        **embedding.standing_out(found),
    }


def as_picture(pixels: np.ndarray) -> dict[str, Any]:
    """Pixels (H, W, 3) uint8 as an address that holds them (PNG where that is small, JPEG otherwise), with sizes."""
    image = Image.fromarray(pixels)
    if max(image.size) > SIDE:
        image.thumbnail((SIDE, SIDE))
    memory, kind = io.BytesIO(), "png"
    image.save(memory, "PNG")
    if memory.tell() > 300_000:
        memory, kind = io.BytesIO(), "jpeg"
        image.save(memory, "JPEG", quality=85)
    content = base64.b64encode(memory.getvalue()).decode()
    shown = image.width * max(ENLARGED // max(image.size), 1)  # whole pixels stay whole
    return {
        "source": f"data:image/{kind};base64,{content}",
        "width": image.width,
        "height": image.height,
        "shown": shown,
    }
