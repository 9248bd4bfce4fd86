"""Measuring and embedding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from nearfar import catalogue
from nearfar.catalogue import find
from nearfar.runs.run import RunError
from nearfar.sources.data import in_order
from nearfar.system import Entry, Scores, require
from nearfar.training import Method
from nearfar.training.embed import Written, embed_to, to_device
from nearfar.workflow.running import check_unchanged, like_the_run, load_run, run_data, run_parts
from nearfar.workflow.systems import build_method, load_data, measure


def evaluate_run(
    path: Path | str,
    data: Any = None,
    *,
    seed: int = 0,
    also: Sequence[str] = (),
    accept_changes: bool = False,
    **options: Any,
) -> dict[str, Any]:
    """Measure a finished run, beside its untrained self; the numbers are kept in ``evaluation.json``.

    ``also`` names further measures of the field, kept under ``further``; ``accept_changes`` measures on the run's own
    data although they changed since.

    Raises:
        ValueError: a measure that the field does not have. RunError: the run's data changed.
    """
    system, method, run = load_run(path)
    known = _known_measures(system, also)
    collection = run_data(system, like_the_run(run, data, options))
    if data is None and not options:  # other options give other arrays
        check_unchanged(run, collection, accept_changes)
    try:
        _, untrained, _, _ = run_parts(run)
    except FileNotFoundError as error:
        raise RunError(
            f"{error}, where {path} began; evaluate measures beside it, so put it back (embed needs the run alone)"
        ) from error
    untrained.eval()
    trained = measure(system, method, collection, seed=seed)
    result = {
        "method": system.slug,
        "data": collection.name,
        "trained": trained,
        "untrained": measure(system, untrained, collection, seed=seed),
        "better": trained.better,
        "further": {name: _both(known[name], method, untrained, collection, seed) for name in also},
    }
    run.write_json("evaluation.json", result)
    return result


def _both(function: Any, trained: Any, untrained: Any, data: Any, seed: int) -> dict[str, Any]:
    found = Scores(function(trained, data, seed=seed))
    return {"trained": found, "untrained": function(untrained, data, seed=seed), "better": found.better}


def evaluate_procedure(
    slug: str,
    data: Any = None,
    *,
    arguments: Mapping[str, Any] | None = None,
    seed: int = 0,
    data_options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Measure a system that is never trained; the same form as :func:`evaluate_run` without an untrained self."""
    entry = find(slug)
    collection = load_data(entry.field, entry.data if data is None else data, **dict(data_options or {}))
    procedure = build_method(entry, arguments or {}, collection, seed)
    found = measure(entry, procedure, collection, seed=seed)
    return {"method": slug, "data": collection.name, "trained": found, "better": found.better, "further": {}}


def _known_measures(system: Entry, also: Sequence[str]) -> Mapping[str, Any]:
    """The field's further measures.

    Raises:
        ValueError: one is asked for that it does not have.
    """
    known = catalogue.field(system.field).measures
    unknown = [name for name in also if name not in known]
    if unknown:
        raise ValueError(
            f"{system.field} has no measure {unknown[0]!r}; "
            + (f"it has {', '.join(known)}" if known else "it has none")
        )
    return known


def embed_with_run(
    path: Path | str, data: Any, out: Path, *, overwrite: bool = False, accept_changes: bool = False, **options: Any
) -> Written:
    """Embed the run's data or any other of its field into a file or, for any number of examples, into a folder."""
    system, method, run = load_run(path)
    require(method, "embeds", system.slug)
    collection = run_data(system, like_the_run(run, data, options))
    if data is None and not options:  # other options give other arrays
        check_unchanged(run, collection, accept_changes)
    origin = {"method": system.slug, "run": str(run.path)}
    return embed_to(method, collection, out, provenance=origin, overwrite=overwrite)


def score_rows(system: Any, data: Any, *, batch_size: int = 256) -> dict[str, Any]:
    """The columns ``id`` and ``score`` (and ``label`` where known) of all examples; a system whose ``score`` gives a
    mapping of columns adds those."""
    columns: dict[str, list[Any]] = {"id": [str(each) for each in data.ids]}
    if data.labels is not None:
        columns["label"] = [*map(str, data.labels)]
    with system.frozen() if isinstance(system, Method) else nullcontext():
        for _, batch in in_order(data, batch_size):
            found = system.score(to_device(batch, getattr(system, "device", torch.device("cpu"))))
            for name, values in (found if isinstance(found, Mapping) else {"score": found}).items():
                columns.setdefault(name, []).extend(
                    torch.as_tensor(values).tolist() if torch.is_tensor(values) else values
                )
    return columns
