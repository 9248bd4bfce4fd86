"""Commands on pictures: data pack, data check."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from nearfar.common.parsers import Parser
from nearfar.system import Command


def _parse_pack(words: Sequence[str]) -> int:
    parser = Parser(prog="nearfar data pack", description=COMMANDS["data pack"].help)
    parser.add_argument("data", help="a folder of pictures, archives or parquet files of them")
    parser.add_argument("-o", "--out", type=Path, required=True, help="a new folder for the shards")
    parser.add_argument("--size", type=int, default=256, help="the shorter side in pixels; smaller ones stay")
    parser.add_argument("--quality", type=int, default=90, help="of JPEG, from 1 to 100")
    parser.add_argument("--per-shard", type=int, default=4096, help="pictures in a shard")
    parser.add_argument("--seed", type=int, default=0, help="of the order")
    parser.add_argument("--max-bad", type=float, default=0.1, help="largest share of unreadable pictures, in [0, 1]")
    options = parser.parse_args(words)
    from nearfar.vision.data import load, parquet, parquet_files
    from nearfar.vision.packing import pack

    path = Path(options.data)
    columns = path.suffix in (".parquet", ".pq") or (path.is_dir() and parquet_files(path))
    found = pack(
        parquet(path, 96, max_bad=options.max_bad, held=0) if columns else load(options.data, max_bad=options.max_bad),
        options.out,
        size=options.size,
        quality=options.quality,
        per_shard=options.per_shard,
        seed=options.seed,
        say=_say,
    )
    share = f", {found.bytes / found.before:.0%} of the {found.before / 1e6:,.1f} MB before" if found.before else ""
    _say(f"{found.pictures:,} pictures in {found.shards:,} shards take {found.bytes / 1e6:,.1f} MB{share}")
    if found.skipped:
        _say(f"{found.skipped:,} could not be read; {options.out / 'skipped.tsv'} lists them")
    _say(f"Next: nearfar train simclr --data {options.out}")
    return 0


def _parse_check(words: Sequence[str]) -> int:
    parser = Parser(prog="nearfar data check", description=COMMANDS["data check"].help)
    parser.add_argument("data", help="a folder of pictures, archives of them, or anything else that trains")
    options = parser.parse_args(words)
    import warnings

    from nearfar.sources.found import describe
    from nearfar.sources.skipped import Skipped, plain
    from nearfar.vision.data import load

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # every one of them is printed below
        data = load(options.data, max_bad=1.0, verify=True)
    print("\n".join(describe(data)))
    bad = [getattr(part, "skipped", None) for part in (data, *data.splits().values())]
    listed = [pair for each in bad if isinstance(each, Skipped) for pair in each.items()]
    for place, reason in listed:
        print(f"{plain(place)}\t{plain(reason)}")
    return 1 if listed else 0


def _names_pictures(words: Sequence[str]) -> bool:
    """Whether a word is an archive, or a folder of archives or with a picture somewhere in it."""
    from nearfar.sources.shards.places import ARCHIVES, shards_below
    from nearfar.vision.data.folder import has_picture

    for word in words:
        path = Path(word)
        if path.suffix.lower() in ARCHIVES:
            return True
        if not word.startswith("-") and path.is_dir() and (shards_below(path) or has_picture(path)):
            return True
    return False


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


COMMANDS = {
    "data pack": Command("write pictures into shards that train fast, each made small once", _parse_pack, default=True),
    "data check": Command(
        "decode every picture and list what cannot be used; code 1 for any", _parse_check, meant=_names_pictures
    ),
}
