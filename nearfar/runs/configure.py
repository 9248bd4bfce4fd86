"""Constructor signatures as configuration: plain values in, a method out."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Mapping
from typing import Any


def parameters(cls: type) -> Mapping[str, inspect.Parameter]:
    """The constructor's parameters, without ``self``."""
    found = dict(inspect.signature(cls.__init__).parameters)  # type: ignore[misc]
    found.pop("self")
    return found


def hints(cls: type) -> dict[str, Any]:
    """The types of the constructor's parameters."""
    return typing.get_type_hints(cls.__init__)  # type: ignore[misc]


def alternatives(hint: Any) -> tuple[Any, ...]:
    """The members of a union, or the type itself."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return typing.get_args(hint)
    return (hint,)


def construct(cls: type, arguments: Mapping[str, Any]) -> Any:
    """Call ``cls`` with ``arguments`` read from a file: nested mappings become the dataclasses they describe."""
    known = parameters(cls)
    unknown = sorted(set(arguments) - set(known))
    if unknown:
        accepted = ", ".join(known)
        raise ValueError(f"{cls.__name__} has no argument {unknown[0]!r}; it takes {accepted}")
    types_of = hints(cls)
    return cls(**{name: revive(value, types_of.get(name)) for name, value in arguments.items()})


def revive(value: Any, hint: Any) -> Any:
    """A mapping as the dataclass that ``hint`` asks for, a list as the tuple; anything else as it is."""
    if isinstance(value, Mapping):
        for candidate in alternatives(hint):
            if dataclasses.is_dataclass(candidate):
                return candidate(**value)  # type: ignore[operator]
    if isinstance(value, list):
        for candidate in alternatives(hint):
            if typing.get_origin(candidate) is tuple or candidate is tuple:
                return tuple(value)
    return value


def fill_facts(cls: type, arguments: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Give arguments that are ``None`` the sizes that only the data knows (``in_features``, ``num_classes``)."""
    filled = dict(arguments)
    for name, parameter in parameters(cls).items():
        if name in facts and filled.get(name, parameter.default) in (None, inspect.Parameter.empty):
            filled[name] = facts[name]
    return filled
