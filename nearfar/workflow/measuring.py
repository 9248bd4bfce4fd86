"""Measuring and embedding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nearfar import catalogue
from nearfar.catalogue import find
from nearfar.evaluation import difference_on_examples
from nearfar.evaluation.embeddings.table import check_place
from nearfar.runs.run import Run, RunError
from nearfar.sources.data import in_order
from nearfar.spelling import one_of
from nearfar.system import Entry, Scores
from nearfar.training import Method
from nearfar.training.embed import Written, embed_to, shards_of, to_device
from nearfar.workflow.embedding import embedder
from nearfar.workflow.on_ray import embed_on_ray
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
    further = {name: _both(known[name], method, untrained, collection, seed) for name in also}
    return keep_measured(run, collection, trained, measure(system, untrained, collection, seed=seed), further)


def keep_measured(
    run: Run, data: Any, trained: Scores, untrained: Scores, further: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Write a run's ``evaluation.json`` and return what is in it.

    ``ahead`` says, of every number that is a mean over examples, how far the trained system is ahead (positive is
    better) with its 95% interval over them, and how many they are.
    """
    result = {
        "method": run.config["method"],
        "data": data.name,
        "trained": trained,
        "untrained": untrained,
        "better": trained.better,
        "ahead": _ahead(trained, untrained),
        "further": dict(further or {}),
    }
    run.write_json("evaluation.json", result)
    return result


def _ahead(trained: Scores, untrained: Scores) -> dict[str, dict[str, float]]:
    found = {}
    for name, (outcomes, examples) in trained.each.items():
        beside, _ = untrained.each.get(name, ((), None))
        sign = {"higher": 1.0, "lower": -1.0}.get(trained.better[name])
        if sign is None or len(outcomes) != len(beside) or len(outcomes) < 2:
            continue
        interval = difference_on_examples(*((outcomes, beside) if sign > 0 else (beside, outcomes)), examples)
        count = len(outcomes) if examples is None else len(np.unique(examples))
        found[name] = {**interval._asdict(), "examples": count}
    return found


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
            f"{system.field} has no measure {unknown[0]!r}"
            + (one_of(unknown[0], known, are="it has") if known else "; it has none")
        )
    return known


def embed_with_run(
    path: Path | str,
    data: Any,
    out: Path,
    *,
    overwrite: bool = False,
    accept_changes: bool = False,
    half: bool = False,
    share: tuple[int, int] = (1, 1),
    per_file: int = 65536,
    engine: str = "here",
    workers: int = 0,
    **options: Any,
) -> Written:
    """Embed the run's data or any other of its field into a file or, for any number of examples, into a folder; see
    :func:`nearfar.training.embed.embed_to`. With the engine ``ray`` a cluster's ``workers`` make the files of a folder;
    see :func:`nearfar.workflow.on_ray.embed_on_ray`."""
    if engine == "ray" and (out.suffix or share != (1, 1)):
        raise ValueError(f"--engine ray makes the files of a folder, and shares them out itself; got {out}")
    if out.suffix:
        check_place(out, overwrite=overwrite, half=half)
    described = {"path": str(path), "data": data, "accept_changes": accept_changes, "options": options}
    slug, method, collection = embedder(**described)
    origin = {"method": slug, "run": str(Path(path))}
    if engine == "ray":
        how = {"per_file": per_file, "overwrite": overwrite, "half": half}
        shards = shards_of(method, collection, out.absolute(), provenance=origin, **how)
        return embed_on_ray(described, shards, workers=workers)
    return embed_to(
        method, collection, out, per_file=per_file, provenance=origin, overwrite=overwrite, half=half, share=share
    )


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
