"""Commands held against the real parsers, and snippets against what can be imported, without running either."""

from __future__ import annotations

import ast
import importlib
import inspect
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from nearfar.catalogue import ENTRIES, find
from nearfar.cli import COMMANDS, _command
from nearfar.cli import fields as of_fields
from nearfar.cli import train as training
from nearfar.cli import words as own_words
from nearfar.common.parsers import Parser
from tests.documentation.blocks import ROOT

SLUGS = {entry.slug: entry for entry in ENTRIES}


class Understood(BaseException):
    """A command line was parsed; with the words that are left for a system's own settings."""

    def __init__(self, options: Any = None, rest: Sequence[str] = ()) -> None:
        self.options, self.rest = options, list(rest)


class Reader:
    """Parses the commands of one page by the real parsers, and stops each where it would begin to work.

    Attributes:
        runs: the system of every run that the page's commands have made so far, by folder.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.runs: dict[str, str] = {}
        for name in ("classify", "measure", "verbs"):
            importlib.import_module(f"nearfar.cli.{name}")
        of_fields.commands()  # so that their modules are there to be patched
        parse_args, parse_own = Parser.parse_args, own_words.parse_own

        def stop_after(function: Callable[..., Any]) -> Callable[..., Any]:
            def parsed(*args: Any, **kwargs: Any) -> Any:
                found = function(*args, **kwargs)
                raise Understood(*(found if isinstance(found, tuple) else (found,)))

            return parsed

        def stop(*_: Any, **__: Any) -> Any:
            raise Understood

        known_args = Parser.parse_known_args

        def parse_known_args(*args: Any, **kwargs: Any) -> Any:
            found = known_args(*args, **kwargs)
            if sys._getframe(1).f_globals["__name__"].endswith(".commands"):
                raise Understood(*found)
            return found

        patch.setattr(Parser, "parse_args", stop_after(parse_args))
        patch.setattr(Parser, "parse_known_args", parse_known_args)
        for module in [m for name, m in sys.modules.items() if name.startswith("nearfar") and m is not None]:
            if getattr(module, "parse_own", None) is parse_own:
                patch.setattr(module, "parse_own", stop_after(parse_own))
        patch.setattr(training, "_run", stop)
        patch.setattr(training, "_decided", stop)
        patch.setattr("nearfar.workflow.resume_run", stop)
        patch.setattr("nearfar.workflow.load_data", stop)
        patch.setattr(of_fields, "_field_of", self._field_of)

    def _field_of(self, word: str) -> str | None:
        slug = self.runs.get(word.rstrip("/"), word)
        return SLUGS[slug].field if slug in SLUGS else None

    def read(self, words: list[str]) -> None:
        """Parse the words after ``nearfar``.

        Raises:
            AssertionError: they are not understood.
        """
        if words in (["--help"], ["--version"]):
            return
        if words[0] == "train" and len(words) > 1 and words[1] in SLUGS:
            out = words[words.index("--out") + 1] if "--out" in words else f"runs/{words[1]}"
            self.runs[out] = words[1]
        if words[:1] == ["demo"]:
            self.runs |= {"runs/demo-relic": "relic", "runs/demo-simclr": "simclr"}
        try:
            code = _command(words[0], words[1:])()
        except Understood as understood:
            self._own(words[0], understood)
        except SystemExit as left:
            if left.code:
                raise AssertionError(f"left with {left.code}") from left
        else:
            assert {"-h", "--help"} & set(words) or words == ["train"], f"did something and returned {code}"

    def name(self, words: list[str]) -> None:
        """Take words that only name a command, as a text does; others are parsed."""
        if all(word.isalpha() or "-" in word[1:] for word in words) and (
            (words[0] in COMMANDS and len(words) == 1) or " ".join(words) in of_fields.commands()
        ):
            return
        self.read(words)

    def _own(self, command: str, understood: Understood) -> None:
        """Hold the words that are left against the settings of the system that is meant."""
        if not understood.rest or command == "decodings":  # whose flags are those of several decoders
            return
        from nearfar.cli.options import Flags, loader_options

        named = {name: getattr(understood.options, name, None) for name in ("decoding", "system", "run", "runs")}
        first = next(value for value in named.values() if value)
        name = str(first[0] if isinstance(first, list) else first).rstrip("/")
        entry = find(self.runs.get(name, name))
        if name in SLUGS and not entry.trains:
            Flags(entry, command, "").parse(understood.rest)
        else:
            loader_options(entry, understood.rest, command)


def nearfar_words(command: str) -> list[str] | None:
    """The words after ``nearfar`` of a line of a shell, ``None`` for other programs."""
    words = shlex.split(command, comments=True)
    while words and "=" in words[0] and words[0].partition("=")[0].isupper():
        words.pop(0)
    for end in ("|", ">", "&&", ";", "2>", "&"):
        words = words[: words.index(end)] if end in words else words
    if "-m" in words and "nearfar" in words and words.index("nearfar") == words.index("-m") + 1:
        return words[words.index("nearfar") + 1 :]
    return words[1:] if words and words[0] == "nearfar" else None


def check_other(command: str) -> None:
    """A command that is not nearfar's: a target of the Makefile, or one of a few programs."""
    words = shlex.split(command, comments=True)
    if words[0] == "make":
        targets = [word for word in words[1:] if "=" not in word]
        text = (ROOT / "Makefile").read_text()
        assert all(f"\n{target}:" in text for target in targets), f"{command}: no such target"
        return
    assert words[0] in {"pip", "python", "git", "cat", "ls", "head", "mkdir", "cp", "export"}, f"what is {command}?"


def check_python(code: str) -> None:
    """Compile a snippet; import what it imports; look up every attribute of that, and every keyword it is called with.

    Raises:
        AssertionError, SyntaxError, ImportError: something does not exist.
    """
    tree = ast.parse(code)
    known: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                module = importlib.import_module(alias.name)
                known[alias.asname or alias.name.partition(".")[0]] = (
                    module if alias.asname else importlib.import_module(alias.name.partition(".")[0])
                )
        elif isinstance(node, ast.ImportFrom):
            assert node.module
            module = importlib.import_module(node.module)
            for alias in node.names:
                assert hasattr(module, alias.name), f"{node.module} has no {alias.name}"
                known[alias.asname or alias.name] = getattr(module, alias.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            _resolved(node, known)
        if isinstance(node, ast.Call):
            _check_keywords(node, _resolved(node.func, known))


def _resolved(node: ast.expr, known: dict[str, Any]) -> Any:
    """What a dotted name is, where it begins with something imported; ``None`` otherwise."""
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute):
        owner = _resolved(node.value, known)
        if owner is None:
            return None
        assert hasattr(owner, node.attr), f"{ast.unparse(node)}: there is no {node.attr}"
        return getattr(owner, node.attr)
    return None


def _check_keywords(call: ast.Call, function: Any) -> None:
    if not callable(function) or not getattr(function, "__module__", "").startswith("nearfar"):
        return
    parameters = inspect.signature(function).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    for keyword in call.keywords:
        assert keyword.arg is None or keyword.arg in parameters, f"{ast.unparse(call)}: no argument {keyword.arg}"
