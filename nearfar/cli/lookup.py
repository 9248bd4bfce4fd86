"""Commands that look things up: list, show, doctor."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import sys
from typing import Any

from nearfar.catalogue import ENTRIES, FIELDS, find
from nearfar.catalogue.terms import TERMS, answers, grouped, terms
from nearfar.common.parsers import Parser
from nearfar.system import Entry

EXTRAS = {
    "graph": "torch_geometric",
    "molecules": "rdkit",
    "medical": "pydicom",
    "heic": "pillow_heif",
    "search": "faiss",
    "audio": "soundfile",
    "video": "av",
    "control": "gymnasium",
    "solver": "pyscipopt",
    "language": "peft",
    "diffusion": "diffusers",
    "onnx": "onnxruntime",
    "remote": "s3fs",
    "ray": "ray",
    "timm": "timm",
    "torchvision": "torchvision",
    "carla": "carla",
    "atlas": "embedding_atlas",
    "tensorboard": "tensorboard",
    "mteb": "mteb",
}
"""A module that tells whether an extra is installed; a test holds it against pyproject.toml."""


def list_methods(argv: list[str]) -> int:
    parser = Parser(prog="nearfar list", description="Every system and data set of the library.")
    parser.add_argument("--field", choices=FIELDS, help="only the systems of one field")
    parser.add_argument("--by", choices=[*TERMS], help="group them by the reviews' answers to a question")
    for question in TERMS:
        parser.add_argument(f"--{question}", choices=answers(question), help="only systems with this answer")
    parser.add_argument("--json", action="store_true", help="print one JSON array")
    options = parser.parse_args(argv)
    asked = {question: getattr(options, question) for question in TERMS if getattr(options, question)}
    rows = [e for e in ENTRIES if options.field in (None, e.field) and e.kind != "study"]
    if asked:
        rows = [e for e in rows if all(answer in terms(e).get(q, ()) for q, answer in asked.items())]
        if not rows:
            said = ", ".join(f"{question} {answer}" for question, answer in asked.items())
            print(f"no system has {said}", file=sys.stderr)
            return 0
    if options.by and not options.json:
        for answer, systems in grouped(rows, options.by).items():
            print(f"{options.by} {answer} ({len(systems)}): {', '.join(s.slug for s in systems)}")
        return 0
    if options.json:
        print(json.dumps([_row(s) for s in rows], indent=2))
        return 0
    lines = [_cells(s) for s in rows]
    widths = [max(len(text) for text in column) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    return 0


def _cells(entry: Entry) -> tuple[str, str, str, str]:
    return entry.slug, entry.field, entry.verdict if entry.kind != "data set" else "data set", entry.paper


def _row(system: Entry) -> dict[str, Any]:
    return {
        "slug": system.slug,
        "name": system.name,
        "kind": system.kind,
        "field": system.field,
        "verbs": list(system.verbs),
        "paper": system.paper,
        "summary": system.summary,
        "verdict": system.verdict,
        "terms": {question: list(found) for question, found in terms(system).items()},
    }


def show(argv: list[str]) -> int:
    parser = Parser(prog="nearfar show", description="One system in full.")
    parser.add_argument("method", help="its slug, as `nearfar list` prints it")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(argv)
    system = find(options.method)
    parts = vars(system.parts) if system.parts else {}
    if options.json:
        print(
            json.dumps(
                {
                    **_row(system),
                    "parts": parts,
                    "paper": {**system.paper_training},
                    "laptop": {**system.laptop},
                    "commands": dict(system.commands),
                    "result": system.result,
                },
                indent=2,
            )
        )
        return 0
    print(f"{system.name} ({system.slug}, {system.field})\n{system.paper}\n\n{system.summary}\n")
    for name, text in parts.items():
        print(f"  {name:<8} {text}")
    for purpose, command in system.commands:
        print(f"  {purpose:<10} {command}")
    if system.laptop:
        print("\nOn embedded data, instead of the paper's defaults:")
        for name, value in system.laptop.items():
            print(f"  --{name} {value}")
    if system.kind == "data set":
        return 0
    print(f"\nReproduction: {system.verdict}")
    for claim in (system.result or {}).get("claims", []):
        print(f"  {claim['text']}: {claim['verdict']} ({claim['summary']})")
    if system.kind != "study":
        print(f"\nAll settings: nearfar {'train' if system.trains else 'evaluate'} {system.slug} --help")
    return 0


def doctor(argv: list[str]) -> int:
    parser = Parser(prog="nearfar doctor", description="What this machine can do.")
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
    for extra, module in EXTRAS.items():
        present = importlib.util.find_spec(module) is not None
        found[f"nearfar[{extra}]"] = "installed" if present else f"not installed: pip install 'nearfar[{extra}]'"
    found["systems"] = f"{len(ENTRIES)} in {len(FIELDS)} fields"
    return found
