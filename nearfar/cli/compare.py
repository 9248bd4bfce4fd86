"""The command compare: an experiment over systems and seeds."""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

from nearfar.catalogue import find
from nearfar.cli.tables import table
from nearfar.common.parsers import Parser
from nearfar.system import UsageError

PRESETS = ["paper", "laptop", "tiny"]


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
    parser.add_argument("--preset", choices=PRESETS, help="which defaults; laptop without --data")
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
    preset = options.preset or ("paper" if options.data else "laptop")
    arms: list[Any] = []
    data_options: dict[str, Any] = {}
    unknown = _Unknown(common)
    for label in options.systems:
        arm, of_data = _arm(label, common, preset, unknown)
        arms.append(arm)
        data_options |= of_data
    unknown.refuse()
    from nearfar import workflow

    found = workflow.compare(
        arms,
        data=options.data,
        seeds=options.seeds,
        out=options.out,
        data_options=data_options,
        progress=sys.stderr.isatty(),
        say=_say,
    )
    if options.json:
        print(json.dumps({"data": found.data, "scores": found.scores, "differences": found.differences()}))
        return 0
    print(f"{found.data}, {options.seeds} seeds\n")
    print(table(found.means(), lambda i: f"{i[0]:.3f} ± {(i[2] - i[1]) / 2:.3f}"))
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

    def known(self, names: set[str]) -> None:
        self.left -= names

    def refuse(self) -> None:
        if self.left:
            raise UsageError(f"none of these systems has a setting {', '.join(sorted(self.left))}")


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


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
