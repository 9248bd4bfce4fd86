"""The property tests of the suite with thousands of cases instead of hundreds, drawn anew every time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any


def measure(scratch: Path) -> dict[str, Any]:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "tests/fuzz",
        "--hypothesis-show-statistics",
        "-p",
        "no:cacheprovider",
    ]
    found = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NEARFAR_FUZZ": "soak"},
        cwd=Path(__file__).parent.parent,
    )
    passing = [int(n) for n in re.findall(r"(\d+) passing", found.stdout)]
    failing = [int(n) for n in re.findall(r"(\d+) failing", found.stdout)]
    failures = re.findall(r"^FAILED (.*)$", found.stdout, re.M)
    return {"cases": sum(passing) + sum(failing), "failures": len(failures), "failed": failures}
