"""Commands of this field."""

from __future__ import annotations

from collections.abc import Sequence

from nearfar.common.parsers import Parser
from nearfar.system import Command, UsageError


def export_policy(argv: Sequence[str]) -> int:
    """A run's language model as a folder that transformers, or with ``--adapter`` peft, loads."""
    from pathlib import Path

    parser = Parser(
        prog="nearfar export-policy", description="Write a run's language model as a folder that transformers loads."
    )
    parser.add_argument("run", help="a run's folder")
    parser.add_argument("-o", "--out", type=Path, required=True, help="a folder that is not there yet, or is empty")
    parser.add_argument("--adapter", action="store_true", help="the adapter alone, as peft loads it")
    options = parser.parse_args([*argv])
    if options.out.exists() and (not options.out.is_dir() or any(options.out.iterdir())):
        raise UsageError(f"{options.out} exists and is not an empty folder; choose another name")
    from nearfar import workflow
    from nearfar.preference.method import Aligned

    entry, method, _ = workflow.load_run(options.run)
    if not isinstance(method, Aligned):
        raise UsageError(f"{entry.slug} trains no language model")
    method.policy.export(options.out, adapter=options.adapter)
    print(options.out)
    return 0


COMMANDS = {"export-policy": Command("write a run's language model as a folder that transformers loads", export_policy)}
