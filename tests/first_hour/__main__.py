"""The first hour in its long form: ``python -m tests.first_hour [person ...]``, each command in its own process."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.first_hour.desk import Desk
from tests.first_hour.people import PEOPLE


def main(names: list[str]) -> int:
    """Replay the people named, all of them when none is; returns how many steps failed."""
    unknown = [name for name in names if name not in PEOPLE]
    if unknown:
        print(f"there is nobody called {unknown[0]!r}; there are {', '.join(PEOPLE)}", file=sys.stderr)
        return 2
    failed = 0
    for name in names or PEOPLE:
        with tempfile.TemporaryDirectory(prefix="first-hour-") as folder:
            print(f"{name}: {(PEOPLE[name].__doc__ or '').strip()}", flush=True)
            desk = Desk(Path(folder), long=True, say=lambda text: print(text, flush=True))
            started = time.perf_counter()
            try:
                with desk.sit_down():
                    PEOPLE[name](desk)
            except AssertionError as error:
                failed += 1
                print(f"  FAILED: {error}", flush=True)
            else:
                print(f"  works, {time.perf_counter() - started:.0f} s", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
