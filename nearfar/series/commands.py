"""Commands on series: forecast, anomalies."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nearfar.cli.words import writable
from nearfar.common.parsers import Parser
from nearfar.system import Command


def _parser(name: str) -> argparse.ArgumentParser:
    parser = Parser(prog=f"nearfar {name}", description=COMMANDS[name].help)
    parser.add_argument("run", help="a run's folder")
    parser.add_argument("data", nargs="?", help="the series; the run's own data when not given")
    parser.add_argument("-o", "--out", type=Path, required=True, help="a .csv or .parquet file")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    return parser


def _forecast(words: Sequence[str]) -> int:
    parser = _parser("forecast")
    parser.add_argument("--horizon", type=int, help="steps to tell; as many as the run was trained for when not given")
    options, rest = parser.parse_known_args(list(words))
    system, data = _opened(options, rest, "forecast")
    from nearfar.series.outlook import forecast

    _write(options.out, forecast(system, data, options.horizon))
    return 0


def _anomalies(words: Sequence[str]) -> int:
    options, rest = _parser("anomalies").parse_known_args(list(words))
    system, data = _opened(options, rest, "anomalies")
    from nearfar.series.outlook import anomalies

    _write(options.out, anomalies(system, data))
    return 0


def _opened(options: argparse.Namespace, rest: list[str], command: str) -> tuple[Any, Any]:
    from nearfar.cli.verbs import opened

    writable(options.out, options.overwrite, (".csv", ".parquet"))
    _, system, data = opened(options.run, options.data, rest, command)
    return system, data


def _write(path: Path, columns: dict[str, Any]) -> None:
    from nearfar.cli.verbs import write_columns

    write_columns(path, columns)
    print(f"{len(next(iter(columns.values())))} rows in {path}", file=sys.stderr)


COMMANDS = {
    "forecast": Command("tell the steps that follow a series, with a finished run", _forecast, default=True),
    "anomalies": Command("rate every step of a series by a finished run", _anomalies, default=True),
}
