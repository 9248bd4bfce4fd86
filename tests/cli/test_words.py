"""Settings that a command does not know keep their values."""

from __future__ import annotations

import argparse

import pytest

from nearfar.cli.words import parse_own


@pytest.mark.parametrize(
    ("words", "inputs", "rest"),
    [
        (["--model", "folder", "-o", "out", "in"], "in", ["--model", "folder"]),
        (["in", "--writing.temperature=-1", "--seed", "-3", "-o", "out"], "in", ["--writing.temperature=-1"]),
        (["--strict", "--seed", "1", "in"], "in", ["--strict"]),
        (["in", "--over", "--weight", "-0.5"], "in", ["--weight", "-0.5"]),
    ],
)
def test_the_value_of_an_unknown_setting_is_no_input(words: list[str], inputs: str, rest: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("inputs", nargs="?")
    parser.add_argument("-o", "--out")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--overwrite", action="store_true")
    options, found = parse_own(parser, words)
    assert (options.inputs, found) == (inputs, rest)
