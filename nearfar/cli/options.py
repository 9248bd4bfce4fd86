"""Flags from signatures: a method's constructor, the training settings and the field's data loader."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from dataclasses import dataclass
from typing import Any

from docstring_parser import parse as parse_docstring
from jsonargparse import ArgumentParser
from torch import nn

from nearfar.catalogue import System
from nearfar.cli import UsageError
from nearfar.training import Training
from nearfar.training.configure import alternatives, hints, parameters, revive


@dataclass(frozen=True)
class Settings:
    """What a command line says of a training: constructor arguments, training settings, loader options."""

    arguments: dict[str, Any]
    training: Training
    data_options: dict[str, Any]
    rest: dict[str, Any]


class Flags:
    """The parser of one method's settings.

    Names, types, defaults and help come from the signatures and docstrings of the method's constructor, of
    :class:`Training` and of ``nearfar.<field>.data.load``. No default is written anywhere else.
    """

    def __init__(self, system: System, prog: str, description: str) -> None:
        self.system = system
        self.cls = system.load()
        self.loader = importlib.import_module(f"nearfar.{system.field}.data").load
        self.parser = ArgumentParser(prog=prog, description=description, exit_on_error=False)
        modules = _module_arguments(self.cls)
        self.names = [*parameters(self.cls)]
        helps = {p.arg_name: p.description for p in parse_docstring(self.cls.__doc__ or "").params}
        for name in modules:
            default = parameters(self.cls)[name].default
            self.parser.add_argument(f"--{name}", type=str, default=default, help=helps.get(name))
        self.parser.add_class_arguments(self.cls, skip=set(modules))
        self.parser.add_class_arguments(Training)
        self.options = [n for n in inspect.signature(self.loader).parameters if n != "data"]
        clash = set(self.options) & set(self.names)
        self.parser.add_function_arguments(self.loader, skip={"data", *clash})

    def use_laptop(self) -> None:
        """Replace the paper's defaults by those for the embedded data on a CPU."""
        self.parser.set_defaults(dict(self.system.laptop))

    def parse(self, words: list[str]) -> Settings:
        try:
            found = self.parser.parse_args(self._switched([_underscored(w) for w in words])).as_dict()
        except Exception as error:
            raise UsageError(_reason(error)) from error
        types_of = hints(self.cls)
        arguments = {n: revive(found.pop(n), types_of.get(n)) for n in self.names}
        training = {f.name: found.pop(f.name) for f in dataclasses.fields(Training)}
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
