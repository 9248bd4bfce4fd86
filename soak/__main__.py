"""Run the parts, print their figures as JSON, keep them in ``soak/results.json`` and write them into the table."""

from __future__ import annotations

import importlib
import json
import platform
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

PARTS = ("kills", "signals", "ranks", "damage", "disk", "collapse", "growth", "limits", "workers", "fuzz")
ROOT = Path(__file__).parent.parent
RESULTS, TABLE = ROOT / "soak" / "results.json", ROOT / "docs" / "robustness.md"


def main(wanted: list[str]) -> int:
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        print(f"soak: there is no part {unknown[0]!r}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    results: dict[str, Any] = {}
    failed = []
    for name in wanted or PARTS:
        begun = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix=f"soak-{name}-") as scratch:
            try:
                figures = importlib.import_module(f"soak.{name}").measure(Path(scratch))
            except Exception as error:
                figures = {"error": f"{type(error).__name__}: {str(error)[-800:]}"}
                failed.append(name)
        figures["seconds"] = round(time.perf_counter() - begun)
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        results[name] = figures
        results["machine"] = {"python": platform.python_version(), "torch": str(torch.__version__), "threads": 1}
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")
        print(json.dumps({name: figures}), flush=True)
    fill(results)
    return 1 if failed else 0


def fill(results: dict[str, Any]) -> None:
    """Put every figure behind its mark ``<!--part.name-->`` in the table of promises."""

    def figure(match: re.Match[str]) -> str:
        value: Any = results
        for key in match[1].split("."):
            value = value.get(key) if isinstance(value, dict) else None
        return f"<!--{match[1]}-->{match[2] if value is None else value}"

    text = TABLE.read_text()
    TABLE.write_text(re.sub(r"<!--([\w.]+)-->([\w.+-]*)", figure, text))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
