"""`make docs`: what pages compute from the catalogue, the results and the benchmarks, between marks in their source.

A page says ``<!-- computed: NAME WORDS -->``, and this puts the answer of :data:`ANSWERS` between that line and
``<!-- end of computed -->``. The words around it are the page's own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from nearfar.catalogue import ENTRIES, FIELDS, METHODS
from nearfar.common.durations import in_time
from nearfar.reproductions.claims import VERDICTS
from nearfar.system import Entry

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
REGION = re.compile(r"(<!-- computed: (?P<words>[^>]+?) -->\n)(?P<found>.*?)(<!-- end of computed -->)", re.DOTALL)


@cache
def lengths() -> dict[str, dict[str, Any]]:
    """What ``benchmarks/lengths.py`` measured, by system."""
    path = ROOT / "benchmarks" / "results" / "lengths.json"
    return {row["slug"]: row for row in json.loads(path.read_text())["rows"]} if path.is_file() else {}


def systems(field: str) -> str:
    """The systems of a field: what each does, what was found, how long its laptop training takes."""
    lines = [
        "| system | what it does | can | main claims | laptop training |",
        "| --- | --- | --- | --- | ---: |",
    ]
    for entry in (e for e in ENTRIES if e.field == field and e.kind in ("method", "procedure")):
        can = ", ".join(entry.verbs) or "is evaluated"
        lines.append(f"| `{entry.slug}` | {entry.summary} | {can} | {claims(entry)} | {length(entry)} |")
    return "\n".join([*lines, "", LEGEND])


LEGEND = """*Main claims*: what its paper promises over its baseline, tested again ([results](../results.md)). *Laptop
training*: of one processor core, on the embedded data, from the time of a few steps (`make bench ONLY=lengths`)."""


def claims(entry: Entry) -> str:
    """How many of the main claims hold, and over how many seeds."""
    result = entry.result
    if result is None:
        return "not measured"
    main = [c for c in result["claims"] if c.get("role", "main") == "main"] or result["claims"]
    found = [sum(c["verdict"] == verdict for c in main) for verdict in ("holds", "contradicted")]
    against = f", {found[1]} contradicted" if found[1] else ""
    return f"{found[0]} of {len(main)} hold{against}, {result['seeds']} seeds"


def length(entry: Entry) -> str:
    row = lengths().get(entry.slug)
    return in_time(row["seconds"]) if row else ("none needed" if not entry.trains else "")


def durations() -> str:
    """How long laptop trainings take, by field: the shortest, the middle and the longest."""
    lines = ["| field | systems | shortest | middle | longest |", "| --- | ---: | ---: | ---: | ---: |"]
    for field in FIELDS:
        rows = sorted((lengths()[e.slug] for e in METHODS if e.field == field and e.slug in lengths()), key=seconds)
        if rows:
            chosen = (rows[0], rows[len(rows) // 2], rows[-1])
            cells = " | ".join(f"{in_time(seconds(row))} (`{row['slug']}`)" for row in chosen)
            lines.append(f"| {field} | {len(rows)} | {cells} |")
    return "\n".join(lines)


def held() -> str:
    """The systems of which every main claim held, by field."""
    lines = ["| field | measured | every main claim holds |", "| --- | ---: | --- |"]
    for field in FIELDS:
        found = [e for e in ENTRIES if e.field == field and e.result is not None]
        holding = [f"`{e.slug}`" for e in found if e.verdict == VERDICTS[0]]
        if found:
            lines.append(f"| {field} | {len(found)} | {', '.join(holding) or 'none'} |")
    return "\n".join(lines)


def seconds(row: dict[str, Any]) -> float:
    return row["seconds"]


ANSWERS: dict[str, Callable[..., str]] = {"systems": systems, "durations": durations, "held": held}


def filled(text: str) -> str:
    """A page with everything computed that it asks for.

    Raises:
        KeyError: it asks for what nothing answers.
    """

    def answer(match: re.Match[str]) -> str:
        name, *words = match["words"].split()
        return f"{match[1]}\n{ANSWERS[name](*words)}\n\n{match[4]}"

    return REGION.sub(answer, text)


def main() -> None:
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text()
        if REGION.search(text):
            page.write_text(filled(text))
            print(page)


if __name__ == "__main__":
    main()
