"""`make demo`: ReLIC on styled handwriting, beside SimCLR and beside itself untrained, in under three minutes."""

from __future__ import annotations

import sys
from pathlib import Path

from nearfar.cli import main
from nearfar.runs.run import free_folder


def demo() -> int:
    relic = free_folder(Path("runs/demo-relic"))
    simclr = free_folder(Path("runs/demo-simclr"))
    print("Training ReLIC, then SimCLR for as many steps, on handwriting in many styles.\n", flush=True)
    for words in (
        ["train", "relic", "--out", str(relic)],
        ["train", "simclr", "--out", str(simclr)],
        ["evaluate", str(relic), str(simclr)],
        ["report", str(relic), "--against", str(simclr)],
    ):
        code = main(words)
        if code:
            return code
    print(f"\nThe page above shows the run; vectors: nearfar embed {relic} -o vectors.parquet")
    return 0


if __name__ == "__main__":
    sys.exit(demo())
