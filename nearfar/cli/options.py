"""Flags from signatures: a method's constructor, the training settings and the field's data loader."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from docstring_parser import parse as parse_docstring
from jsonargparse import ArgumentParser
from torch import nn

from nearfar import catalogue
from nearfar.common.parsers import spelt
from nearfar.common.rehearsal import cut, rehearsing, smallest
from nearfar.runs.configure import alternatives, hints, parameters, revive
from nearfar.system import Entry, UsageError
from nearfar.training import Training

SMALL_SIDE = 64
"""Side of users' pictures on a processor, in pixels."""

SMALL_RATE = 8000
"""Samples a second of users' sounds on a processor: those of the embedded sounds, for which laptop settings are."""


@dataclass(frozen=True)
class Settings:
    """What a command line says of a training: constructor arguments, training settings, loader options."""

    arguments: dict[str, Any]
    training: Training
    data_options: dict[str, Any]
    rest: dict[str, Any]


class Flags:
    """The parser of one system's settings.

    Names, types, defaults and help come from the signatures and docstrings of its constructor, of :class:`Training`
    (where it trains) and of its field's loader. No default is written anywhere else.
    """

    def __init__(self, system: Entry, prog: str, description: str) -> None:
        self.system = system
        self.cls = system.load()
        self.loader = catalogue.field(system.field).load
        self.parser = ArgumentParser(prog=prog, description=description, exit_on_error=False)
        modules = _module_arguments(self.cls)
        self.names = [*parameters(self.cls)]
        helps = {p.arg_name: p.description for p in parse_docstring(self.cls.__doc__ or "").params}
        for name in modules:
            default = parameters(self.cls)[name].default
            self.parser.add_argument(f"--{name}", type=str, default=default, help=helps.get(name))
        self.parser.add_class_arguments(self.cls, skip=set(modules))
        if system.trains:
            self.parser.add_class_arguments(Training)
        self.options = [n for n in inspect.signature(self.loader).parameters if n != "data"]
        clash = set(self.options) & set(self.names)
        self.parser.add_function_arguments(self.loader, skip={"data", *clash})

    def known_flags(self) -> set[str]:
        """Every flag of the parser, with underscores."""
        return {flag for action in self.parser._actions for flag in action.option_strings if flag.startswith("--")}

    def use(self, preset: str) -> None:
        """Choose the defaults.

        ``paper``: the paper's own, its length and batch too. ``laptop``: those for the embedded data on a processor.
        ``tiny``: the smallest training there is, which shows that everything works and teaches nothing. ``auto``: the
        paper's on a GPU, else the laptop's, with pictures of a side and sounds of a rate that a processor bears. In a
        rehearsal all are ``tiny``.
        """
        if preset == "auto":
            import torch

            preset = "paper" if torch.cuda.is_available() and not rehearsing() else preset
        small = self._small() if preset == "auto" else {}
        if preset == "paper" and not rehearsing():
            self.parser.set_defaults(dict(self.system.paper_training))
        elif preset == "tiny" or rehearsing():
            self.parser.set_defaults(smallest({**self.system.laptop, **small}, self.system.tiny))
        else:
            self.parser.set_defaults({**self.system.laptop, **small})

    def _small(self) -> dict[str, int]:
        """Users' pictures and sounds as the laptop's settings, and a processor, bear them."""
        flags = {flag.removeprefix("--") for flag in self.known_flags()}
        found = {"size": SMALL_SIDE} if {"size", "max_bad"} <= flags else {}
        return found | ({"resample": SMALL_RATE} if "resample" in flags else {})

    def given(self, words: list[str]) -> set[str]:
        """The settings that a command line names."""
        named = _renamed([_underscored(word) for word in words], catalogue.field(self.system.field).renamed)
        return {word.partition("=")[0][2:] for word in named if word.startswith("--")}

    def parse(self, words: list[str]) -> Settings:
        words = _renamed([_underscored(word) for word in words], catalogue.field(self.system.field).renamed)
        refuse_class_paths(words, {**hints(self.cls), **dict.fromkeys(_module_arguments(self.cls), str)})
        try:
            found = self.parser.parse_args(self._switched(words)).as_dict()
        except Exception as error:
            raise UsageError(_reason(error, self.known_flags())) from error
        types_of = hints(self.cls)
        arguments = {n: revive(found.pop(n), types_of.get(n), n) for n in self.names}
        given = self.given(words)
        if "steps" in given and "epochs" not in given:  # what the command says takes the place of a preset's length
            found["epochs"] = None
        elif "epochs" in given and "steps" not in given:
            found["steps"] = None
        training = {f.name: found.pop(f.name) for f in dataclasses.fields(Training) if f.name in found}
        options = {n: found.pop(n) for n in self.options if n in found}
        return Settings(
            arguments,
            cut(Training(**training), self.system.tiny),
            {k: v for k, v in options.items() if v is not None},
            found,
        )

    def _switched(self, words: list[str]) -> list[str]:
        """``--strict`` alone is short for ``--strict true``."""
        switches = {
            f"--{name}"
            for function in (self.cls, Training, self.loader)
            for name, parameter in inspect.signature(function).parameters.items()
            if isinstance(parameter.default, bool)
        }
        return [
            f"{word}=true" if word in switches and following.startswith("--") else word
            for word, following in pairwise([*words, "--"])
        ]


def refuse_class_paths(words: list[str], types_of: Mapping[str, Any]) -> None:
    """A word that the parser would take for the path of a class, and import, is refused.

    Settings that travel together are a known dataclass, given as ``--name.setting VALUE`` or as ``--name '{...}'``.

    Raises:
        UsageError: there is such a word.
    """
    pairs = []
    for word, following in pairwise([*words, ""]):
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            pairs.append((name, value if equals else following))
    for name, value in pairs:
        head, _, setting = name.partition(".")
        groups = [c for c in alternatives(types_of.get(head)) if dataclasses.is_dataclass(c)]
        named = not setting and groups and not value.lstrip().startswith("{") and value not in ("null", "None")
        if (
            {"class_path", "init_args", "dict_kwargs", "help"} & {*name.split(".")[1:]}
            or "class_path" in value
            or named
        ):
            takes = [f.name for c in groups for f in dataclasses.fields(c)]
            hint = f"; it takes settings such as --{head}.{takes[0]}" if takes else ""
            raise UsageError(f"--{name} takes no class by its path, got {value!r}{hint}")


def loader_options(entry: Entry, words: list[str], prog: str) -> dict[str, Any]:
    """Options of a field's loader among a command's words, by name.

    Raises:
        UsageError: something else is among them.
    """
    loader = catalogue.field(entry.field).load
    words = _renamed([*map(_underscored, words)], catalogue.field(entry.field).renamed)
    parser = ArgumentParser(prog=prog, exit_on_error=False)
    parser.add_function_arguments(loader, skip={"data"})
    for action in parser._actions:
        if action.dest != "help":
            action.default = None
    refuse_class_paths(words, typing.get_type_hints(loader))
    try:
        found = parser.parse_args(words).as_dict()
    except Exception as error:
        raise UsageError(_reason(error, parser._option_string_actions)) from error
    given = {w.partition("=")[0][2:] for w in words if w.startswith("--")}
    return {name: value for name, value in found.items() if name in given}


def _module_arguments(cls: type) -> list[str]:
    """Arguments that take a name or a module: on the command line, a name."""
    types_of = hints(cls)
    return [
        name
        for name in parameters(cls)
        if any(isinstance(kind, type) and issubclass(kind, nn.Module) for kind in alternatives(types_of.get(name)))
    ]


def _underscored(word: str) -> str:
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value


def _renamed(words: list[str], renamed: Mapping[str, str]) -> list[str]:
    """Words of a command line with names of earlier versions as they are now."""
    parts = [(word[2:].partition("=") if word.startswith("--") else (None, "", word)) for word in words]
    return [text if name is None else f"--{renamed.get(name, name)}{equals}{text}" for name, equals, text in parts]


def _reason(error: Exception, flags: Iterable[str]) -> str:
    return spelt(" ".join(str(error).split()).removeprefix("error: "), flags)
