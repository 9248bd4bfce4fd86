"""Training, resuming and opening runs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_model

from nearfar import catalogue
from nearfar.catalogue import find
from nearfar.runs.architecture import own_architecture, placed_model
from nearfar.runs.checkpoints import SafeCheckpointIO, checkpoint_step
from nearfar.runs.configure import construct
from nearfar.runs.hub import plain
from nearfar.runs.run import environment
from nearfar.runs.settings import differences, in_words
from nearfar.sources.fingerprint import changes, fingerprint, keep
from nearfar.sources.fingerprint import kept as kept_fingerprint
from nearfar.sources.found import describe
from nearfar.sources.skipped import Skipped
from nearfar.system import Entry
from nearfar.training import Data, Method, Run, RunError, Training
from nearfar.training.budget import Limit, Shortened
from nearfar.training.cost import taken
from nearfar.training.fit import first_process, fit, settled
from nearfar.training.loggers import logger_named
from nearfar.training.reconfigured import Reconfigured
from nearfar.workflow.starting import begin_with, from_folder
from nearfar.workflow.systems import build_method, load_data, trainable


def train(
    slug: str,
    *,
    data: Any = None,
    out: Path | str | None = None,
    arguments: Mapping[str, Any] | None = None,
    training: Training | None = None,
    data_options: Mapping[str, Any] | None = None,
    collection: Any = None,
    start: Path | str | None = None,
    loggers: Sequence[str] = (),
    progress: bool = True,
    say: Callable[[str], None] | None = None,
    limit: Limit | None = None,
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
        collection: what ``data`` and its options give, where it was loaded already.
        start: a finished run or a ``.safetensors`` file whose weights it begins with; see
            :func:`nearfar.workflow.starting.begin_with`.
        loggers: names of loggers that see the run besides; see :data:`nearfar.training.loggers.BY_NAME`.
        say: is given a few lines of what was found in the data, before training; a run's ``data.txt`` has them too.
        limit: holds the run to a budget of time; ``config.yaml`` says which, and whether that shortened it.
    """
    system = trainable(slug)
    arguments, start = from_folder(arguments or {}, start)
    training = training or Training()
    seen_by = [logger_named(name, Path(out or ".")) for name in loggers]
    options = dict(data_options or {})
    data = system.data if data is None else data
    collection = load_data(system.field, data, **options) if collection is None else collection
    check_learnable(collection)
    method = build_method(system, arguments, collection, training.seed)
    if say is not None and first_process():
        for line in describe(collection):
            say(line)
    training = settled(method, collection, training)
    if start is not None:
        begin_with(method, start)
    run = None
    if out is not None:
        config = config_of(slug, method, data, options, training)
        if start is not None:
            config["start"] = str(Path(start).resolve())
        if limit is not None:
            config |= {"budget": limit.seconds} if limit.shortened is None else {"shortened": [*limit.shortened]}
        run = Run.create(out, config) if first_process() else Run(out)
        keep_what_was_found(run, collection, system, config["data"])
    _fit_and_let_go(method, collection, training, run, limit, progress=progress, loggers=seen_by)
    return method, run


def limit_of(config: Mapping[str, Any], spent: float = 0.0) -> Limit | None:
    """What holds a run of this ``config.yaml`` to its budget; ``None`` for one without."""
    decided = config.get("shortened")
    if decided is None and config.get("budget") is None:
        return None
    whole = isinstance(decided, list) and [type(step) for step in decided] == [int, int]
    if decided is not None and not (whole and 0 < decided[0] < decided[1]):
        raise RunError(f"config.yaml: shortened must be two steps, one after the other, got {decided!r}")
    return Limit(config.get("budget"), spent, (decided[0], decided[1]) if decided else None)


def check_learnable(data: Any) -> None:
    """Raises:
    ValueError: the data hold one example, or one again and again, so that there is nothing to tell it from.
    """
    if not isinstance(data, Data) or len(data.ids) == 0 or data.divisible:
        return
    sentences = getattr(data, "sentences", None)
    if len(data.ids) == 1 or (sentences is not None and len(set(sentences)) == 1):
        what = "one example" if len(data.ids) == 1 else f"one example {len(data.ids):,} times"
        raise ValueError(f"{data.name} holds {what}, and there is nothing to tell it from; at least two are needed")


def config_of(slug: str, method: Method, data: Any, options: Mapping[str, Any], training: Training) -> dict[str, Any]:
    """What a run's ``config.yaml`` says: enough to repeat it."""
    return {
        "method": slug,
        "hyperparameters": {k: placed_model(v) for k, v in plain(method.config).items()},
        "data": {**plain(_placed(find(slug), options)), "source": _source(find(slug), data)},
        "training": asdict(training),
        "environment": environment(),
    }


def _fit_and_let_go(
    method: Method, data: Data, training: Training, run: Run | None, limit: Limit | None, **options: Any
) -> None:
    """Train; what a limit decides is kept with the run. A run that ends early leaves its folder free, so that the same
    process can resume it."""
    if limit is not None and run is not None:

        def keep(decided: Shortened) -> None:
            run.write_config({**run.config, "shortened": [*decided]})

        limit = replace(limit, keep=keep)
    try:
        fit(method, data, training, run=run, limit=limit, **options)
    except BaseException:
        if run is not None:
            run.unlock()
        raise


def _source(system: Entry, data: Any) -> str | None:
    """What ``config.yaml`` says of where the data is; files by their full path, so that any folder will do later."""
    if data is None or isinstance(data, str | Path):
        named = isinstance(data, str) and data in catalogue.field(system.field).embedded
        return data if data is None or named else str(placed(data))  # type: ignore[return-value]
    return f"<{type(data).__name__} in memory>"


def placed(data: str | Path) -> str | Path:
    """The full path of something that is there; anything else as it is."""
    try:
        return Path(data).expanduser().resolve() if Path(data).expanduser().exists() else data
    except (OSError, ValueError, RuntimeError):  # no path at all
        return data


def _placed(system: Entry, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a loader, paths among them in full."""
    embedded = catalogue.field(system.field).embedded

    def is_path(name: str, value: Any) -> bool:
        return isinstance(value, Path) or (
            isinstance(value, str) and ("/" in value or name == "target") and value not in embedded
        )

    return {name: str(placed(value)) if is_path(name, value) else value for name, value in options.items()}


def keep_what_was_found(run: Run, data: Any, system: Entry, described: Mapping[str, Any]) -> None:
    """What is left out of the data, now and while training, in ``skipped.tsv``; a fingerprint in ``data.tsv``."""
    for part in (data, *data.splits().values()):
        skipped = getattr(part, "skipped", None)
        if isinstance(skipped, Skipped):
            skipped.keep_in(run.path / "skipped.tsv", write=first_process())
    if first_process():
        run.write_text("data.txt", "\n".join(describe(data)) + "\n")
    found = fingerprint(data) if first_process() and _in_files(system, described) else {}
    if found:
        keep(run.data_path, found)


def _in_files(system: Entry, described: Mapping[str, Any]) -> bool:
    """Whether the data are files, which can change; embedded and generated sets cannot."""
    source = described.get("source")
    known = (None, *catalogue.field(system.field).embedded)
    return (source not in known and not str(source).startswith("<")) or described.get("target") not in known


def check_unchanged(run: Run, data: Any, accepted: bool) -> str:
    """In words, how the run's data differ from those it was begun with; empty where they do not.

    Raises:
        RunError: they do, and that is not ``accepted``.
    """
    before = kept_fingerprint(run.data_path)
    if before is None:
        return ""
    found = changes(before, fingerprint(data))
    if found and not accepted:
        raise RunError(
            f"the data of {run.path} are not those that it was trained on: {found}. Undo this, name other data with "
            "--data, or give --accept-changes to go on with what is there"
        )
    return found


def run_parts(
    run: Run, config: Mapping[str, Any] | None = None, *, own: bool = False
) -> tuple[Entry, Method, Training, Mapping[str, Any]]:
    """What a run's ``config.yaml`` (or ``config``) describes, the method with its initial weights.

    With ``own`` the architecture of a pretrained encoder comes from the run, without its weights.
    """
    config = config or run.config
    system = find(config["method"])
    training = construct(Training, config.get("training", {}))
    torch.manual_seed(training.seed)
    arguments = config.get("hyperparameters", {})
    method = construct(system.load(), own_architecture(run, arguments) if own else arguments)
    if own:
        method.config.update(arguments)
    return system, method, training, config.get("data", {})


def run_data(system: Entry, described: Mapping[str, Any]) -> Data:
    options = dict(described)
    source = options.pop("source", None)
    if isinstance(source, str) and source.startswith("<"):
        raise RunError(f"this run was trained on {source}, which only its own process had; give the data again")
    try:
        return load_data(system.field, source, **options)
    except FileNotFoundError as error:
        if source is None or Path(source).exists():
            raise
        raise FileNotFoundError(
            f"the run's data are not at {source} any more (from {Path.cwd()}); name their place with --data"
        ) from error


def like_the_run(run: Run, data: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """The run's data or other data, read with the run's own settings, such as its size of images."""
    described = {**run.config.get("data", {}), **options}
    return described if data is None else {**described, "source": data}


def resume_run(
    path: Path | str,
    *,
    progress: bool = True,
    changes: Mapping[str, Mapping[str, Any]] | None = None,
    accept_changes: bool = False,
    loggers: Sequence[str] = (),
) -> tuple[Method, Run]:
    """Continue an interrupted run from its newest whole checkpoint; it ends as if never interrupted.

    Args:
        changes: settings that take the place of those in ``config.yaml``, by its parts (``hyperparameters``,
            ``training``, ``data``).
        accept_changes: go on although the settings are not those that the checkpoint was trained with. What changed
            is then listed in ``config.yaml``.
        loggers: as for :func:`train`; they see what is still to come.

    Raises:
        RunError: the folder is no run, is complete or in use, or its settings changed and that was not accepted.
    """
    run = Run.open(path)
    if run.complete:
        slug = run.config["method"]
        raise RunError(
            f"{path} is complete; there is nothing to resume. Train on from its weights, with a new schedule, by "
            f"`nearfar train {slug} --from {path}`"
        )
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
    seen_by = [logger_named(name, run.path) for name in loggers]
    collection = run_data(system, described)
    other = check_unchanged(run, collection, accept_changes)
    if other:
        step = 0 if checkpoint is None else checkpoint_step(checkpoint)
        config["changes"] = [*config.get("changes", []), {"at_step": step, "data": other}]
    if config != before and first_process():
        run.write_config(config)
    if checkpoint is None and "start" in config:
        begin_with(method, config["start"])
    keep_what_was_found(run, collection, system, described)
    try:
        extra = [Reconfigured()] if changed else []
        limit = limit_of(config, taken(run).get("seconds", 0.0))
        options = {"checkpoint": checkpoint, "progress": progress, "callbacks": extra, "loggers": seen_by}
        _fit_and_let_go(method, collection, training, run, limit, **options)
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
    found.pop("training.strategy", None)  # which processes hold what decides nothing
    if run.data_path.is_file():
        found.pop("data.source", None)  # the fingerprint says whether it holds the same
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
    differ = {name: value for name, value in now.items() if then.get(name, value) != value and name != "processes"}
    other = [f"{name} {then[name]} (now {value})" for name, value in differ.items()]
    if other and first_process():
        warnings.warn(
            f"{run.path} was begun with {', '.join(other)}; it goes on, but may not end with the same bits",
            stacklevel=3,
        )
    if then.get("processes", "1") != now["processes"] and first_process():
        warnings.warn(
            f"{run.path} was begun on {then.get('processes', '1')} processes and goes on with {now['processes']}: with "
            "the same examples and draws, so its weights agree up to rounding and no longer to the bit",
            stacklevel=3,
        )


def load_run(path: Path | str) -> tuple[Entry, Method, Run]:
    """A finished run's method with the weights that were kept of it, ready for its verbs.

    Raises:
        RunError: the run is not finished, or was made by a version that did not keep all that the method needs.
    """
    run = Run.open(path)
    if not run.complete:
        raise RunError(f"{path} is not complete; continue it with `nearfar resume {path}` first")
    system, method, _, _ = run_parts(run, own=True)
    kept = method.kept()
    whole = kept is getattr(method, "encoder", None)
    if not whole and not run.kept_path.is_file():
        raise RunError(
            f"{path} keeps only the encoder, as version 0.1 did, and {system.slug} answers with more than that; train "
            "it again"
        )
    weights = run.encoder_path if whole else run.kept_path
    try:
        load_model(kept, str(weights))
    except (SafetensorError, RuntimeError, ValueError) as error:
        raise RunError(f"{weights} does not hold the weights of this run: {error}") from error
    method.measured = run.read_json("evaluation.json")
    return system, method.eval(), run
