"""Configuration files from anywhere: plain values, of bounded size, with numbers read as people write them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from nearfar.common.files import read_whole

__all__ = ["MOST_BYTES", "MOST_VALUES", "dump_settings", "parse_settings", "read_settings"]

MOST_BYTES = 4 << 20
"""Largest configuration file that is read."""

MOST_VALUES = 100_000
"""Values that one may hold once its aliases are written out; a kilobyte of them can stand for billions."""

# YAML 1.1 takes 3e-4 for text, because it has no point; everybody who writes it means the number.
_NUMBER = re.compile(
    r"""^(?:[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+]?[0-9]+)?
    |[-+]?(?:[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)
    |\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?
    |[-+]?\.(?:inf|Inf|INF)
    |\.(?:nan|NaN|NAN))$""",
    re.X,
)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {k: [*v] for k, v in yaml.SafeLoader.yaml_implicit_resolvers.items()}  # noqa: RUF012


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers = {k: [*v] for k, v in yaml.SafeDumper.yaml_implicit_resolvers.items()}  # noqa: RUF012

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+0123456789."))


def read_settings(path: Path | str) -> dict[str, Any]:
    """The mapping that a YAML file holds.

    Raises:
        ValueError: too large, no YAML, more than plain values, or no mapping; the sentence names the file.
        OSError: it cannot be read.
    """
    content = read_whole(Path(path), MOST_BYTES)
    try:
        return parse_settings(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: byte 0x{content[error.start]:02x} at {error.start + 1}") from error
    except ValueError as error:
        raise ValueError(f"{path} {error}") from error


def parse_settings(text: str) -> dict[str, Any]:
    """The mapping that YAML text holds; the error goes on a sentence that began with the file's name."""
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            raise ValueError("is empty; expected settings by name")
        count = _values(node, {}, [])
        if count > MOST_VALUES:
            raise ValueError(f"stands for {count:,} values through its aliases; up to {MOST_VALUES:,} are read")
        found = loader.construct_document(node)
    except yaml.YAMLError as error:
        raise ValueError(f"is not valid YAML: {_where(error)}") from error
    except RecursionError as error:
        raise ValueError("is nested too deeply to be read") from error
    except (TypeError, OverflowError) as error:
        raise ValueError(f"is no configuration: {error}") from error
    finally:
        if loader is not None:
            loader.dispose()
    if not isinstance(found, Mapping):
        raise ValueError(f"holds a {type(found).__name__}; expected settings by name")
    return dict(found)


def dump_settings(settings: Mapping[str, Any]) -> str:
    """Plain values as YAML that :func:`parse_settings` reads back as they were."""
    return yaml.dump(dict(settings), Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def _values(node: yaml.Node, known: dict[int, int], within: list[int]) -> int:
    """How many values a node stands for, aliases written out."""
    if id(node) in known:
        return known[id(node)]
    if id(node) in within:
        raise ValueError("holds an alias inside of what it names")
    if isinstance(node, yaml.ScalarNode):
        return 1
    parts = node.value if isinstance(node, yaml.SequenceNode) else [part for pair in node.value for part in pair]
    inside = [*within, id(node)]
    known[id(node)] = 1 + sum(_values(part, known, inside) for part in parts)
    return known[id(node)]


def _where(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return f"{problem} in line {mark.line + 1}" if mark is not None else problem
