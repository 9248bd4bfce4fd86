"""Parsers of command lines whose errors say what was meant."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterable
from typing import NoReturn

UNKNOWN = "unrecognized arguments: "


class Parser(argparse.ArgumentParser):
    """A parser whose error on a misspelt flag names the nearest."""

    def error(self, message: str) -> NoReturn:
        """Leave with one sentence and exit code 2."""
        super().error(spelt(message, self._option_string_actions))


def spelt(message: str, flags: Iterable[str]) -> str:
    """A parser's message, that some argument is unknown put in words that help; others as they are."""
    head, unknown, rest = message.partition(UNKNOWN)
    name = rest.split(" ")[0].partition("=")[0]
    if not unknown:
        return message
    if not name.startswith("-"):
        return f"{head}nothing is known of {name!r} here; --help shows what is"
    close = difflib.get_close_matches(name, sorted(flags), n=2)
    return f"{head}there is no setting {name}; " + (
        f"did you mean {' or '.join(close)}?" if close else "--help shows those there are"
    )
