"""From a row of the catalogue to a system with data: what trains, what fits together, how it is judged."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import torch

from nearfar import catalogue
from nearfar.catalogue import find
from nearfar.common.rehearsal import rehearsing, smallest
from nearfar.runs.configure import construct, fill_facts, parameters
from nearfar.spelling import one_of
from nearfar.system import Entry, Scores
from nearfar.training import Training


def load_data(name: str, data: Any = None, **options: Any) -> Any:
    """A field's data, by the loader that it declares; options may have their names of earlier versions.

    Raises:
        ValueError: an option that the loader does not have.
    """
    field = catalogue.field(name)
    options = {field.renamed.get(option, option): value for option, value in options.items()}
    known = [option for option in inspect.signature(field.load).parameters if option != "data"]
    for option in options:
        if option not in known:
            raise ValueError(f"data of {name} have no option {option!r}{one_of(option, known, are='they have')}")
    return field.load(data, **options)


def measure(entry: Entry, method: Any, data: Any, *, seed: int = 0) -> Scores:
    """Judge a system: by its own ``evaluate`` where it has one, else by its field's protocol."""
    own = getattr(method, "evaluate", None)
    if own is not None:
        return Scores(own(data, seed=seed))
    return Scores(catalogue.field(entry.field).protocol(method, data, seed=seed))


def build_method(entry: Entry, arguments: Mapping[str, Any], data: Any, seed: int) -> Any:
    """The method with its initial weights, which depend on ``seed`` alone.

    Raises:
        TypeError: the data does not give what the method takes.
    """
    cls = entry.load()
    _check_fit(entry, cls, data)
    torch.manual_seed(seed)
    return construct(cls, fill_facts(cls, arguments, data.facts))


def _check_fit(entry: Entry, cls: type, data: Any) -> None:
    takes, gives = getattr(cls, "takes", None), getattr(data, "gives", None)
    if takes is None or gives is None or issubclass(gives, takes):
        return
    own = f"; try --data {entry.data}" if entry.data else ""
    raise TypeError(
        f"{entry.slug} takes {_kind(takes)}, and {data.name} gives {_kind(gives)}{own}. "
        f"`nearfar show {entry.slug}` says what it learns from"
    )


def _kind(batch: type) -> str:
    """What a batch is, in the words that begin its docstring."""
    first = (batch.__doc__ or batch.__name__).strip().split("\n")[0].rstrip(".")
    return f"{first[0].lower()}{first[1:]} ({batch.__name__})"


def preset_settings(entry: Entry, preset: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A preset as (constructor arguments, training settings): the paper's defaults and length, or the laptop's, or
    (``auto``) the paper's on a GPU and the laptop's elsewhere. In a rehearsal, the smallest.

    Raises:
        ValueError: another preset.
    """
    if rehearsing():
        preset = "tiny"
    if preset == "auto":
        preset = "paper" if torch.cuda.is_available() else "laptop"
    if preset == "paper":
        return {}, dict(entry.paper_training)
    if preset in ("laptop", "tiny"):
        return laptop_settings(entry, tiny=preset == "tiny")
    raise ValueError(f"preset must be 'auto', 'paper', 'laptop' or 'tiny', got {preset!r}")


def laptop_settings(entry: Entry, *, tiny: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
    """The laptop preset as (constructor arguments, training settings); nested names become their dataclasses.

    ``tiny`` adds the row's settings for the smallest training.
    """
    names = {f.name for f in fields(Training)}
    settings = smallest(entry.laptop, entry.tiny) if tiny else entry.laptop
    training = {k: v for k, v in settings.items() if k in names}
    known = parameters(entry.load())
    flat = {k: v for k, v in settings.items() if k not in names and k.partition(".")[0] in known}
    arguments = {k: v for k, v in flat.items() if "." not in k}
    for name in dict.fromkeys(k.partition(".")[0] for k in flat if "." in k):
        changes = {k.partition(".")[2]: v for k, v in flat.items() if k.startswith(f"{name}.")}
        arguments[name] = replace(known[name].default, **changes)
    return arguments, training


def trainable(slug: str) -> Entry:
    """The row of a system that trains.

    Raises:
        ValueError: it does not; the message says what to type instead.
    """
    entry = find(slug)
    if entry.trains:
        return entry
    instead = {
        "procedure": f"it needs no training; use it with `nearfar {_use_of(entry)}`",
        "study": f"it is a question that several systems answer; `nearfar reproduce {slug}` runs it",
        "data set": f"it is a data set; `nearfar show {slug}` says what to do with it",
    }
    raise ValueError(f"{slug} is no method that trains: {instead[entry.kind]}")


def _use_of(entry: Entry) -> str:
    return (
        f"generate {entry.slug}` or `nearfar evaluate {entry.slug}"
        if "generates" in entry.verbs
        else f"evaluate {entry.slug}"
    )
