"""Parsers of command lines whose errors say what was meant."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from nearfar.spelling import meant, one_of

UNKNOWN = "unrecognized arguments: "
CHOICE = re.compile(r"invalid choice: '?(.*?)'? \(choose from (.*)\)")


class Parser(argparse.ArgumentParser):
    """A parser whose error on a misspelt flag or choice names the nearest."""

    def error(self, message: str) -> NoReturn:
        """Leave with one sentence and exit code 2."""
        super().error(spelt(message, self._option_string_actions))


def spelt(message: str, flags: Iterable[str]) -> str:
    """A parser's message, that some argument or choice is unknown put in words that help; others as they are."""
    if choice := CHOICE.search(message):
        return (
            message[: choice.start()]
            + f"there is no {choice[1]!r}"
            + one_of(choice[1], [name.strip("'\"") for name in choice[2].split(", ")])
        )
    head, unknown, rest = message.partition(UNKNOWN)
    name = rest.split(" ")[0].partition("=")[0]
    flags = sorted(flags)
    if not unknown:
        return message
    if not name.startswith("-"):
        placed = "--data" in flags and ("/" in name or Path(name).exists())
        return f"{head}nothing is known of {name!r} here; " + (
            f"did you mean --data {name}?" if placed else "--help shows what is"
        )
    return f"{head}there is no setting {name}" + (meant(name, flags) or "; --help shows those there are")
