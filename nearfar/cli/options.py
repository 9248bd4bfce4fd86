"""Flags from signatures: a method's constructor, the training settings and the field's data loader."""

from __future__ import annotations

import dataclasses
import inspect
from dataclasses import dataclass
from typing import Any

from docstring_parser import parse as parse_docstring
from jsonargparse import ArgumentParser
from torch import nn

from nearfar import catalogue
from nearfar.runs.configure import alternatives, hints, parameters, revive
from nearfar.system import Entry, UsageError
from nearfar.training import Training


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

    def use(self, preset: str) -> None:
        """Replace the paper's defaults: ``laptop`` by those for the embedded data on a processor, ``tiny`` by the
        smallest training there is, which shows that everything works and teaches nothing."""
        if preset in ("laptop", "tiny"):
            self.parser.set_defaults({**self.system.laptop, **(self.system.tiny if preset == "tiny" else {})})

    def parse(self, words: list[str]) -> Settings:
        try:
            found = self.parser.parse_args(self._switched([_underscored(w) for w in words])).as_dict()
        except Exception as error:
            raise UsageError(_reason(error)) from error
        types_of = hints(self.cls)
        arguments = {n: revive(found.pop(n), types_of.get(n)) for n in self.names}
        training = {f.name: found.pop(f.name) for f in dataclasses.fields(Training) if f.name in found}
        options = {n: found.pop(n) for n in self.options if n in found}
        return Settings(arguments, Training(**training), {k: v for k, v in options.items() if v is not None}, found)

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
            for word, following in zip(words, [*words[1:], "--"], strict=True)
        ]


def loader_options(entry: Entry, words: list[str], prog: str) -> dict[str, Any]:
    """Options of a field's loader among a command's words, by name.

    Raises:
        UsageError: something else is among them.
    """
    loader = catalogue.field(entry.field).load
    parser = ArgumentParser(prog=prog, exit_on_error=False)
    parser.add_function_arguments(loader, skip={"data"})
    for action in parser._actions:
        if action.dest != "help":
            action.default = None
    try:
        found = parser.parse_args([_underscored(w) for w in words]).as_dict()
    except Exception as error:
        raise UsageError(_reason(error)) from error
    given = {w.partition("=")[0][2:] for w in map(_underscored, words) if w.startswith("--")}
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


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text.removeprefix("error: ")
