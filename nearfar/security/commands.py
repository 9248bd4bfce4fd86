"""Commands on the security of runs: audit."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from nearfar.common.parsers import Parser
from nearfar.system import Command, UsageError


def _audit(words: Sequence[str]) -> int:
    parser = Parser(prog="nearfar audit", description=COMMANDS["audit"].help)
    parser.add_argument("run", type=Path, help="folder of a finished run of a method on pictures")
    parser.add_argument("--data", help="labelled pictures with a held-out set; those of the run when not given")
    parser.add_argument("--pictures", type=int, default=600, help="how many training and held-out pictures, at most")
    parser.add_argument("--seed", type=int, default=0, help="of everything random in it")
    parser.add_argument("--suspects", type=Path, help="also write training pictures by how lonely they are, .csv")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(list(words))
    if options.suspects is not None and options.suspects.exists():
        raise UsageError(f"{options.suspects} is there already; remove it first, or give another name")
    from nearfar import workflow
    from nearfar.security.bench import audit, both
    from nearfar.workflow.running import like_the_run

    entry, method, run = workflow.load_run(options.run)
    if "embeds" not in method.verbs:
        raise UsageError(f"{options.run} is a run of {entry.slug}, which embeds no pictures")
    data = workflow.run_data(entry, like_the_run(run, options.data, {}))
    members, others = both(data, options.pictures)
    method.requires_grad_(False)
    findings = audit(method.encode, members, others, seed=options.seed)
    if options.suspects is not None:
        _suspects(method, data, options.suspects)
    if options.json:
        print(json.dumps({"run": str(options.run), "findings": [vars(f) for f in findings]}))
        return 0
    width = max(len(f.test) for f in findings)
    for f in findings:
        print(f"{f.test:<{width}}  {f.value:>7.3f}  {'succeeded' if f.succeeded else 'no success':<11} {f.unit}")
    count = sum(f.succeeded for f in findings)
    print(f"{len(findings) - 1} things tried on {options.run}, {count} succeeded", file=sys.stderr)
    return 0


def _suspects(method, data, path: Path) -> None:  # type: ignore[no-untyped-def]
    """Training pictures, the loneliest first: poison lies apart or in a knot of its own."""
    import numpy as np

    from nearfar.common.files import atomic_write
    from nearfar.security.poison import outlier_scores
    from nearfar.training import embed

    found = embed(method, data)
    scores = outlier_scores(found.normalized().array)
    with atomic_write(path, "w") as file:
        file.write("id,outlier_factor\n")
        for row in np.argsort(-scores, kind="stable"):
            file.write(f"{found.ids[row]},{scores[row]:.4f}\n")


COMMANDS = {"audit": Command("try the standard attacks on a finished run and say which succeeded", _audit)}
