"""Commands that ask a system for one of its verbs: generate, score."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

from nearfar.catalogue import ENTRIES, find
from nearfar.cli.words import parse_own, writable
from nearfar.common.parsers import Parser
from nearfar.system import UsageError, require


def generate(argv: list[str]) -> int:
    parser = Parser(
        prog="nearfar generate",
        description="Let a finished run, or a system that needs no training, make something. Further arguments are "
        "settings: of the field's data, and of the system where it needs no training.",
    )
    parser.add_argument("system", nargs="?", help="a run's folder, or the slug of a system that needs no training")
    parser.add_argument("inputs", nargs="?", help="what to work on, as the field reads it; its embedded data otherwise")
    parser.add_argument("--decoding", help="the slug of a decoder, instead of naming it first")
    parser.add_argument("--prompts", help="what to work on, instead of naming it second")
    parser.add_argument("-o", "--out", type=Path, required=True, help="where to write; the field says what it writes")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is drawn")
    parser.add_argument("--count", type=int, help="make something of at most so many inputs, or so many new things")
    parser.add_argument("--batch-size", type=int, help="inputs that are worked on together")
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")
    options, words = parse_own(parser, argv)
    if options.count is not None and options.count < 1:
        raise UsageError(f"--count must be at least 1, got {options.count}")
    options.inputs = options.prompts or options.inputs
    if options.decoding:  # the first word is then what to work on
        options.inputs, options.system = options.inputs or options.system, options.decoding
    if not options.system:
        raise UsageError("name a run or a system that generates")
    if options.out.is_file() and not options.overwrite:  # before anything large is opened
        raise UsageError(f"{options.out} exists; choose another name, or give --overwrite")
    entry, system, data = opened(options.system, options.inputs, words, "generate")
    from nearfar import workflow

    paths = workflow.generate_to(
        entry,
        system,
        data,
        options.out,
        seed=options.seed,
        count=options.count,
        batch_size=options.batch_size,
        origin=_origin(entry, system, options.inputs, words),
        overwrite=options.overwrite,
    )
    first = f": {', '.join(map(str, paths[:3]))}{', ...' * (len(paths) > 3)}"
    print(f"{len(paths)} written{first if paths else f'; {options.out} has all'}", file=sys.stderr)
    return 0


def _origin(entry: Any, system: Any, inputs: str | None, words: list[str]) -> dict[str, Any]:
    """By what and of what things are made, as plain values."""
    from nearfar.runs.hub import plain
    from nearfar.training import Method
    from nearfar.training.embed import digest

    place = Path(inputs).resolve() if inputs and Path(inputs).exists() else inputs
    found = {"system": entry.slug, "inputs": None if place is None else str(place), "options": " ".join(words)}
    weights = digest(system.kept()) if isinstance(system, Method) else None
    return {**found, "settings": json.loads(json.dumps(plain(system.config), default=str)), "weights": weights}


def score(argv: list[str]) -> int:
    parser = Parser(prog="nearfar score", description="Rate every example by a finished run.")
    parser.add_argument("run", help="a run's folder, or the slug of a system that needs no training")
    parser.add_argument("data", nargs="?", help="what to rate; the run's own data when not given")
    parser.add_argument("-o", "--out", type=Path, required=True, help="a .csv or .parquet file")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    options, words = parse_own(parser, argv)
    writable(options.out, options.overwrite, (".csv", ".parquet"))
    entry, system, data = opened(options.run, options.data, words, "score")
    require(system, "scores", entry.slug)
    from nearfar.workflow import score_rows

    columns = score_rows(system, data)
    write_columns(options.out, columns)
    print(f"{len(columns['id'])} examples rated in {options.out}", file=sys.stderr)
    return 0


def opened(name: str, data: str | None, words: list[str], command: str) -> tuple[Any, Any, Any]:
    """The row, the system itself and its data, of a run's folder or of a procedure's slug with its settings."""
    from nearfar import workflow
    from nearfar.cli.options import Flags, loader_options

    slugs = {entry.slug for entry in ENTRIES}
    if name in slugs and not Path(name).is_dir():
        entry = find(name)
        if entry.trains:
            raise UsageError(f"{name} is trained first: nearfar train {name}, then nearfar {command} RUN")
        settings = Flags(entry, f"nearfar {command} {name}", f"{entry.name}: {entry.summary}").parse(words)
        found = workflow.load_data(entry.field, entry.data if data is None else data, **settings.data_options)
        return entry, workflow.build_method(entry, settings.arguments, found, 0), found
    entry, system, run = workflow.load_run(name)
    options = loader_options(entry, words, f"nearfar {command}")
    described = workflow.like_the_run(run, data, options)
    try:
        found = workflow.run_data(entry, described)
    except ValueError:
        if data is None or "label_column" in options or not described.get("label_column"):
            raise
        # New rows need not have the column that said in training what a row is.
        found = workflow.run_data(entry, {**described, "label_column": ""})
    return entry, system, found


def write_columns(path: Path, columns: dict[str, Any]) -> None:
    """Columns of equal length as a ``.parquet`` or ``.csv`` file, whole or not at all."""
    from nearfar.common.files import atomic_write

    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        with atomic_write(path) as file:
            pq.write_table(pa.table(columns), file)
        return
    with atomic_write(path, "w") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
