"""The command export: a finished run as other programs open it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from nearfar.common.parsers import Parser
from nearfar.system import UsageError


def export(argv: list[str]) -> int:
    parser = Parser(
        prog="nearfar export",
        description="Write a finished run as a folder that other programs open; it is compared with the run first.",
    )
    parser.add_argument("run", type=Path, help="the run's folder")
    parser.add_argument(
        "--to",
        help="onnx, torch-export; of picture encoders torchvision, timm, transformers; of texts sentence-transformers",
    )
    parser.add_argument(
        "-o", "--out", type=Path, help="a folder that is not there yet, or is empty; RUN-FORMAT if not given"
    )
    parser.add_argument("--data", help="what the comparison is made on; the run's own data if not given")
    parser.add_argument("--size", type=int, help="side of pictures in pixels, where no data are at hand")
    parser.add_argument("--onnx", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.onnx and options.to not in (None, "onnx"):
        raise UsageError("--onnx is --to onnx; give one of the two")
    if options.size is not None and options.data is not None:
        raise UsageError("--size stands in place of --data; give one of the two")
    if options.size is not None and options.size < 1:
        raise UsageError(f"--size must be at least 1, got {options.size}")
    from nearfar.exporting.graphs import PREPROCESSING
    from nearfar.workflow.exporting import export_run

    to = "onnx" if options.onnx else options.to
    folder, _ = export_run(options.run, to, options.out, data=options.data, size=options.size)
    print(folder)
    said = folder / PREPROCESSING
    if said.is_file():
        lines = json.loads(said.read_text())["open"]
        print("\n".join(["it is opened by", *(lines if isinstance(lines, list) else [lines])]), file=sys.stderr)
    return 0
