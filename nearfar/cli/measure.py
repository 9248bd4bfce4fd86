"""Commands that measure: evaluate, embed, compare, reproduce, report."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nearfar.catalogue import ENTRIES, FIELDS, MEASURED, find
from nearfar.cli.tables import table
from nearfar.cli.words import parse_own
from nearfar.common.durations import in_time
from nearfar.common.parsers import Parser
from nearfar.spelling import one_of
from nearfar.system import UsageError

ACCEPT = "go on although the run's data changed since it was trained"
WIDE = 12
"""Numbers of a procedure that still make one line; more have a line each."""


def evaluate(argv: list[str]) -> int:
    parser = Parser(prog="nearfar evaluate", description="Probe finished runs, beside the first one's untrained self.")
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs of one field, or one system by its slug")
    parser.add_argument("--data", help="other data than the run was trained on")
    parser.add_argument("--seed", type=int, default=0, help="seed of the probes' validation split")
    parser.add_argument(
        "--also", nargs="+", default=[], help="further measures; for images corruptions, few-labels and others"
    )
    parser.add_argument("--accept-changes", action="store_true", help=ACCEPT)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options, words = parse_own(parser, argv)
    from nearfar import workflow
    from nearfar.cli.options import loader_options
    from nearfar.evaluation.answer import answer_without_labels
    from nearfar.runs.run import Run

    name = str(options.runs[0])
    if not options.runs[0].is_dir() and name in {entry.slug for entry in ENTRIES}:
        return _evaluate_procedure(name, options, words)
    results = {}
    for path in options.runs:
        entry = find(Run.open(path).config["method"])
        given = loader_options(entry, words, "nearfar evaluate")
        results[str(path)] = workflow.evaluate_run(
            path,
            options.data,
            seed=options.seed,
            also=options.also,
            accept_changes=options.accept_changes,
            **given,
        )
    if options.json:
        print(json.dumps(results))
        return 0
    first = next(iter(results.values()))
    rows: dict[str, Mapping[str, Any]] = {"untrained": first["untrained"]}
    rows |= {title: result["trained"] for title, result in _titled(results).items()}
    print(f"{first['data']}\n")
    print(table(rows, lambda value: f"{value:.3f}"))
    for title, result in _titled(results).items():
        if said := answer_without_labels(result["trained"], first["untrained"]):
            print(f"\n{title}: {said}" if len(results) > 1 else f"\n{said}")
    for name in options.also:
        print(f"\n{name}\n")
        print(across({row: result["further"][name] for row, result in _titled(results).items()}))
    return 0


def _evaluate_procedure(slug: str, options: argparse.Namespace, words: list[str]) -> int:
    entry = find(slug)
    if entry.kind != "procedure":
        raise UsageError(f"{slug} is a {entry.kind}, and evaluate takes finished runs; nearfar show {slug}")
    from nearfar.cli.options import Flags

    flags = Flags(entry, f"nearfar evaluate {slug}", f"{entry.name}: {entry.summary}")
    settings = flags.parse(words)
    from nearfar import workflow

    found = workflow.evaluate_procedure(
        slug, options.data, arguments=settings.arguments, seed=options.seed, data_options=settings.data_options
    )
    if options.json:
        print(json.dumps(found))
        return 0
    print(f"{found['data']}\n")
    numbers = {slug: found["trained"]}
    if len(found["trained"]) > WIDE:
        numbers = {name: {slug: value} for name, value in found["trained"].items()}
    print(table(numbers, lambda value: f"{value:.3f}"))
    return 0


def _titled(results: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{r['method']} ({path})" if len(results) > 1 else r["method"]: r for path, r in results.items()}


def across(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """One line for each measured number, one column for each run: further measures have many numbers."""
    columns = {"untrained": next(iter(found.values()))["untrained"]}
    columns |= {name: result["trained"] for name, result in found.items()}
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    return table({n: {c: column[n] for c, column in columns.items() if n in column} for n in names}, "{:.3f}".format)


def embed(argv: list[str]) -> int:
    parser = Parser(prog="nearfar embed", description="Turn data into vectors with a finished run.")
    parser.add_argument("run", type=Path, help="the run's folder")
    parser.add_argument("data", nargs="?", help="what to embed; the run's own data when not given")
    parser.add_argument(
        "-o", "--out", type=Path, required=True, help="a .parquet, .npz, .npy, .csv or .faiss file, or a folder"
    )
    parser.add_argument("--half", action="store_true", help="store float16: half the bytes, three decimal digits")
    parser.add_argument(
        "--share", default="1/1", help="2/8: make the second eighth of a folder's files; others the rest"
    )
    parser.add_argument("--per-file", type=int, default=65536, help="examples in each file of a folder")
    parser.add_argument(
        "--engine", choices=["here", "ray"], default="here", help="ray: workers of a Ray cluster make a folder's files"
    )
    parser.add_argument("--workers", type=int, default=0, help="of the Ray cluster; as many as it has when not given")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.add_argument("--accept-changes", action="store_true", help=ACCEPT)
    options = parser.parse_args(argv)
    from nearfar import workflow

    found = workflow.embed_with_run(
        options.run,
        options.data,
        options.out,
        overwrite=options.overwrite,
        accept_changes=options.accept_changes,
        half=options.half,
        share=_share(options.share),
        per_file=options.per_file,
        engine=options.engine,
        workers=options.workers,
    )
    print(f"{found.rows} vectors of width {found.width} in {options.out}", file=sys.stderr)
    return 0


def _share(text: str) -> tuple[int, int]:
    mine, slash, of = text.partition("/")
    if not (slash and mine.isdigit() and of.isdigit()):
        raise UsageError(f"--share is a number of how many, such as 2/8; got {text!r}")
    return int(mine), int(of)


def reproduce(argv: list[str]) -> int:
    parser = Parser(
        prog="nearfar reproduce",
        description="Re-test papers' claims against the baselines they claim to beat, over paired seeds.",
    )
    parser.add_argument("methods", nargs="*", help="slugs; all that have a reproduction with --all or --field")
    parser.add_argument("--field", help="every reproduction of one field")
    parser.add_argument("--all", action="store_true", help="every reproduction")
    parser.add_argument(
        "--seeds", type=int, help="number of paired seeds; those that are kept already are not measured again"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/reproductions"),
        help="folder of the results; finished seeds in it are kept",
    )
    parser.add_argument(
        "--plan",
        "--dry-run",
        dest="plan",
        action="store_true",
        help="say what is unsettled and what it costs, and stop",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON array")
    options = parser.parse_args(argv)
    chosen = [find(slug) for slug in options.methods]
    if options.field not in (None, *FIELDS):
        raise UsageError(f"there is no field {options.field!r}{one_of(options.field, FIELDS)}")
    if options.all or options.field:
        chosen = [m for m in MEASURED if m.reproduction and options.field in (None, m.field)]
    if not chosen:
        raise UsageError("name a method, or give --field or --all")
    from nearfar.reproductions import harness, pages

    if options.plan:
        return _plan([harness.plan(each, options.seeds or 8) for each in chosen if each.reproduction], options.json)
    results = []
    for system in chosen:
        result = harness.reproduce(system, seeds=options.seeds, out=options.out, say=_say)
        results.append(result)
        if not options.json:
            print(pages.as_text(result))
    if len(results) > 1:
        overview = options.out / "results.md"
        overview.write_text(pages.page(list(zip(chosen, results, strict=True))))
        _say(f"the table is in {overview}")
    if options.json:
        print(json.dumps(results))
    return 0


def _plan(rows: list[dict[str, Any]], as_json: bool) -> int:
    """What is unsettled, and what it would cost to settle."""
    if as_json:
        print(json.dumps(rows))
        return 0
    for row in rows:
        cost = "a time that is not known yet" if row["seconds"] is None else f"about {in_time(row['seconds'])}"
        print(f"{row['slug']}: {row['verdict']}, {row['seeds']} seeds; {row['missing']} more take {cost}")
        for claim in row["open"]:
            print(f"    not shown: {claim}")
    known = [row["seconds"] for row in rows if row["seconds"] is not None]
    print(f"in all about {in_time(sum(known))} on a machine like the one that measured them")
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def report(argv: list[str]) -> int:
    parser = Parser(prog="nearfar report", description="Write a run's page.")
    parser.add_argument("run", type=Path, help="the run's folder")
    parser.add_argument("--against", nargs="*", type=Path, default=[], help="other runs to show beside it")
    parser.add_argument(
        "--live", type=float, metavar="SECONDS", help="write it again so often, until the run does not train any more"
    )
    options = parser.parse_args(argv)
    if options.live is not None and not options.live > 0:
        raise UsageError(f"--live must be above 0 seconds, got {options.live:g}")
    from nearfar.report import write_report
    from nearfar.runs.listing import in_use

    going = options.live is not None and in_use(options.run)
    print(write_report(options.run, options.against, refresh=options.live if going else None), flush=True)
    while going:
        time.sleep(options.live)
        going = in_use(options.run)
        write_report(options.run, options.against, refresh=options.live if going else None)
    return 0
