"""Commands that train: train, resume."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from nearfar.catalogue import METHODS, find
from nearfar.cli.loading import loading
from nearfar.common.parsers import Parser
from nearfar.common.rehearsal import cut, rehearsing
from nearfar.system import Entry, UsageError

USAGE = """usage: nearfar train <method> [--data PATH] [--out DIR] [--seed N] [--steps N] [settings]
       nearfar train --config runs/x/config.yaml [--data PATH] [--out DIR]
       nearfar train --resume runs/x

Trains a method. Without --data it learns from an embedded set with settings for a laptop; with --data it starts
from the paper's defaults. `nearfar train <method> --help` shows every setting of a method.

methods: """


LOGGER = "who sees the run besides: csv, tensorboard, wandb, mlflow, or several with commas between"
PRESETS = ["auto", "paper", "laptop", "tiny"]


def train(argv: list[str]) -> int:
    if argv and argv[0] == "--resume":
        return resume(argv[1:])
    if argv and argv[0] == "--config":
        return _repeat(argv[1:])
    if not argv or argv[0].startswith("-"):
        wanted_help = bool(argv) and argv[0] in ("-h", "--help")
        if not wanted_help:
            raise UsageError("name a method: nearfar train <method>; `nearfar list` shows them all")
        print(USAGE + ", ".join(system.slug for system in METHODS))
        return 0
    begun = time.perf_counter()
    if find(argv[0]).trains and not {"-h", "--help"} & {*argv}:
        loading(find(argv[0]).name)
    from nearfar import workflow

    system = workflow.trainable(argv[0])
    _requeue_before_training()
    from nearfar.cli.options import Flags

    flags = Flags(system, f"nearfar train {system.slug}", f"{system.name}: {system.summary}")
    parser = flags.parser
    parser.add_argument("--data", type=str, help="where the data is; an embedded set when not given")
    parser.add_argument("--out", type=str, help="folder of the run; runs/<method> when not given")
    parser.add_argument("--from", dest="start", type=str, help="a finished run or a .safetensors file to begin with")
    parser.add_argument("--preset", choices=PRESETS, help="which defaults; auto with --data, laptop without")
    parser.add_argument("--budget", type=str, help="how long to train, such as 10m or 2h; for --preset auto")
    parser.add_argument("--logger", type=str, help=LOGGER)
    parser.add_argument("--json", action="store_true", help="print the final metrics as one JSON object")
    preset = _preset(argv[1:])
    flags.use(preset)
    settings = flags.parse(argv[1:])
    arguments, start = workflow.starting.from_folder(settings.arguments, settings.rest["start"])
    chosen = {
        "data": settings.rest["data"],
        "arguments": arguments,
        "training": settings.training,
        "data_options": settings.data_options,
        "start": start,
        "loggers": _names(settings.rest["logger"]),
    }
    if preset == "auto" and not rehearsing():
        chosen = _decided(system, settings.rest["budget"], flags.given(argv[1:]), chosen, begun)
    elif settings.rest["budget"] and preset != "auto":
        raise UsageError("--budget is for --preset auto; the other presets say how long they train")
    return _run(system.slug, out=settings.rest["out"], as_json=settings.rest["json"], **chosen)


def _decided(
    system: Entry, budget: str | None, given: set[str], chosen: dict[str, Any], begun: float
) -> dict[str, Any]:
    """The settings with their length, decided from the machine, the data and a budget of time since ``begun``."""
    from nearfar import workflow
    from nearfar.training.budget import Limit
    from nearfar.workflow import auto

    if not {"steps", "epochs"} & given and not (auto.has_accelerator() and budget is None):
        chosen["training"] = replace(chosen["training"], steps=None, epochs=None)
    source = system.data if chosen["data"] is None else chosen["data"]
    collection = workflow.load_data(system.field, source, **chosen["data_options"])
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return chosen  # several processes would time each other
    found = auto.decide(
        system,
        collection,
        chosen["arguments"],
        chosen["training"],
        budget=None if budget is None else auto.seconds_of(budget),
        say=lambda text: print(text, file=sys.stderr, flush=True),
        spent=lambda: time.perf_counter() - begun,
    )
    limit = None if found.limit is None else Limit(found.limit, time.perf_counter() - begun)
    return {**chosen, "training": found.training, "collection": collection, "limit": limit}


def _names(logger: str | None) -> list[str]:
    return [name.strip() for name in (logger or "").split(",") if name.strip()]


def _preset(words: list[str]) -> str:
    light = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    light.add_argument("--data")
    light.add_argument("--preset")
    found, _ = light.parse_known_args(words)
    return found.preset or ("auto" if found.data else "laptop")


def _run(slug: str, *, out: str | None, as_json: bool, **settings: Any) -> int:
    from nearfar import workflow
    from nearfar.runs.run import free_folder

    if out is None and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("give --out when several processes train together, so that they agree on the folder")
    folder = Path(out) if out else free_folder(Path("runs") / slug)
    _, run = workflow.train(slug, out=folder, say=lambda line: print(line, file=sys.stderr), **settings)
    assert run is not None
    return _finish(run, as_json)


def _repeat(argv: list[str]) -> int:
    parser = Parser(prog="nearfar train --config")
    parser.add_argument("config", type=Path, help="a run's config.yaml, or a recipe in its form")
    parser.add_argument("--data", type=str, help="where the data is, if not where the file says")
    parser.add_argument("--out", type=str, help="folder of the run; runs/<method> when not given")
    parser.add_argument("--logger", help=LOGGER)
    parser.add_argument("--json", action="store_true", help="print the final metrics as one JSON object")
    options = parser.parse_args(argv)
    if not options.config.is_file():
        raise FileNotFoundError(f"there is no file {options.config}")
    loading(str(options.config))
    from nearfar import workflow
    from nearfar.common.settings_files import read_settings
    from nearfar.runs.configure import construct
    from nearfar.training import Training

    config = read_settings(options.config)
    if not isinstance(config.get("method"), str):
        raise UsageError(f"{options.config} names no method; expected a config.yaml of a run")
    for part in ("data", "hyperparameters", "training"):
        if not isinstance(config.get(part) or {}, dict):
            raise UsageError(f"{options.config}: {part} must be settings by name, got {config[part]!r}")
    limit = workflow.running.limit_of({"shortened": config.get("shortened")})
    data = dict(config.get("data") or {})
    source = data.pop("source", None)
    return _run(
        config["method"],
        out=options.out,
        as_json=options.json,
        data=options.data or source,
        data_options=data,
        arguments=config.get("hyperparameters") or {},
        training=cut(construct(Training, config.get("training") or {}), find(config["method"]).tiny),
        loggers=_names(options.logger),
        limit=limit,
    )


def resume(argv: list[str]) -> int:
    parser = Parser(
        prog="nearfar resume",
        description="Continue an interrupted run, to the bit. Further arguments are settings to change.",
    )
    parser.add_argument("run", type=Path, help="the run's folder")
    parser.add_argument("--json", action="store_true", help="print the final metrics as one JSON object")
    parser.add_argument(
        "--accept-changes", action="store_true", help="go on although settings or data differ from the run's"
    )
    parser.add_argument("--data", type=str, help="where the run's data are now, if not where they were")
    parser.add_argument("--logger", help=LOGGER)
    options, words = parser.parse_known_args(argv)
    _requeue_before_training()
    loading(str(options.run))
    from nearfar import workflow

    changes = _changes(options.run, words) if words else {}
    if options.data is not None:
        changes["data"] = {**changes.get("data", {}), "source": str(workflow.placed(options.data))}
    _, run = workflow.resume_run(
        options.run, changes=changes, accept_changes=options.accept_changes, loggers=_names(options.logger)
    )
    return _finish(run, options.json)


def _changes(folder: Path, words: list[str]) -> dict[str, dict[str, Any]]:
    """Settings on the command line of ``resume``, with the run's own as their defaults."""
    from nearfar.cli.options import Flags
    from nearfar.runs.hub import plain
    from nearfar.runs.settings import flatten
    from nearfar.training import Run

    config = Run.open(folder).config
    system = find(config["method"])
    flags = Flags(system, f"nearfar resume {folder}", f"{system.name}: {system.summary}")
    data = {name: value for name, value in config.get("data", {}).items() if name in flags.options}
    flags.parser.set_defaults({**flatten(config["hyperparameters"]), **config.get("training", {}), **data})
    settings = flags.parse(words)
    return {
        "hyperparameters": plain(settings.arguments),
        "training": asdict(settings.training),
        "data": plain(settings.data_options),
    }


def _requeue_before_training() -> None:
    """SIGUSR1 while modules and data are still loading asks for what it asks for later: run me again."""

    def leave(*_: Any) -> None:
        raise SystemExit(75)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGUSR1, leave)


def _finish(run: Any, as_json: bool) -> int:
    from nearfar.runs.metrics import read_metrics
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
