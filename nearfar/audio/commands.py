"""Commands on sounds: verify."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from nearfar.cli.words import writable
from nearfar.common.parsers import Parser
from nearfar.system import Command, UsageError


def _verify(words: Sequence[str]) -> int:
    parser = Parser(
        prog="nearfar verify",
        description="Compare the two recordings of every trial of a list by a finished run, and measure the equal "
        "error rate and the minimum detection cost.",
    )
    parser.add_argument("run", help="a run's folder")
    parser.add_argument("trials", type=Path, help="a line each: `1 a.wav b.wav`, or `a.wav b.wav target`")
    parser.add_argument("--root", type=Path, help="the folder that the recordings are in; the list's own otherwise")
    parser.add_argument("-o", "--out", type=Path, help="a .csv or .parquet file for the score of every trial")
    parser.add_argument("--p-target", type=float, default=0.01, help="prior of the same speaker, for the cost")
    parser.add_argument("--longest", type=float, default=30.0, help="seconds of a recording that are heard")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args(list(words))
    if not 0 < options.p_target < 1:
        raise UsageError(f"--p-target must lie in (0, 1), got {options.p_target}")
    if options.out is not None:
        writable(options.out, options.overwrite, (".csv", ".parquet"))
    from nearfar import workflow
    from nearfar.audio.method import WindowedMethod
    from nearfar.audio.trials import read_trials, verify
    from nearfar.cli.verbs import write_columns

    entry, system, _ = workflow.load_run(options.run)
    if not isinstance(system, WindowedMethod):
        raise UsageError(f"{entry.slug} hears no sounds; trials are verified by a run of the field audio")
    trials = read_trials(options.trials)
    root = options.root or options.trials.parent
    found = verify(system, trials, root, p_target=options.p_target, longest=options.longest)
    if options.out is not None:
        write_columns(options.out, found.columns)
    count, left = len(found.columns["score"]), len(trials.same) - len(found.columns["score"])
    figures = {**found.scores, "trials": count, "left out": left}
    if options.json:
        print(json.dumps(figures))
    else:
        print(f"equal error rate        {100 * found.scores['eer']:.2f}%")
        print(f"minimum detection cost  {found.scores['min_dcf']:.4f} at a prior of {options.p_target:g}")
        print(f"trials                  {count:,}")
    for name, reason in [*found.left_out.items()][:10]:
        print(f"left out: {name}: {reason}", file=sys.stderr)
    if left:
        print(f"{left:,} of {len(trials.same):,} trials were left out", file=sys.stderr)
    return 0


COMMANDS = {"verify": Command("compare the voices of a list of trials, with a finished run", _verify, default=True)}
