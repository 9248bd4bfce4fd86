"""Constructor signatures as configuration: plain values in, a method out."""

from __future__ import annotations

import dataclasses
import inspect
import numbers
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nearfar.spelling import one_of


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
    return cls(**{name: revive(value, types_of.get(name), name) for name, value in arguments.items()})


def revive(value: Any, hint: Any, name: str = "a setting") -> Any:
    """A mapping as the dataclass that ``hint`` asks for, a list as the tuple; anything else as it is.

    Raises:
        ValueError: a plain value of a kind that ``hint`` does not allow; ``name`` begins the sentence.
    """
    if isinstance(value, Mapping):
        for candidate in alternatives(hint):
            if dataclasses.is_dataclass(candidate):
                return _dataclass(candidate, value, name)  # type: ignore[arg-type]
    if not _fits(value, hint):
        raise ValueError(f"{name} must be {_in_words(hint)}, got {value!r}")
    if isinstance(value, list):
        for candidate in alternatives(hint):
            if typing.get_origin(candidate) is tuple or candidate is tuple:
                return tuple(value)
    return value


def _dataclass(cls: type, values: Mapping[str, Any], name: str) -> Any:
    known = [field.name for field in dataclasses.fields(cls) if field.init]
    unknown = sorted({str(key) for key in values} - set(known))
    if unknown:
        raise ValueError(f"{name} has no setting {unknown[0]!r}{one_of(unknown[0], known, are='it takes')}")
    types_of = typing.get_type_hints(cls)
    try:
        return cls(**{key: revive(value, types_of.get(key), f"{name}.{key}") for key, value in values.items()})
    except TypeError as error:  # a setting without default is missing
        raise ValueError(f"{name}: {error}") from error


_NUMBERS: dict[type, tuple[type, ...]] = {
    float: (numbers.Real, np.bool_),
    int: (numbers.Integral, np.bool_),
    bool: (bool, np.bool_),
    str: (str,),
}


def _fits(value: Any, hint: Any) -> bool:
    """Whether a plain value is of one of the kinds that ``hint`` names; hints that name others allow anything."""
    # Objects of one's own in a list are the constructor's to judge: recipes of views where a file names one.
    own = isinstance(value, list | tuple) and any(dataclasses.is_dataclass(each) for each in value)
    return own or any(_is_one(value, candidate) for candidate in alternatives(hint))


def _is_one(value: Any, candidate: Any) -> bool:
    if candidate is None or candidate is type(None):
        return value is None
    if candidate in _NUMBERS:
        is_flag = isinstance(value, bool | np.bool_)
        return isinstance(value, _NUMBERS[candidate]) and (not is_flag or candidate is bool)
    origin, inside = typing.get_origin(candidate), typing.get_args(candidate)
    if origin is typing.Literal:
        return any(value == each and type(value) is type(each) for each in inside)
    if origin in (tuple, list, Sequence) or candidate in (tuple, list):
        if not isinstance(value, list | tuple):
            return False
        if origin is tuple and inside and inside[-1] is not Ellipsis:
            return len(value) == len(inside) and all(map(_fits, value, inside))
        return not inside or all(_fits(each, inside[0]) for each in value)
    if isinstance(candidate, type):
        # An object of one's own is the constructor's to judge; a plain value is none.
        plain = value is None or isinstance(value, bool | int | float | str | list | tuple | Mapping)
        return isinstance(value, candidate) or not plain
    return True


def _in_words(hint: Any) -> str:
    words = {float: "a number", int: "a whole number", bool: "true or false", str: "a text", type(None): "null"}
    found = []
    for candidate in alternatives(hint):
        origin, inside = typing.get_origin(candidate), typing.get_args(candidate)
        if candidate in words:
            found.append(words[candidate])
        elif origin is typing.Literal:
            found.append(f"one of {', '.join(map(str, inside))}")
        elif origin in (tuple, list, Sequence) or candidate in (tuple, list):
            of = "" if not inside else f" of {' and '.join(dict.fromkeys(map(_in_words, filter(_named, inside))))}"
            found.append(f"a list{of}")
        else:
            found.append(f"a {getattr(candidate, '__name__', candidate)}")
    return " or ".join(found)


def _named(hint: Any) -> bool:
    return hint is not Ellipsis


def fill_facts(cls: type, arguments: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Give arguments that are ``None`` the sizes that only the data knows (``in_features``, ``num_classes``)."""
    filled = dict(arguments)
    for name, parameter in parameters(cls).items():
        if name in facts and filled.get(name, parameter.default) in (None, inspect.Parameter.empty):
            filled[name] = facts[name]
    return filled
