"""`make bench`: every benchmark, or the one named, each with its table and its JSON beside it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
BENCHMARKS = ("losses", "views")


def main() -> int:
    chosen = sys.argv[1:] or BENCHMARKS
    for name in chosen:
        if name not in BENCHMARKS:
            print(f"there is no benchmark {name!r}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
            return 2
    out = HERE / "results"
    out.mkdir(exist_ok=True)
    for name in chosen:
        code = subprocess.call([sys.executable, str(HERE / f"{name}.py"), "--json", str(out / f"{name}.json")])
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
