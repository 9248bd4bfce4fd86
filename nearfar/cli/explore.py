"""The command explore: a run's data in a viewer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from nearfar.common.parsers import Parser
from nearfar.system import UsageError


def explore(argv: list[str]) -> int:
    parser = Parser(
        prog="nearfar explore",
        description="Write a finished run's examples (pictures or texts, labels, vectors, a map, neighbours) as a "
        "parquet and open Embedding Atlas on it, where the extra atlas is installed.",
    )
    parser.add_argument("run", type=Path, help="the run's folder")
    parser.add_argument("data", nargs="?", help="what to look at; the run's own data when not given")
    parser.add_argument("-o", "--out", type=Path, help="the parquet; explore.parquet in the run's folder otherwise")
    parser.add_argument("--most", type=int, default=5000, help="examples; of more, a drawn sample")
    parser.add_argument("--no-open", action="store_true", help="write the parquet and stop")
    options = parser.parse_args(argv)
    if options.most < 8:
        raise UsageError(f"--most must be at least 8, got {options.most}")
    from nearfar.report.explore import viewer_command, viewer_installed, write_table

    table, found = write_table(options.run, options.out, data=options.data, most=options.most)
    print(table)
    print(f"{len(found.ids):,} of {found.total:,} examples, laid out by {found.by}", file=sys.stderr)
    if options.no_open:
        return 0
    if not viewer_installed():
        print(
            "to open it: pip install 'nearfar[atlas]', then this command again; any viewer of parquet opens it too",
            file=sys.stderr,
        )
        return 0
    sys.stdout.flush()
    return subprocess.call(viewer_command(table, found))
