"""What the commands do, as functions: the one place where catalogue, field, training and run folder meet."""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_model

from nearfar.catalogue import System, find
from nearfar.training import Data, Method, Run, RunError, Training
from nearfar.training.checkpoint import SafeCheckpointIO, checkpoint_step
from nearfar.training.configure import construct, fill_facts, parameters
from nearfar.training.embed import Written, embed_to
from nearfar.training.fit import first_process, fit, settled
from nearfar.training.hub import plain
from nearfar.training.run import environment
from nearfar.training.settings import Reconfigured, differences, in_words
from nearfar.training.skipped import Skipped

__all__ = ["evaluate_run", "load_data", "load_run", "resume_run", "train"]


def load_data(field: str, data: Any = None, **options: Any) -> Data:
    """A field's data, by its own loader (``nearfar.<field>.data.load``)."""
    return importlib.import_module(f"nearfar.{field}.data").load(data, **options)


def evaluator(field: str) -> Callable[..., dict[str, float]]:
    return importlib.import_module(f"nearfar.{field}.evaluation").evaluate


def build_method(system: System, arguments: Mapping[str, Any], data: Data, seed: int) -> Method:
    """The method with its initial weights, which depend on ``seed`` alone."""
    cls = system.load()
    torch.manual_seed(seed)
    return construct(cls, fill_facts(cls, arguments, data.facts))


def laptop_settings(system: System) -> tuple[dict[str, Any], dict[str, Any]]:
    """The laptop preset as (constructor arguments, training settings); nested names become their dataclasses."""
    names = {f.name for f in fields(Training)}
    training = {k: v for k, v in system.laptop.items() if k in names}
    flat = {k: v for k, v in system.laptop.items() if k not in names}
    arguments = {k: v for k, v in flat.items() if "." not in k}
    defaults = parameters(system.load())
    for name in dict.fromkeys(k.partition(".")[0] for k in flat if "." in k):
        changes = {k.partition(".")[2]: v for k, v in flat.items() if k.startswith(f"{name}.")}
        arguments[name] = replace(defaults[name].default, **changes)
    return arguments, training


def train(
    slug: str,
    *,
    data: Any = None,
    out: Path | str | None = None,
    arguments: Mapping[str, Any] | None = None,
    training: Training | None = None,
    data_options: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> tuple[Method, Run | None]:
    """Train a catalogued method. With ``out`` everything is kept in a run folder.

    Args:
        slug: the method.
        data: what the field's loader takes: a path, an embedded name, an array, a ``Data``; the method's embedded
            set when not given.
        out: folder of the run; nothing is written without it.
        arguments: the method's constructor arguments; the paper's defaults otherwise.
        training: length, batch size, seed and the like.
        data_options: further arguments of the field's loader.
    """
    system = find(slug)
    training = training or Training()
    options = dict(data_options or {})
    data = system.data if data is None else data
    collection = load_data(system.field, data, **options)
    method = build_method(system, arguments or {}, collection, training.seed)
    training = settled(method, collection, training)
    run = None
    if out is not None:
        config = {
            "method": slug,
            "hyperparameters": plain(method.config),
            "data": {"source": _source(data), **plain(options)},
            "training": asdict(training),
            "environment": environment(),
        }
        run = Run.create(out, config) if first_process() else Run(out)
        _list_skipped(run, collection)
    _fit_and_let_go(method, collection, training, run, progress=progress)
    return method, run


def _fit_and_let_go(method: Method, data: Data, training: Training, run: Run | None, **options: Any) -> None:
    """Train; a run that ends early leaves its folder free, so that the same process can resume it."""
    try:
        fit(method, data, training, run=run, **options)
    except BaseException:
        if run is not None:
            run.unlock()
        raise


def _source(data: Any) -> str | None:
    if data is None or isinstance(data, str):
        return data
    return str(Path(data).resolve()) if isinstance(data, Path) else f"<{type(data).__name__} in memory>"


def _list_skipped(run: Run, data: Data) -> None:
    """What is left out of the data, now and while training, in the run's ``skipped.tsv``."""
    for part in (data, *data.splits().values()):
        skipped = getattr(part, "skipped", None)
        if isinstance(skipped, Skipped):
            skipped.keep_in(run.path / "skipped.tsv", write=first_process())


def run_parts(run: Run, config: Mapping[str, Any] | None = None) -> tuple[System, Method, Training, Mapping[str, Any]]:
    """What a run's ``config.yaml`` (or ``config``) describes, the method with its initial weights."""
    config = config or run.config
    system = find(config["method"])
    training = Training(**config.get("training", {}))
    torch.manual_seed(training.seed)
    method = construct(system.load(), config["hyperparameters"])
    return system, method, training, config.get("data", {})


def run_data(system: System, described: Mapping[str, Any]) -> Data:
    options = dict(described)
    source = options.pop("source", None)
    if isinstance(source, str) and source.startswith("<"):
        raise RunError(f"this run was trained on {source}, which only its own process had; give the data again")
    return load_data(system.field, source, **options)


def _like_the_run(run: Run, data: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """The run's data or other data, read with the run's own settings, such as its size of images."""
    described = {**run.config.get("data", {}), **options}
    return described if data is None else {**described, "source": data}


def resume_run(
    path: Path | str,
    *,
    progress: bool = True,
    changes: Mapping[str, Mapping[str, Any]] | None = None,
    accept_changes: bool = False,
) -> tuple[Method, Run]:
    """Continue an interrupted run from its newest whole checkpoint; it ends as if never interrupted.

    Args:
        changes: settings that take the place of those in ``config.yaml``, by its parts (``hyperparameters``,
            ``training``, ``data``).
        accept_changes: go on although the settings are not those that the checkpoint was trained with. What changed
            is then listed in ``config.yaml``.

    Raises:
        RunError: the folder is no run, is complete or in use, or its settings changed and that was not accepted.
    """
    run = Run.open(path)
    if run.complete:
        raise RunError(f"{path} is complete; there is nothing to resume. Train longer with a new --out.")
    if first_process():
        run.lock()
    checkpoint = run.latest_checkpoint()
    before = run.config
    config = dict(before)
    for part, values in (changes or {}).items():
        config[part] = {**before.get(part, {}), **values}
    changed = _changed(run, checkpoint, config, accept_changes)
    _compare_environment(run, before)
    system, method, training, described = run_parts(run, config)
    collection = run_data(system, described)
    if config != before and first_process():
        run.write_config(config)
    _list_skipped(run, collection)
    try:
        extra = [Reconfigured()] if changed else []
        _fit_and_let_go(method, collection, training, run, checkpoint=checkpoint, progress=progress, callbacks=extra)
    except RuntimeError as error:
        if "loading state_dict" not in str(error):
            raise
        if first_process():
            run.write_config(before)
        raise RunError(f"{checkpoint} does not fit these settings: {error}") from error
    return method, run


def _changed(run: Run, checkpoint: Path | None, config: dict[str, Any], accepted: bool) -> bool:
    """Whether settings that decide the weights differ from the checkpoint's; noted in ``config``, or refused."""
    if checkpoint is None:
        return False
    trained = SafeCheckpointIO().load_checkpoint(checkpoint).get("nearfar") or run.config
    found = differences(trained, config)
    if not found:
        return False
    step = checkpoint_step(checkpoint)
    if not accepted:
        raise RunError(
            f"{run.path} was trained to step {step} with other settings: {in_words(found)}. Undo this, or give "
            "--accept-changes to go on with the new ones"
        )
    config["changes"] = [*config.get("changes", []), {"at_step": step, "settings": in_words(found)}]
    return True


def _compare_environment(run: Run, config: Mapping[str, Any]) -> None:
    then, now = config.get("environment", {}), environment()
    other = [f"{name} {then[name]} (now {value})" for name, value in now.items() if then.get(name, value) != value]
    if other and first_process():
        warnings.warn(
            f"{run.path} was begun with {', '.join(other)}; it goes on, but may not end with the same bits",
            stacklevel=3,
        )


def load_run(path: Path | str) -> tuple[System, Method, Run]:
    """A finished run's method with its encoder's weights, ready to embed."""
    run = Run.open(path)
    if not run.complete:
        raise RunError(f"{path} is not complete; continue it with `nearfar resume {path}` first")
    system, method, _, _ = run_parts(run)
    load_model(method.encoder, str(run.encoder_path))
    method.measured = run.read_json("evaluation.json")
    return system, method.eval(), run


def further_measures(field: str) -> Mapping[str, Callable[..., dict[str, float]]]:
    """What a field can measure on request, by name: ``MEASURES`` of ``nearfar.<field>.measures``."""
    module = f"nearfar.{field}.measures"
    return importlib.import_module(module).MEASURES if importlib.util.find_spec(module) else {}


def evaluate_run(
    path: Path | str, data: Any = None, *, seed: int = 0, also: Sequence[str] = (), **options: Any
) -> dict[str, Any]:
    """Measure a finished run, beside its untrained self; the numbers are kept in ``evaluation.json``.

    ``also`` names further measures of the field, kept under ``further``.

    Raises:
        ValueError: a measure that the field does not have.
    """
    system, method, run = load_run(path)
    known = further_measures(system.field)
    unknown = [name for name in also if name not in known]
    if unknown:
        raise ValueError(
            f"{system.field} has no measure {unknown[0]!r}; "
            + (f"it has {', '.join(known)}" if known else "it has none")
        )
    collection = run_data(system, _like_the_run(run, data, options))
    measure = evaluator(system.field)
    _, untrained, _, _ = run_parts(run)
    result = {
        "method": system.slug,
        "data": collection.name,
        "trained": measure(method, collection, seed=seed),
        "untrained": measure(untrained.eval(), collection, seed=seed),
        "further": {
            name: {
                "trained": known[name](method, collection, seed=seed),
                "untrained": known[name](untrained, collection, seed=seed),
            }
            for name in also
        },
    }
    run.write_json("evaluation.json", result)
    return result


def embed_with_run(path: Path | str, data: Any, out: Path, *, overwrite: bool = False, **options: Any) -> Written:
    """Embed the run's data or any other of its field into a file or, for any number of examples, into a folder."""
    system, method, run = load_run(path)
    collection = run_data(system, _like_the_run(run, data, options))
    origin = {"method": system.slug, "run": str(run.path)}
    return embed_to(method, collection, out, provenance=origin, overwrite=overwrite)


def compare(
    slugs: list[str],
    *,
    data: Any = None,
    seeds: int = 3,
    arguments: Mapping[str, Mapping[str, Any]] | None = None,
    training: Mapping[str, Mapping[str, Any]] | None = None,
    data_options: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> dict[str, dict[str, list[float]]]:
    """Train every method on the same data with the same seeds; metric values by method (and ``untrained``).

    All methods must be of one field. ``untrained`` is the first method's encoder with its initial weights.
    """
    systems = [find(slug) for slug in slugs]
    rooms = {system.field for system in systems}
    if len(rooms) != 1:
        raise ValueError(f"compare takes methods of one field; these are of {', '.join(sorted(rooms))}")
    collection = load_data(systems[0].field, systems[0].data if data is None else data, **dict(data_options or {}))
    measure = evaluator(systems[0].field)
    table: dict[str, dict[str, list[float]]] = {}
    for seed in range(seeds):
        for position, system in enumerate(systems):
            settings = Training(**{**dict((training or {}).get(system.slug, {})), "seed": seed})
            method = build_method(system, (arguments or {}).get(system.slug, {}), collection, seed)
            if position == 0:
                _collect(table, "untrained", measure(method.eval(), collection, seed=0))
                method.train()
            fit(method, collection, settings, progress=progress)
            _collect(table, system.slug, measure(method, collection, seed=0))
    return table


def _collect(table: dict[str, dict[str, list[float]]], row: str, scores: Mapping[str, float]) -> None:
    for name, value in scores.items():
        table.setdefault(row, {}).setdefault(name, []).append(float(value))
