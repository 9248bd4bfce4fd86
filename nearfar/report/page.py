"""A run folder in, one self-contained HTML page out: no network, no scripts."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nearfar import catalogue, workflow
from nearfar.catalogue import find
from nearfar.evaluation import GEOMETRY
from nearfar.evaluation.answer import answer_without_labels
from nearfar.report.curves import curve
from nearfar.runs.metrics import read_metrics
from nearfar.runs.run import Run
from nearfar.system import Entry

# ruff: noqa: E501
STYLE = """
:root{color-scheme:light dark;--ink:#1d2433;--soft:#667085;--line:#d9dee8;--card:#fff;--page:#f5f6f9;--accent:#2f5fd0;--other:#c2571a}
@media(prefers-color-scheme:dark){:root{--ink:#e8ebf2;--soft:#98a2b3;--line:#343b4a;--card:#1b202b;--page:#12151c;--accent:#7ea2ff;--other:#f0a36b}}
*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1040px;margin:0 auto;padding:32px 20px 64px}h1{font-size:26px;margin:0}h2{font-size:17px;margin:36px 0 10px}
p{margin:6px 0}.soft{color:var(--soft)}.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:16px;overflow-x:auto}
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:14px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}th,td{padding:5px 12px 5px 0;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}th{color:var(--soft);font-weight:500}td.best{font-weight:650;color:var(--accent)}
img{max-width:100%;image-rendering:pixelated;border-radius:6px}figure{margin:0}figcaption{color:var(--soft);font-size:13px;margin-top:6px}
svg text{fill:var(--soft);font-size:11px}dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 18px;margin:0}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
"""


def write_report(path: Path | str, against: Sequence[Path | str] = ()) -> Path:
    """Write ``report.html`` of a run: what was measured, how training went, pictures, every setting.

    ``against`` names other evaluated runs, shown in the same table. Parts whose material is missing are left
    out: without ``nearfar evaluate`` there is no table of scores.
    """
    run = Run.open(path)
    config = run.config
    system = find(config["method"])
    sections = [
        _scores(run, [Run.open(other) for other in against]),
        _further(run, [Run.open(other) for other in against]),
        _curves(run),
        _pictures(system, run),
        _settings(config),
    ]
    title = f"{system.name} on {_data_name(run, config)}"
    page = (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{html.escape(title)}</title><style>{STYLE}</style><main><h1>{html.escape(title)}</h1>"
        f"<p>{html.escape(system.summary)}</p><p class=soft>{html.escape(system.paper)}</p>{''.join(sections)}</main>"
    )
    return run.write_text("report.html", page)


def _data_name(run: Run, config: Mapping[str, Any]) -> str:
    measured = run.read_json("evaluation.json")
    return measured["data"] if measured else str(config.get("data", {}).get("source") or "embedded data")


def _scores(run: Run, others: list[Run]) -> str:
    measured = run.read_json("evaluation.json")
    if not measured:
        return ""
    rows = {"untrained": measured["untrained"], measured["method"]: measured["trained"]}
    for other in others:
        result = other.read_json("evaluation.json")
        if result:
            name = result["method"] if result["method"] not in rows else f"{result['method']} ({other.path.name})"
            rows[name] = result["trained"]
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    best = _best(rows, columns, measured.get("better", {}))
    head = "".join(f"<th>{html.escape(c)}" for c in columns)
    body = ""
    for name, row in rows.items():
        cells = "".join(
            f"<td{' class=best' if row.get(c) is not None and row.get(c) == best.get(c) else ''}>{_number(row.get(c))}"
            for c in columns
        )
        body += f"<tr><td>{html.escape(name)}{cells}"
    said = answer_without_labels(measured["trained"], measured["untrained"])
    answer = f"<p>{html.escape(said)}</p>" if said else ""
    return f"<h2>What it learned</h2><div class=card><table><tr><th>{head}{body}</table></div>{answer}"


def _further(run: Run, others: list[Run]) -> str:
    """One table for each further measure: a line for each number, a column for each run that measured it."""
    sections = ""
    for name, found in (run.read_json("evaluation.json") or {}).get("further", {}).items():
        columns = {"untrained": found["untrained"], "trained": found["trained"]}
        for other in others:
            result = (other.read_json("evaluation.json") or {}).get("further", {})
            if name in result:
                columns[other.path.name] = result[name]["trained"]
        head = "".join(f"<th>{html.escape(column)}" for column in columns)
        lines = dict.fromkeys(line for column in columns.values() for line in column)
        body = "".join(
            f"<tr><td>{html.escape(line)}" + "".join(f"<td>{_number(c.get(line))}" for c in columns.values())
            for line in lines
        )
        sections += f"<h2>{html.escape(name)}</h2><div class=card><table><tr><th>{head}{body}</table></div>"
    return sections


def _best(rows: Mapping[str, Any], columns: Sequence[str], better: Mapping[str, str]) -> dict[str, float]:
    """The best value of every column that has a direction."""
    found = {}
    for c in columns:
        direction = better.get(c, "neither" if c in GEOMETRY else "higher")
        values = [row[c] for row in rows.values() if row.get(c) is not None]
        if direction != "neither" and values:
            found[c] = (max if direction == "higher" else min)(values)
    return found


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _curves(run: Run) -> str:
    rows = read_metrics(run.path / "metrics.csv")
    names = list(dict.fromkeys(n for row in rows for n in row if n != "step"))
    figures = ""
    for name in names:
        points = [(row["step"], row[name]) for row in rows if name in row and np.isfinite(row[name])]
        if len(points) > 1 and not name.startswith("lr"):
            figures += f"<figure class=card>{curve(points)}<figcaption>{html.escape(name)}</figcaption></figure>"
    return f"<h2>How training went</h2><div class=grid>{figures}</div>" if figures else ""


def _pictures(system: Entry, run: Run) -> str:
    show = catalogue.field(system.field).show
    if show is None or not run.complete:
        return ""
    figures = ""
    _, method, _ = workflow.load_run(run.path)
    data = workflow.run_data(system, run.config.get("data", {}))
    for caption, pixels in show(method, data):
        figures += (
            f"<figure class=card><img src='data:image/png;base64,{_png(pixels)}' alt=''>"
            f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        )
    return f"<h2>Pictures</h2><div class=grid>{figures}</div>" if figures else ""


def _png(pixels: np.ndarray) -> str:
    memory = io.BytesIO()
    Image.fromarray(pixels).save(memory, "PNG")
    return base64.b64encode(memory.getvalue()).decode()


def _settings(config: Mapping[str, Any]) -> str:
    cards = ""
    for part in ("hyperparameters", "data", "training", "environment"):
        items = "".join(
            f"<dt>{html.escape(str(k))}<dd>{html.escape(str(v))}" for k, v in _flat(config.get(part, {})).items()
        )
        cards += f"<div class=card><p class=soft>{part}</p><dl>{items}</dl></div>"
    return f"<h2>Settings</h2><div class=grid>{cards}</div>"


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
