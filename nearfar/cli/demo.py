"""The command demo: ReLIC on styled handwriting, beside SimCLR and beside itself untrained, in under three minutes."""

from __future__ import annotations

from pathlib import Path

from nearfar.common.parsers import Parser


def demo(argv: list[str]) -> int:
    parser = Parser(
        prog="nearfar demo",
        description="Train ReLIC and SimCLR on real handwriting, measure them, write a page.",
    )
    parser.add_argument("--out", type=Path, default=Path("runs"), help="folder in which the two runs are kept")
    parser.add_argument("--steps", help="steps of each training; those of the laptop preset when not given")
    options = parser.parse_args(argv)
    from nearfar.cli import main
    from nearfar.runs.run import free_folder

    relic, simclr = (free_folder(options.out / f"demo-{slug}") for slug in ("relic", "simclr"))
    length = ["--steps", options.steps] if options.steps else []
    print("Training ReLIC, then SimCLR for as many steps, on handwriting in many styles.\n", flush=True)
    for words in (
        ["train", "relic", "--out", str(relic), *length],
        ["train", "simclr", "--out", str(simclr), *length],
        ["evaluate", str(relic), str(simclr)],
        ["report", str(relic), "--against", str(simclr)],
    ):
        code = main(words)
        if code:
            return code
    print(f"\nThe page above shows the run; vectors: nearfar embed {relic} -o vectors.parquet")
    return 0
