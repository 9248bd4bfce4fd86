"""Commands that train: train, resume."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import yaml

from nearfar.catalogue import SYSTEMS, find
from nearfar.cli import UsageError

USAGE = """usage: nearfar train <method> [--data PATH] [--out DIR] [--seed N] [--steps N] [settings]
       nearfar train --config runs/x/config.yaml [--out DIR]
       nearfar train --resume runs/x

Trains a method. Without --data it learns from an embedded set with settings for a laptop; with --data it starts
from the paper's defaults. `nearfar train <method> --help` shows every setting of a method.

methods: """


def train(argv: list[str]) -> int:
    if argv and argv[0] == "--resume":
        return resume(argv[1:])
    if argv and argv[0] == "--config":
        return _repeat(argv[1:])
    if not argv or argv[0].startswith("-"):
        wanted_help = bool(argv) and argv[0] in ("-h", "--help")
        if not wanted_help:
            raise UsageError("name a method: nearfar train <method>; `nearfar list` shows them all")
        print(USAGE + ", ".join(system.slug for system in SYSTEMS))
        return 0
    system = find(argv[0])
    from nearfar.cli.options import Flags

    flags = Flags(system, f"nearfar train {system.slug}", f"{system.name}: {system.summary}")
    parser = flags.parser
    parser.add_argument("--data", type=str, help="where the data is; an embedded set when not given")
    parser.add_argument("--out", type=str, help="folder of the run; runs/<method> when not given")
    parser.add_argument("--preset", choices=["paper", "laptop"], help="which defaults; laptop without --data")
    parser.add_argument("--json", action="store_true", help="print the final metrics as one JSON object")
    if _preset(argv[1:]) == "laptop":
        flags.use_laptop()
    settings = flags.parse(argv[1:])
    return _run(
        system.slug,
        data=settings.rest["data"],
        out=settings.rest["out"],
        as_json=settings.rest["json"],
        arguments=settings.arguments,
        training=settings.training,
        data_options=settings.data_options,
    )


def _preset(words: list[str]) -> str:
    light = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    light.add_argument("--data")
    light.add_argument("--preset")
    found, _ = light.parse_known_args(words)
    return found.preset or ("paper" if found.data else "laptop")


def _run(slug: str, *, out: str | None, as_json: bool, **settings: Any) -> int:
    from nearfar import workflow
    from nearfar.training.run import free_folder

    if out is None and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("give --out when several processes train together, so that they agree on the folder")
    folder = Path(out) if out else free_folder(Path("runs") / slug)
    _, run = workflow.train(slug, out=folder, **settings)
    assert run is not None
    return _finish(run, as_json)


def _repeat(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="nearfar train --config")
    parser.add_argument("config", type=Path)
    parser.add_argument("--out", type=str)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    if not options.config.is_file():
        raise FileNotFoundError(f"there is no file {options.config}")
    config = yaml.safe_load(options.config.read_text())
    if not isinstance(config, dict) or "method" not in config:
        raise UsageError(f"{options.config} names no method; expected a config.yaml of a run")
    from nearfar.training import Training

    data = dict(config.get("data", {}))
    return _run(
        config["method"],
        out=options.out,
        as_json=options.json,
        data=data.pop("source", None),
        data_options=data,
        arguments=config.get("hyperparameters", {}),
        training=Training(**config.get("training", {})),
    )


def resume(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="nearfar resume", description="Continue an interrupted run, to the bit.")
    parser.add_argument("run", type=Path, help="the run's folder")
    parser.add_argument("--json", action="store_true", help="print the final metrics as one JSON object")
    options = parser.parse_args(argv)
    from nearfar import workflow

    _, run = workflow.resume_run(options.run)
    return _finish(run, options.json)


def _finish(run: Any, as_json: bool) -> int:
    from nearfar.training.run import read_metrics
    from nearfar.workflow import first_process

    if not first_process():
        return 0
    final: dict[str, float] = {}
    for row in read_metrics(run.path / "metrics.csv"):
        final.update(row)
    if as_json:
        print(json.dumps({"run": str(run.path), **final}))
    else:
        print(f"\n{run.path} is complete. Next: nearfar evaluate {run.path}", file=sys.stderr)
    return 0
