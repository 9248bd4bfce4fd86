"""Runs in a folder: what each is, how far it came, and removing it without touching anything else."""

from __future__ import annotations

import fcntl
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from nearfar.runs.checkpoints import checkpoint_step
from nearfar.runs.metrics import read_metrics
from nearfar.runs.run import Run, RunError, held_here

DEEP = 3
"""How many folders below the one given are looked into."""
OURS = (
    "config.yaml",
    "data.txt",
    "data.tsv",
    "skipped.tsv",
    "metrics.csv",
    "untrained.csv",
    "cost.json",
    "kept.safetensors",
    "encoder.safetensors",
    "evaluation.json",
    "report.html",
    "explore.parquet",
    "classifier.npz",
    "classifier.safetensors",
    ".lock",
)
FOLDERS = ("checkpoints", "logs", "architecture")


@dataclass(frozen=True)
class Listed:
    """One run.

    Attributes:
        path: its folder.
        method: slug of its system.
        data: where its data were.
        seed: of the training.
        state: ``finished``, ``running``, ``stopped`` (it can be resumed), or ``damaged``, whose ``why`` says more.
        step: optimiser steps that are kept.
        scores: what ``nearfar evaluate`` measured of it; empty where it did not.
        size: bytes on the disk.
        changed: when it was last written, in seconds since 1970.
        why: what is wrong with a damaged one.
    """

    path: Path
    method: str
    data: str
    seed: int | None
    state: str
    step: int | None
    scores: dict[str, float]
    size: int
    changed: float
    why: str = ""


def runs_in(folder: Path) -> list[Listed]:
    """All runs at most three folders below one, oldest first. Links are not followed.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}; runs are kept in runs/ unless --out said otherwise")
    found = []
    for root, below, files in os.walk(folder):
        depth = len(Path(root).relative_to(folder).parts)
        below[:] = [] if depth >= DEEP or "config.yaml" in files else sorted(below)
        if "config.yaml" in files:
            found.append(listed(Path(root)))
    return sorted(found, key=lambda run: (run.changed, str(run.path)))


def listed(path: Path) -> Listed:
    """What is known of one run, without loading anything of it."""
    run = Run(path)
    files = [p for p in path.rglob("*") if p.is_file() and not p.is_symlink()]
    size = sum(p.stat().st_size for p in files)
    changed = max(p.stat().st_mtime for p in files)
    try:
        config = run.config
        measured = run.read_json("evaluation.json") or {}
        state = "finished" if run.complete else "running" if in_use(path) else "stopped"
        scores = {k: float(v) for k, v in measured.get("trained", {}).items() if isinstance(v, int | float)}
        source = config.get("data", {}).get("source")
        return Listed(
            path,
            config["method"],
            str(source or "embedded"),
            config.get("training", {}).get("seed"),
            state,
            _step(run),
            scores,
            size,
            changed,
        )
    except (RunError, ValueError, AttributeError, OSError) as error:
        return Listed(path, "?", "?", None, "damaged", None, {}, size, changed, str(error))


def in_use(path: Path) -> bool:
    """Whether a process trains in a run's folder."""
    if held_here(path):
        return True
    lock = path / ".lock"
    if lock.is_symlink() or not lock.is_file():
        return False
    try:
        with lock.open("r+") as handle:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    return False


def remove_run(path: Path) -> list[Path]:
    """Remove a run's files, and its folder where nothing else is in it.

    Returns:
        What was left, because it is none of the run's.

    Raises:
        RunError: it is no run, a link, or in use.
    """
    if path.is_symlink():
        raise RunError(f"{path} is a link; remove what it leads to by its own name")
    run = Run.open(path)
    if in_use(path):
        raise RunError(f"{path} is in use by a process that trains in it; stop that first")
    for name in (*FOLDERS, *(p.name for p in path.glob("*.part")), *(p.name for p in path.glob(".*.part"))):
        inside = run.path / name
        if inside.is_symlink():
            continue
        if inside.is_dir():
            shutil.rmtree(inside)
        elif inside.exists():
            inside.unlink()
    for name in OURS:
        (run.path / name).unlink(missing_ok=True)
    left = sorted(run.path.iterdir())
    if not left:
        run.path.rmdir()
    return left


def _step(run: Run) -> int | None:
    checkpoint = run.latest_checkpoint()
    kept = [] if checkpoint is None else [checkpoint_step(checkpoint)]
    if run.complete and (run.path / "metrics.csv").is_file():
        kept += [int(row["step"]) for row in read_metrics(run.path / "metrics.csv") if "step" in row]
    return max(kept, default=None)
