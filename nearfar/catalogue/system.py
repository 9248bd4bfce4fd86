"""One row of the catalogue: a method, or a question that several methods answer."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_RESULTS = Path(__file__).parent.parent / "reproductions" / "results"


@dataclass(frozen=True)
class Parts:
    """The five parts of a contrastive system, in the order data takes.

    Attributes:
        views: which things are similar and which are not.
        encoder: input to representation, the part that is kept.
        head: representation to the space where contrast happens.
        loss: the objective.
        update: what else moves.
    """

    views: str
    encoder: str
    head: str
    loss: str
    update: str = "gradients only"


class Measured:
    """What has a reproduction under its slug, and perhaps a result."""

    slug: str

    @property
    def reproduction(self) -> str | None:
        """Module of the reproduction, when there is one."""
        name = f"nearfar.reproductions.{self.slug.replace('-', '_')}"
        return name if importlib.util.find_spec(name) else None

    @property
    def result(self) -> dict[str, Any] | None:
        """The committed result of the latest reproduction."""
        path = _RESULTS / f"{self.slug}.json"
        return json.loads(path.read_text()) if path.is_file() else None

    @property
    def verdict(self) -> str:
        """``holds``, ``not shown at this scale``, ``contradicted``, or ``not measured``."""
        result = self.result
        return result["verdict"] if result else "not measured"


@dataclass(frozen=True)
class System(Measured):
    """A system of the library. Importing the catalogue imports no torch.

    Attributes:
        slug: its name on the command line.
        name: its name in prose.
        field: the package it lives in.
        paper: authors, year and arXiv number or venue.
        target: ``module:Class`` of the method.
        parts: its five parts.
        summary: one sentence.
        laptop: what is changed from the paper's defaults for the embedded data on a CPU: arguments of the
            constructor (nested ones with dots) and of :class:`nearfar.training.Training`.
        data: the embedded data that it learns from when none is given; the field's own when not named.
    """

    slug: str
    name: str
    field: str
    paper: str
    target: str
    summary: str
    parts: Parts
    laptop: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    data: str | None = None

    def load(self) -> type:
        """The method's class; imports its field."""
        module, _, name = self.target.partition(":")
        return getattr(importlib.import_module(module), name)


@dataclass(frozen=True)
class Study(Measured):
    """A question about data or options that is measured as the methods' claims are.

    Attributes:
        slug: its name for ``nearfar reproduce``.
        name: the question in a few words.
        field: whose data it is about.
        paper: who asked it.
    """

    slug: str
    name: str
    field: str
    paper: str
