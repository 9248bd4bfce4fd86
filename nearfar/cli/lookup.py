"""Commands that look things up: list, show, doctor."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import sys

from nearfar.catalogue import FIELDS, SYSTEMS, System, find
from nearfar.catalogue.datasets import DATA_SETS, DataSet


def list_methods(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="nearfar list", description="Every method and data set of the library.")
    parser.add_argument("--field", choices=FIELDS, help="only the methods of one field")
    parser.add_argument("--json", action="store_true", help="print one JSON array")
    options = parser.parse_args(argv)
    rows = [s for s in SYSTEMS if options.field in (None, s.field)]
    if options.json:
        print(json.dumps([_row(s) for s in rows], indent=2))
        return 0
    lines = [_cells(s) for s in rows]
    lines += [(d.slug, d.field, "data set", d.paper) for d in DATA_SETS if options.field in (None, d.field)]
    widths = [max(len(text) for text in column) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    return 0


def _cells(system: System) -> tuple[str, str, str, str]:
    return system.slug, system.field, system.verdict, system.paper


def _row(system: System) -> dict[str, str]:
    return {
        "slug": system.slug,
        "name": system.name,
        "field": system.field,
        "paper": system.paper,
        "summary": system.summary,
        "verdict": system.verdict,
    }


def show(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="nearfar show", description="One method in full.")
    parser.add_argument("method", help="its slug, as `nearfar list` prints it")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(argv)
    for data_set in DATA_SETS:
        if data_set.slug == options.method:
            return _show_data_set(data_set, options.json)
    system = find(options.method)
    parts = vars(system.parts)
    if options.json:
        print(
            json.dumps(
                {**_row(system), "parts": parts, "laptop": {**system.laptop}, "result": system.result},
                indent=2,
            )
        )
        return 0
    print(f"{system.name} ({system.slug}, {system.field})\n{system.paper}\n\n{system.summary}\n")
    for name, text in parts.items():
        print(f"  {name:<8} {text}")
    if system.laptop:
        print("\nOn embedded data, instead of the paper's defaults:")
        for name, value in system.laptop.items():
            print(f"  --{name} {value}")
    print(f"\nReproduction: {system.verdict}")
    for claim in (system.result or {}).get("claims", []):
        print(f"  {claim['text']}: {claim['verdict']} ({claim['summary']})")
    print(f"\nAll settings: nearfar train {system.slug} --help")
    return 0


def _show_data_set(data_set: DataSet, as_json: bool) -> int:
    if as_json:
        print(json.dumps({**vars(data_set), "commands": dict(data_set.commands)}, indent=2))
        return 0
    print(f"{data_set.name} ({data_set.slug}, data of {data_set.field})\n{data_set.paper}\n\n{data_set.summary}\n")
    for purpose, command in data_set.commands:
        print(f"  {purpose:<10} {command}")
    return 0


def doctor(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="nearfar doctor", description="What this machine can do.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(argv)
    found = _diagnosis()
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        for name, text in found.items():
            print(f"{name:<14} {text}")
    return 0 if found["torch"] != "missing" else 1


def _diagnosis() -> dict[str, str]:
    from nearfar import __version__

    found = {
        "nearfar": __version__,
        "python": f"{platform.python_version()} at {sys.executable}",
        "processors": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "torch": "missing",
    }
    if importlib.util.find_spec("torch"):
        import torch

        found["torch"] = str(torch.__version__)
        cuda = torch.cuda.is_available()
        found["accelerator"] = torch.cuda.get_device_name() if cuda else "none: training runs on the processor"
        found["threads"] = str(torch.get_num_threads())
    extras = {"graph": "torch_geometric", "search": "faiss", "timm": "timm", "carla": "carla"}
    for extra, module in extras.items():
        present = importlib.util.find_spec(module) is not None
        found[f"nearfar[{extra}]"] = "installed" if present else f"not installed: pip install 'nearfar[{extra}]'"
    found["methods"] = f"{len(SYSTEMS)} in {len(FIELDS)} fields"
    return found
