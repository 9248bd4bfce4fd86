"""Collections that are more than sentences: embedded by name, and tables that their columns tell apart."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from nearfar.sources.tables import Table
from nearfar.training import Data

__all__ = ["KINDS", "made", "of_table"]


class Kind(NamedTuple):
    """An embedded collection.

    Attributes:
        about: what it is, in a few words.
        module: where its ``made(examples)`` is, and ``read(table, where, name, splits, checks)`` where it has columns.
        columns: a table with all of these is of this kind.
    """

    about: str
    module: str
    columns: tuple[str, ...] = ()


KINDS: Mapping[str, Kind] = {
    "records": Kind(
        "records of restaurants and a few sentences that say what is in them",
        "nearfar.text.data.records",
        ("source", "target"),
    ),
    "arguments": Kind(
        "pairs of sentences whose relation nobody names, labelled at three levels",
        "nearfar.text.data.arguments",
        ("arg1", "arg2", "label_1"),
    ),
    "named": Kind(
        "sentences of the grammar, one of forty with words for what it is about",
        "nearfar.text.data.named",
        ("sentence", "label_text"),
    ),
    "documents": Kind(
        "documents of facts about invented people and places, whose names are marked",
        "nearfar.text.data.documents",
        ("sentences", "entities"),
    ),
    "choices": Kind(
        "two facts, and four sentences of which one follows",
        "nearfar.text.data.choices",
        ("context", "options", "answer"),
    ),
    "dialogs": Kind(
        "what users say to an assistant, a tenth with its domains, intents, slots and values",
        "nearfar.text.data.dialogs",
        ("dialog", "frame"),
    ),
    "grammar-chains": Kind(
        "sentences of the grammar whose meaning changes by one slot after another",
        "nearfar.text.data.chains",
        ("sent", "round"),
    ),
    "grammar-domains": Kind(
        "pairs of sentences of the grammar about one event, in four domains",
        "nearfar.text.data.domains",
        ("domain", "sentence1", "sentence2"),
    ),
    "grammar-retrieval": Kind(
        "questions and answers of the grammar, one answer of each labelled and more in the corpus",
        "nearfar.text.data.retrieval",
    ),
    "grammar-lists": Kind(
        "questions with lists of answers, two of ten right, for rerankers",
        "nearfar.text.data.lists",
    ),
}
"""By embedded name."""


def made(name: str, examples: int) -> Data:
    """The embedded collection of this name."""
    return importlib.import_module(KINDS[name].module).made(examples)


def of_table(table: Table, where: str, name: str, splits: Mapping[str, Data], checks: Mapping[str, Any]) -> Data | None:
    """A table that has all columns of a kind, read as that kind; ``None`` for sentences."""
    kind = next((k for k in KINDS.values() if k.columns and set(k.columns) <= table.columns.keys()), None)
    return None if kind is None else importlib.import_module(kind.module).read(table, where, name, splits, checks)
