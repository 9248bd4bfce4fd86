"""The contract of a system: what it takes, what it keeps, what it can do, how it is judged. Imports no torch.

A *method* is trained, a *procedure* is configured and never trained, a *data set* is read, written or recorded, a
*study* is a question that several systems answer. Each is one :class:`Entry` of the catalogue. A *field* is a package
of nearfar with a module ``field`` whose :data:`FIELD` is a :class:`Field`. Both are found by looking.

What a system can do are its verbs, each a function of its class:

=============  ============================================  ==========================================
verb           function                                      gives
=============  ============================================  ==========================================
``embeds``     ``encode(batch)``                             representations (N, D)
``generates``  ``generate(data, *, seed)``                   an iterator of what was made, one an example
``scores``     ``score(batch)``                              numbers (N,), higher is more so
``predicts``   ``predict(batch)``                            labels, values or maps, one an example
``ranks``      ``rank(queries, k)``                          the k best items (N, k) and their scores
``acts``       ``act(observations, *, generator)``           actions (N, ...)
=============  ============================================  ==========================================

Commands ask for a verb with :func:`require` and refuse in one sentence.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

VERBS: dict[str, str] = {
    "embeds": "encode",
    "generates": "generate",
    "scores": "score",
    "predicts": "predict",
    "ranks": "rank",
    "acts": "act",
}
"""The function that a class with this verb has."""

Kind = Literal["method", "procedure", "data set", "study"]
Better = Literal["higher", "lower", "neither"]

_RESULTS = Path(__file__).parent / "reproductions" / "results"


def imported(target: str) -> Any:
    """What ``module:name`` names, imported only now."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


class Scores(dict[str, float]):
    """Named numbers that say in which direction they are good: ``Scores(found, lower=["ece"])``.

    Attributes:
        better: for each name whether a ``higher`` or a ``lower`` number is better, or ``neither`` where the number only
            describes. Names that nobody spoke of are better when higher.
        each: of numbers that are means over examples, what was averaged and whose it was, by name; two systems that
            were judged on the same examples are then compared example by example. See :meth:`over`.
    """

    each: dict[str, tuple[Any, Any]]

    def __init__(
        self, found: Mapping[str, float] | None = None, *, lower: Iterable[str] = (), neither: Iterable[str] = ()
    ) -> None:
        super().__init__(found or {})
        self._said: dict[str, Better] = dict(getattr(found, "_said", {}))
        self.each = dict(getattr(found, "each", {}))
        self.direct(lower=lower, neither=neither)

    def direct(self, *, lower: Iterable[str] = (), neither: Iterable[str] = ()) -> Scores:
        """Say of names that lower is better, or that neither is. Returns itself."""
        self._said |= dict.fromkeys(lower, "lower")
        self._said |= dict.fromkeys(neither, "neither")
        return self

    @property
    def better(self) -> dict[str, Better]:
        return {name: self._said.get(name, "higher") for name in self}

    def over(self, name: str, outcomes: Any, examples: Any = None) -> Scores:
        """Set a number to the mean of an array, one outcome an example, and keep the array. Returns itself.

        Args:
            name: of the number.
            outcomes: (N,) right or wrong, or any number.
            examples: (N,) which example each is of, where one has several outcomes; all are different otherwise.
        """
        self[name] = float(outcomes.mean())
        self.each[name] = (outcomes, examples)
        return self

    def add(self, more: Mapping[str, float], prefix: str = "") -> Scores:
        """Take further numbers with their directions, under names that begin with ``prefix``. Returns itself."""
        said: Mapping[str, Better] = getattr(more, "_said", {})
        self.update({f"{prefix}{name}": value for name, value in more.items()})
        self._said |= {f"{prefix}{name}": better for name, better in said.items()}
        self.each |= {f"{prefix}{name}": outcomes for name, outcomes in getattr(more, "each", {}).items()}
        return self


class Configured:
    """A class whose constructor's signature is its configuration.

    Attributes:
        config: the constructor's arguments as they were given, defaults included.
    """

    config: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        made = super().__new__(cls)
        bound = inspect.signature(cls.__init__).bind(made, *args, **kwargs)
        bound.apply_defaults()
        config = dict(list(bound.arguments.items())[1:])
        config.update(config.pop("kwargs", {}))
        # nn.Module refuses attributes before its own __init__ has run.
        object.__setattr__(made, "config", config)
        return made


class Procedure(Configured):
    """A system that is configured and never trained: a decoder, an analysis, a benchmark, a survey.

    A subclass writes a constructor with typed settings and the paper's defaults, the functions of its verbs, and
    :meth:`evaluate` where its field's protocol does not judge it.

    Attributes:
        verbs: what it can do; see :data:`VERBS`. A procedure may have none and only be evaluated.
        takes: the kind of batch that it understands; ``None`` for anything of its field.
    """

    verbs: tuple[str, ...] = ()
    takes: type | None = None


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


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A row of the catalogue.

    Attributes:
        slug: its name on the command line.
        name: its name in prose.
        field: the package it lives in.
        paper: authors, year and arXiv number or venue.
        kind: ``method``, ``procedure``, ``data set`` or ``study``.
        target: ``module:Class`` of the method, the procedure or the data's reader; a study has none.
        summary: one sentence.
        parts: its five parts, of a method or a procedure.
        verbs: what it can do, as the class declares it too; a test compares the two.
        paper_training: the length and width of the paper's own training as settings of
            :class:`nearfar.training.Training` (``epochs`` or ``steps``, ``batch_size``); ``--preset paper`` takes it.
        laptop: what is changed from the paper's defaults for the embedded data on a processor: arguments of the
            constructor (nested ones with dots) and of :class:`nearfar.training.Training`.
        tiny: what is changed from ``laptop`` where the smallest training will do, as in tests.
        data: the embedded data that it learns from when none is given; the field's own when not named.
        commands: what to type besides the usual commands, as (purpose, command).
        tags: its place in the reviews' terms (see :mod:`nearfar.catalogue.terms`) where the words of its parts do not
            say it, such as ``{"negatives": "none"}``.
    """

    slug: str
    name: str
    field: str
    paper: str
    kind: Kind = "method"
    target: str = ""
    summary: str = ""
    parts: Parts | None = None
    verbs: tuple[str, ...] = ("embeds",)
    paper_training: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    laptop: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    tiny: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    data: str | None = None
    commands: tuple[tuple[str, str], ...] = ()
    tags: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def trains(self) -> bool:
        return self.kind == "method"

    def load(self) -> type:
        """Its class; imports its field.

        Raises:
            ValueError: a study, which has none.
        """
        if not self.target:
            raise ValueError(f"{self.slug} is a study of several systems; `nearfar reproduce {self.slug}` runs it")
        found: type = imported(self.target)
        return found

    @property
    def reproduction(self) -> str | None:
        """Module of the reproduction, when there is one."""
        folder = Path(__file__).parent / "reproductions" / self.field
        name = self.slug.replace("-", "_")
        return f"nearfar.reproductions.{self.field}.{name}" if (folder / f"{name}.py").is_file() else None

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
class Command:
    """A command that a field brings along.

    Attributes:
        help: what it does, in a few words.
        run: the words after the command in, the exit code out. It imports what it needs when it is called.
        default: of several fields with a command of this name, the one that is meant where nothing tells.
        meant: whether the words are for this field, by the files that they name.
    """

    help: str
    run: Callable[[Sequence[str]], int]
    default: bool = False
    meant: Callable[[Sequence[str]], bool] | None = None


@dataclass(frozen=True, kw_only=True)
class Field:
    """What a field declares: how its data is read, how its systems are judged, what is shown, what else it can do.

    Attributes:
        name: the package, ``vision``.
        load: ``load(data, **options)``, from a path, an embedded name or Python objects to the field's data. Its
            signature's further arguments are the options of every command that takes data.
        protocol: ``(method, data, *, seed)`` to :class:`Scores`: how a system is judged that has no ``evaluate`` of its
            own.
        measures: further measurements by name, for ``nearfar evaluate --also``; each as ``protocol``.
        show: ``(method, data)`` to captioned pictures, (text, (H, W, 3) uint8), for the report.
        write: ``(iterator of what was generated, folder or file)`` to paths: how ``nearfar generate`` keeps it.
        pending: ``(data, folder, count)`` to the examples that are to be made, at most ``count``, without those that
            stand in the folder: fields that have it write folders, and go on with them.
        clear: ``(folder)``: remove what was written into it before.
        exports: formats of its own by name, each ``module:function`` of a function ``(method, folder)``, for ``nearfar
            export --to``; the first is taken where none is named.
        opens: ``module:function`` of ``(folder, what its config.json says) -> model or None``: folders of other
            libraries that only this field understands, for :func:`nearfar.load`.
        embedded: names of embedded data, each with what it is.
        renamed: options of ``load`` that were called otherwise in earlier versions, old names by new; command lines and
            kept configurations that use them go on working.
    """

    name: str
    load: Callable[..., Any]
    protocol: Callable[..., Scores]
    measures: Mapping[str, Callable[..., Mapping[str, float]]] = dataclasses.field(default_factory=dict)
    show: Callable[..., list[tuple[str, Any]]] | None = None
    write: Callable[..., list[Path]] | None = None
    pending: Callable[..., Any] | None = None
    clear: Callable[[Path], None] | None = None
    exports: Mapping[str, str] = dataclasses.field(default_factory=dict)
    opens: str = ""
    embedded: Mapping[str, str] = dataclasses.field(default_factory=dict)
    renamed: Mapping[str, str] = dataclasses.field(default_factory=dict)


class UsageError(Exception):
    """The command line cannot be understood; the message says why in one sentence."""


class CannotError(TypeError):
    """A system was asked for something that it cannot do; the message says what it can."""


def require(what: Any, verb: str, name: str | None = None) -> None:
    """Refuse a system without a verb in one sentence.

    Args:
        what: a method, a procedure, their class, or an entry.
        verb: one of :data:`VERBS`.
        name: what to call it; the class's or the entry's name otherwise.

    Raises:
        CannotError: it does not have the verb.
    """
    if verb in what.verbs:
        return
    cls = what if isinstance(what, type) else type(what)
    name = name or getattr(what, "slug", None) or cls.__name__
    can = f"it {_listed(what.verbs)}" if what.verbs else "it is only evaluated"
    raise CannotError(f"{name} is no system that {verb}; {can}")


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
