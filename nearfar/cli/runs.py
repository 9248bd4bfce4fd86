"""The command runs: list what was trained, and remove it."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from nearfar.cli.tables import table
from nearfar.common.parsers import Parser
from nearfar.system import UsageError

STATES = ["finished", "running", "stopped", "damaged"]


def runs(argv: list[str]) -> int:
    if argv and argv[0] == "remove":
        return _remove(argv[1:])
    parser = Parser(
        prog="nearfar runs",
        description="List the runs in a folder, oldest first. `nearfar runs remove RUN ...` removes runs.",
    )
    parser.add_argument("folder", nargs="?", type=Path, default=Path("runs"), help="where to look; runs when not given")
    parser.add_argument("--method", help="only runs of this system")
    parser.add_argument(
        "--state", choices=["finished", "running", "stopped", "damaged"], help="only runs in this state"
    )
    parser.add_argument("--sort", metavar="SCORE", help="largest value of this score first, e.g. 'linear test'")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line, with all scores")
    options = parser.parse_args(argv)
    from nearfar.runs.listing import runs_in

    found = runs_in(options.folder)
    known = sorted({run.method for run in found})
    if options.method and options.method not in known:
        raise UsageError(f"{options.folder} has no run of {options.method!r}; it has runs of {', '.join(known) or '-'}")
    found = [
        run
        for run in found
        if options.method in (None, run.method) and (options.state is None or run.state == options.state)
    ]
    if options.sort:
        named = sorted({name for run in found for name in run.scores})
        if options.sort not in named:
            raise UsageError(f"no run has the score {options.sort!r}; measured are {', '.join(named) or 'none'}")
        found.sort(key=lambda run: -run.scores.get(options.sort, float("-inf")))
    if options.json:
        for run in found:
            print(json.dumps({**asdict(run), "path": str(run.path)}))
        return 0
    if not found:
        print(f"no runs in {options.folder}", file=sys.stderr)
        return 0
    rows = {}
    for run in found:
        first = options.sort or next(iter(run.scores), None)
        score = f"{first} {run.scores[first]:.3f}" if first in run.scores else "-"
        rows[str(run.path)] = {
            "system": run.method,
            "data": Path(run.data).name,
            "seed": "-" if run.seed is None else str(run.seed),
            "state": run.state,
            "step": "-" if run.step is None else str(run.step),
            "score": score,
            "size": _size(run.size),
            "changed": time.strftime("%Y-%m-%d %H:%M", time.localtime(run.changed)),
        }
    print(table(rows, str))
    for run in found:
        if run.why:
            print(f"{run.path}: {run.why}", file=sys.stderr)
    return 0


def _remove(argv: list[str]) -> int:
    parser = Parser(prog="nearfar runs remove", description="Remove runs: what nearfar wrote, and nothing else.")
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs")
    parser.add_argument(
        "--yes",
        action="store_true",
        help="remove them; without it a terminal is asked, and elsewhere they are only named",
    )
    options = parser.parse_args(argv)
    from nearfar.runs.listing import listed, remove_run
    from nearfar.runs.run import Run

    for path in options.runs:
        Run.open(path)  # all are runs, or none is removed
    sure = options.yes
    if not sure and sys.stdin.isatty():
        for run in map(listed, options.runs):
            print(f"{run.path}: {run.method}, {run.state}, {_size(run.size)}")
        sure = input("remove these? [y/N] ").strip().lower() in ("y", "yes")
    for path in options.runs:
        run = listed(path)
        if not sure:
            print(f"{path}: {run.method}, {run.state}, {_size(run.size)}; would be removed")
            continue
        left = remove_run(path)
        kept = f"; left, because it is not the run's: {', '.join(p.name for p in left)}" if left else ""
        print(f"{path}: removed, {_size(run.size)}{kept}")
    if not sure:
        print("nothing was removed; give --yes to remove", file=sys.stderr)
    return 0


def _size(count: int) -> str:
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
