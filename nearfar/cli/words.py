"""Words of a command line whose settings only a system knows."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from nearfar.system import UsageError


def parse_own(parser: argparse.ArgumentParser, argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Parse a command's own arguments; settings that it does not know are given back, each with its value.

    ``parse_known_args`` alone takes the value of a setting that it does not know for a positional argument.
    """
    own, rest, words = [], [], list(argv)
    known = parser._option_string_actions
    while words:
        word = words.pop(0)
        name = word.partition("=")[0]
        if not word.startswith("--") or any(option.startswith(name) for option in known):
            own.append(word)
            takes = known[name].nargs if name in known else 0
            if takes is None and "=" not in word and words:  # an option with one value, which may look like anything
                own.append(words.pop(0))
            continue
        rest.append(word)
        if "=" not in word and words and not words[0].startswith("--"):
            rest.append(words.pop(0))
    options, odd = parser.parse_known_args(own)
    return options, [*odd, *rest]


def writable(path: Path, overwrite: bool, suffixes: Sequence[str]) -> None:
    """Refuse a file that is to be written and has another ending, or that is there and is not to be replaced."""
    if path.suffix not in suffixes:
        raise UsageError(f"--out must end in {' or '.join(suffixes)}, got {path}")
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists; choose another name, or give --overwrite")
