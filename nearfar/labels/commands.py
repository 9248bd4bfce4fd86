"""Commands on labelled pictures: discover, data counts."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from nearfar.common.parsers import Parser
from nearfar.system import Command, UsageError


def _discover(words: Sequence[str]) -> int:
    parser = Parser(prog="nearfar discover", description=COMMANDS["discover"].help)
    parser.add_argument("run", type=Path, help="folder of a finished run of gcd or protogcd")
    parser.add_argument("pictures", nargs="?", help="pictures to group; those of the run when not given")
    parser.add_argument("-o", "--out", type=Path, required=True, help="table for the groups, .csv")
    parser.add_argument("--page", type=Path, help="also write a page (.html) with pictures of every group")
    parser.add_argument("--seed", type=int, default=0, help="of the clustering")
    options = parser.parse_args(list(words))
    for path, suffix in ((options.out, ".csv"), (options.page, ".html")):
        if path is not None and path.suffix != suffix:
            raise UsageError(f"{path} must end in {suffix}")
        if path is not None and path.exists():
            raise UsageError(f"{path} is there already; remove it first, or give another name")
    return _write(options)


def _write(options: argparse.Namespace) -> int:
    from nearfar import workflow
    from nearfar.common.files import atomic_write
    from nearfar.labels.data import LabelledImages
    from nearfar.labels.discovered import group_names, page
    from nearfar.labels.methods.gcd import Discovering

    entry, method, run = workflow.load_run(options.run)
    if not isinstance(method, Discovering):
        raise UsageError(
            f"{options.run} is a run of {entry.slug}, which does not discover classes; gcd and protogcd do"
        )
    known = workflow.run_data(entry, run.config.get("data", {}))
    if not isinstance(known, LabelledImages):
        raise UsageError("classes are discovered among labelled pictures in one collection, not in a stream of tasks")
    numbers, data = method.groups(known, seed=options.seed), known
    if options.pictures is not None:
        source = {**run.config.get("data", {}), "source": options.pictures}
        for name in ("old_classes", "imbalance", "tasks"):
            source.pop(name, None)
        others = workflow.run_data(entry, source)
        if not isinstance(others, LabelledImages):
            raise UsageError(f"{options.pictures} is no collection of pictures")
        data = others
        numbers = method.groups_of_others(known, others, seed=options.seed)
    names = group_names(numbers, known)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["path", "group", "new"])
    for where, number in zip(data.ids, numbers, strict=True):
        table.writerow([where, names[int(number)][0], int(names[int(number)][1])])
    with atomic_write(options.out, "w") as file:
        file.write(text.getvalue())
    if options.page is not None:
        with atomic_write(options.page, "w") as file:
            file.write(page(data, numbers, names))
    new = sum(is_new for _, is_new in names.values())
    print(f"{len(numbers)} pictures in {len(names)} groups, {new} of them new: {options.out}", file=sys.stderr)
    return 0


def _counts(words: Sequence[str]) -> int:
    parser = Parser(prog="nearfar data counts", description=COMMANDS["data counts"].help)
    parser.add_argument("data", help="a folder, a table or an embedded name, as `nearfar train supcon --data` takes it")
    parser.add_argument("--levels", help="columns of a table that are levels of a hierarchy")
    options = parser.parse_args(list(words))
    from nearfar.labels.data import LabelledImages, load
    from nearfar.sources.tasks import Tasks

    data = load(options.data, levels=options.levels)
    parts = zip(data.names, data.tasks, strict=True) if isinstance(data, Tasks) else [("", data)]
    for task, part in parts:
        if not isinstance(part, LabelledImages):
            raise UsageError(f"{options.data} holds features; only pictures are counted")
        if task:
            print(task)
        for name, count in zip(part.classes, part.counts.tolist(), strict=True):
            if count or not task:
                print(f"{count:>8}  {name}")
        unknown = int((part.seen < 0).sum())
        if unknown:
            print(f"{unknown:>8}  without a label")
    return 0


COMMANDS = {
    "data counts": Command("count the labelled pictures of every class, task by task", _counts),
    "discover": Command("group pictures by classes, known and new, with a finished run", _discover),
}
