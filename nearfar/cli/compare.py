"""The command compare: an experiment over systems and seeds."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from nearfar.catalogue import find
from nearfar.cli.loading import loading
from nearfar.cli.tables import table
from nearfar.common.parsers import Parser
from nearfar.spelling import meant
from nearfar.system import UsageError

PRESETS = ["auto", "paper", "laptop", "tiny"]


def compare(argv: list[str]) -> int:
    parser = Parser(
        prog="nearfar compare",
        description="Train systems of one field on the same data with the same seeds; a table with 95% intervals, and "
        "how far each is ahead of the first over paired seeds. Further arguments are settings of all of them, of the "
        "training and of the data: --steps 200 --size 32 --encoder small-conv.",
    )
    parser.add_argument(
        "systems",
        nargs="+",
        help="slugs; with settings of its own one is written relic:alpha=5",
    )
    parser.add_argument("--data", help="where the data is; the first system's embedded set when not given")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0")
    parser.add_argument("--preset", choices=PRESETS, help="which defaults; auto with --data, laptop without")
    parser.add_argument("--budget", help="how long each run may take, such as 10m or 2h; for --preset auto")
    parser.add_argument(
        "--out",
        type=Path,
        help="folder of the runs; the same command goes on there, with more seeds too",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    systems, words = _systems([*argv])
    options, common = parser.parse_known_args([*systems, *words])
    if options.seeds < 1:
        raise UsageError(f"--seeds must be at least 1, got {options.seeds}")
    preset = options.preset or ("auto" if options.data else "laptop")
    if options.budget and preset != "auto":
        raise UsageError("--budget is for --preset auto; the other presets say how long they train")
    loading(" and ".join(options.systems))
    arms: list[Any] = []
    data_options: dict[str, Any] = {}
    unknown = _Unknown(common)
    for label in options.systems:
        arm, of_data = _arm(label, common, preset, unknown)
        arms.append(arm)
        data_options |= of_data
    unknown.refuse()
    from nearfar import workflow

    if len({arm.entry.field for arm in arms}) != 1:
        raise UsageError(f"compare takes methods of one field; {_fields(arms)}")
    source = arms[0].entry.data if options.data is None else options.data
    collection = workflow.load_data(arms[0].entry.field, source, **data_options)
    if preset == "auto" and not {"--steps", "--epochs"} & {_name(word) for word in common}:
        arms = _of_one_length(arms, collection, options)
    found = workflow.compare(
        arms,
        data=options.data,
        collection=collection,
        seeds=options.seeds,
        out=options.out,
        data_options=data_options,
        progress=sys.stderr.isatty(),
        say=_say,
    )
    if options.out is not None:
        from nearfar.report import write_comparison

        page = write_comparison(
            options.out / "comparison.html",
            data=found.data,
            means=found.means(),
            differences=found.differences(),
            better=found.better,
            seeds=options.seeds,
            command=shlex.join(["nearfar", "compare", *argv]),
        )
        _say(f"the page is {page}")
    if options.json:
        print(json.dumps({"data": found.data, "scores": found.scores, "differences": found.differences()}))
        return 0
    print(f"{found.data}, {options.seeds} seed{'s' * (options.seeds > 1)}\n")
    spread = "{:.3f} ± {:.3f}" if options.seeds > 1 else "{:.3f}"
    print(table(found.means(), lambda i: spread.format(i[0], (i[2] - i[1]) / 2)))
    if options.seeds == 1:
        print("\none seed tells no difference from chance; the same command with --seeds 3 adds two")
    ahead = found.differences()
    if ahead and options.seeds > 1:
        print(f"\nahead of {arms[0].label}, paired by seed, 95% interval\n")
        print(table(ahead, lambda i: f"{i[0]:+.3f} [{i[1]:+.3f}, {i[2]:+.3f}]{' *' if i[1] > 0 or i[2] < 0 else ''}"))
        print("\n* the interval leaves 0 out")
    return 0


def _systems(words: list[str]) -> tuple[list[str], list[str]]:
    """The systems that stand before the first option, and the rest."""
    first = next((i for i, word in enumerate(words) if word.startswith("-")), len(words))
    return words[:first], words[first:]


class _Unknown:
    """Settings that some system may know; those that none knows are refused."""

    def __init__(self, words: list[str]) -> None:
        self.left = {_name(word) for word in words if word.startswith("--")}
        self.there: set[str] = set()

    def known(self, names: set[str]) -> None:
        self.left -= names
        self.there |= names

    def refuse(self) -> None:
        if self.left:
            name = min(self.left)
            near = meant(name, self.there)
            named = name if near else ", ".join(sorted(self.left))
            raise UsageError(f"none of these systems has a setting {named}{near}")


def _name(word: str) -> str:
    return "--" + word[2:].partition("=")[0].replace("-", "_")


def _arm(label: str, common: list[str], preset: str, unknown: _Unknown) -> tuple[Any, dict[str, Any]]:
    """One system with the settings of all and its own, and what the settings say of the data."""
    from nearfar.cli.options import Flags
    from nearfar.workflow import Arm

    slug, _, own = label.partition(":")
    entry = find(slug)
    if entry.kind not in ("method", "procedure"):
        raise UsageError(f"{slug} is a {entry.kind}, and compare takes methods and procedures")
    flags = Flags(entry, f"nearfar compare {label}", entry.summary)
    flags.use(preset)
    mine = flags.known_flags()
    unknown.known(mine)
    words = []
    for word, following in pairwise([*common, "--"]):
        if word.startswith("--") and _name(word) in mine:
            words += [word] if "=" in word or following.startswith("--") else [word, following]
    for pair in filter(None, own.split(",")):
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"a setting of {slug} alone is written name=value, got {pair!r} in {label}")
        words += [f"--{name}", value]
    settings = flags.parse(words)
    return Arm(label, entry, settings.arguments, settings.training), settings.data_options


def _fields(arms: list[Any]) -> str:
    return ", ".join(f"{arm.label} is of {arm.entry.field}" for arm in arms)


def _of_one_length(arms: list[Any], collection: Any, options: Any) -> list[Any]:
    """Arms that train for as many steps as those that are kept already, or as fit into the budget."""
    from nearfar.runs.run import Run
    from nearfar.workflow import auto

    begun = sorted(options.out.glob("*/seed-*/config.yaml")) if options.out else []
    if begun:
        steps = Run.open(begun[0].parent).config["training"]["steps"]
        _say(f"{options.out} was begun with {steps:,} steps each, and goes on with them")
        return [replace(a, training=replace(a.training, steps=steps, epochs=None)) for a in arms]
    undecided = [replace(a, training=replace(a.training, steps=None, epochs=None)) for a in arms]
    limit = None if options.budget is None else auto.seconds_of(options.budget)
    if limit is None and auto.has_accelerator():
        return arms
    return auto.decide_together(undecided, collection, seeds=options.seeds, budget=limit, say=_say)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
