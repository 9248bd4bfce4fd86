"""Commands on pictures and words: search, zero-shot."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nearfar.cli.words import writable
from nearfar.common.parsers import Parser
from nearfar.system import Command, UsageError

TABLES = (".csv", ".parquet")
TEMPLATE = "a picture of a {}"


def _search(words: Sequence[str]) -> int:
    parser = Parser(prog="nearfar search", description=COMMANDS["search"].help)
    parser.add_argument("run", help="a run's folder")
    parser.add_argument("query", help="words, or a picture file")
    parser.add_argument("--in", dest="pictures", required=True, help="a folder of pictures, a table of them, or a set")
    parser.add_argument("--change", help="what is to be different from the picture, in words")
    parser.add_argument("-k", type=int, default=10, help="how many to find")
    parser.add_argument("--size", type=int, help="side in pixels; the run's when not given")
    parser.add_argument("-o", "--out", type=Path, help="a .csv or .parquet file, instead of the screen")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    options = parser.parse_args([*words])
    _check(options)
    picture = _picture(options.query)
    if options.change is not None and picture is None:
        raise UsageError("--change says what is to be different from a picture; name a picture file, or leave it out")
    method, size = _opened(options)
    from nearfar.multimodal.search import embedded, nearest, pictures_of, query

    said = options.change if picture is not None else options.query
    asked = query(method, said, picture, size=size)
    found = embedded(method, pictures_of(options.pictures, size))
    best = nearest(found, asked, options.k, without=_own_name(picture, Path(options.pictures)))
    columns: dict[str, list[Any]] = {
        "picture": [found.names[row] for row in best.rows[0]],
        "rank": [*range(1, best.rows.shape[1] + 1)],
        "score": [round(float(score), 6) for score in best.scores[0]],
    }
    _give(columns, options.out, f"{len(found.names):,} pictures searched")
    return 0


def _zero_shot(words: Sequence[str]) -> int:
    parser = Parser(prog="nearfar zero-shot", description=COMMANDS["zero-shot"].help)
    parser.add_argument("run", help="a run's folder")
    parser.add_argument("pictures", help="a folder of pictures, a table of them, or an embedded set")
    parser.add_argument("--classes", type=Path, required=True, help="a text file with the name of a class in each line")
    parser.add_argument(
        "--template",
        action="append",
        help=f"a sentence with {{}} for the name, in the words of the run's captions; may be given several times, and "
        f"the mean is taken ({TEMPLATE!r} without)",
    )
    parser.add_argument("-k", type=int, default=1, help="classes that are told of each picture, best first")
    parser.add_argument("--size", type=int, help="side in pixels; the run's when not given")
    parser.add_argument("-o", "--out", type=Path, help="a .csv or .parquet file, instead of the screen")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    options = parser.parse_args([*words])
    _check(options)
    if not options.classes.is_file():
        raise FileNotFoundError(f"there is no file {options.classes} with names of classes")
    classes = _lines(options.classes)
    method, size = _opened(options)
    from nearfar.multimodal.search import agreement, embedded, named, pictures_of

    found = embedded(method, pictures_of(options.pictures, size))
    best = named(method, found, classes, options.template or [TEMPLATE], options.k)
    count, wide = best.rows.shape
    columns: dict[str, list[Any]] = {
        "picture": [name for name in found.names for _ in range(wide)],
        "rank": [*range(1, wide + 1)] * count,
        "class": [classes[row] for row in best.rows.ravel()],
        "score": [round(float(score), 6) for score in best.scores.ravel()],
    }
    right = agreement(found, classes, best)
    told = "" if right is None else f"; {right:.1%} of those whose label is a class are named by it"
    _give(columns, options.out, f"{count:,} pictures, {len(classes)} classes{told}")
    return 0


def _check(options: argparse.Namespace) -> None:
    """Refuse, before anything is opened, what cannot be asked for."""
    if options.out is not None:
        writable(options.out, options.overwrite, TABLES)
    for name, value in (("-k", options.k), ("--size", options.size)):
        if value is not None and value < 1:
            raise UsageError(f"{name} must be at least 1, got {value}")


def _opened(options: argparse.Namespace) -> tuple[Any, int]:
    """The run's method, and the side of the pictures that it takes."""
    from nearfar import workflow
    from nearfar.multimodal.search import side_of

    entry, method, run = workflow.load_run(options.run)
    if entry.field != "multimodal":
        raise UsageError(
            f"{options.run} is a run of the field {entry.field}, which does not compare pictures and words"
        )
    described = dict(run.config.get("data", {}))
    if described.get("source") is None:
        described["source"] = entry.data
    return method, options.size or side_of(described)


def _picture(query: str) -> Path | None:
    """The picture file that a query names; ``None`` where it is words."""
    from nearfar.vision.data.folder import SUFFIXES

    path = Path(query)
    if path.suffix.lower() not in SUFFIXES:
        if path.is_file():
            raise UsageError(f"{query} is a file and no picture; words are typed as they are, pictures named by a file")
        return None
    if not path.is_file():
        raise FileNotFoundError(f"there is no picture {query}")
    return path


def _own_name(picture: Path | None, folder: Path) -> str | None:
    """What the query's own picture is called among those of the folder; it is no answer to itself."""
    if picture is None or not folder.is_dir():
        return None
    from nearfar.sources.skipped import plain

    try:
        return plain(str(picture.resolve().relative_to(folder.resolve())))
    except ValueError:
        return None


def _lines(path: Path) -> list[str]:
    """The lines of a text file that are not empty."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8: {error.reason} at byte {error.start}") from error
    return [line.strip() for line in lines if line.strip()]


def _give(columns: dict[str, list[Any]], out: Path | None, summary: str) -> None:
    """Write columns to a file, or to the screen between tabs, and say what was done."""
    if out is None:
        for row in zip(*columns.values(), strict=True):
            print("\t".join(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row))
    else:
        from nearfar.cli.verbs import write_columns

        write_columns(out, columns)
    print(f"{summary}{f', in {out}' if out else ''}", file=sys.stderr)


COMMANDS = {
    "search": Command("find pictures by words, by a picture, or by a picture and a change", _search),
    "zero-shot": Command("sort pictures into classes that are given by their names alone", _zero_shot),
}
