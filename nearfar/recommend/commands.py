"""Commands on recommenders: recommend."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from nearfar.cli.words import writable
from nearfar.common.parsers import Parser
from nearfar.system import Command


def _recommend(words: Sequence[str]) -> int:
    parser = Parser(prog="nearfar recommend", description=COMMANDS["recommend"].help)
    parser.add_argument("run", help="a finished run's folder")
    parser.add_argument("users", nargs="?", type=Path, help="a table with a column user, or one name a line; all users")
    parser.add_argument("-k", type=int, default=20, help="how many items for each user")
    parser.add_argument("-o", "--out", type=Path, required=True, help="a .csv or .parquet file")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    options = parser.parse_args(list(words))
    writable(options.out, options.overwrite, (".csv", ".parquet"))
    if options.users is not None and not options.users.is_file():
        raise FileNotFoundError(f"there is no file {options.users}")
    from nearfar import workflow
    from nearfar.cli.verbs import write_columns
    from nearfar.recommend.data import Interactions, read_users
    from nearfar.recommend.listing import recommendations
    from nearfar.recommend.method import Recommender
    from nearfar.system import require

    entry, method, run = workflow.load_run(options.run)
    require(method, "ranks", entry.slug)
    data = workflow.run_data(entry, run.config.get("data", {}))
    wanted = None if options.users is None else read_users(options.users)
    assert isinstance(method, Recommender)
    assert isinstance(data, Interactions)
    columns, bad = recommendations(method, data, options.k, wanted)
    if bad:
        warnings.warn(f"{len(bad)} users were left out, the first: {bad[0][0]}: {bad[0][1]}", stacklevel=2)
    write_columns(options.out, columns)
    print(f"{len(columns['user'])} recommendations in {options.out}", file=sys.stderr)
    return 0


COMMANDS = {"recommend": Command("the best items for users, by a finished run", _recommend)}
