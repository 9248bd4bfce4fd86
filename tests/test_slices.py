"""One slice of each shape of system through everything that the house promises: a table without empty cells."""

from __future__ import annotations

import contextlib
import io
import json
import math
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from nearfar.catalogue import METHODS, find
from nearfar.cli import main
from tests.slices import SLICES, Slice
from tests.training.forked import Kill, launch

NAMED = {
    *("contrastive-decoding", "dpo", "contrastive-rl", "ts2vec", "cassle", "ce-gzsl"),
    *("infodiffusion", "lightgcl", "slad"),
}
TABLE = [pytest.param(s, id=s.name, marks=[pytest.mark.long] if s.slow else []) for s in SLICES]


@dataclass
class Done:
    """What a slice left behind: a comparison of one arm with one seed, measured with the method in memory."""

    row: Slice
    out: Path
    found: dict[str, Any]
    say: Callable[..., str]

    @property
    def trains(self) -> bool:
        return find(self.row.slug).trains

    @property
    def run(self) -> Path:
        return self.out / self.row.slug / "seed-0"


@pytest.fixture(scope="module", params=TABLE)
def done(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    """Scoped so that the columns of a row share its one training."""
    row: Slice = request.param
    out = tmp_path_factory.mktemp(row.name)
    words = ["compare", row.slug, "--preset", "tiny", "--seeds", "1", "--out", str(out), *row.words]
    yield Done(row, out, json.loads(_said(*words, "--json")), _said)
    shutil.rmtree(out)


def _said(*words: str, code: int = 0) -> str:
    """What a command prints; where it fails, what it complains of."""
    out, complaint = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(complaint):
        assert main(words) == code, complaint.getvalue()
    return complaint.getvalue() if code else out.getvalue()


def trains_or_runs(done: Done) -> None:
    if done.trains:
        assert done.row.slug in {entry.slug for entry in METHODS}, "test_every_row trains what stands there"
        assert (done.run / "metrics.csv").read_text().count("\n") > 1
        return
    assert f"nearfar evaluate {done.row.slug}" in done.say("train", done.row.slug, code=2)


def is_compared(done: Done) -> None:
    rows = {done.row.slug, "untrained"} if done.trains else {done.row.slug}
    assert set(done.found["scores"]) == rows
    for scores in done.found["scores"].values():
        assert scores
        assert all(math.isfinite(value) for values in scores.values() for value in values)
    assert find(done.row.slug).slug in (done.out / "comparison.html").read_text()


def evaluates_as_in_memory(done: Done) -> None:
    """``compare`` measured what it had just trained; ``evaluate`` opens it again, or does it all again."""
    where = str(done.run) if done.trains else done.row.slug
    words = [] if done.trains else list(done.row.words)
    found = json.loads(done.say("evaluate", where, *words, "--json"))
    again = found[where]["trained"] if done.trains else found["trained"]
    in_memory = {name: values[0] for name, values in done.found["scores"][done.row.slug].items()}
    assert again == in_memory


def is_reported(done: Done) -> None:
    if not done.trains:  # leaves no run; its page is the comparison's
        assert all(name in (done.out / "comparison.html").read_text() for name in done.found["scores"][done.row.slug])
        return
    done.say("report", str(done.run))
    page = (done.run / "report.html").read_text()
    assert find(done.row.slug).name in page
    assert next(iter(done.found["scores"][done.row.slug])) in page


COLUMNS = (trains_or_runs, is_compared, evaluates_as_in_memory, is_reported)


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.__name__)
def test_a_slice_fills_its_row(done: Done, column: Callable[[Done], None]) -> None:
    column(done)


def test_the_table_has_every_slice_and_each_is_listed_shown_and_measured() -> None:
    assert {row.slug for row in SLICES} == NAMED
    assert len({row.name for row in SLICES}) == len(SLICES)
    listed = {row["slug"]: row for row in json.loads(_said("list", "--json"))}
    for row in SLICES:
        assert listed[row.slug]["verdict"] in ("holds", "not shown at this scale", "contradicted")
        assert find(row.slug).name in _said("show", row.slug)
        assert bool(row.kills) is find(row.slug).trains, f"{row.name} is killed nowhere"


KILLED = [pytest.param(row, row.kills, id=row.name, marks=pytest.mark.long) for row in SLICES if row.kills]
KILLED += [pytest.param(row, row.kills[:1], id=f"{row.name}-once") for row in SLICES if row.slug == "ce-gzsl"]


@pytest.mark.parametrize(("row", "kills"), KILLED)
def test_killed_in_the_middle_it_ends_with_the_same_bits(row: Slice, kills: tuple[Kill, ...], tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert _go_on(row, whole) == 0
    for kill in kills:
        assert _go_on(row, cut, kill) == -signal.SIGKILL, f"{row.name} never reached {kill}"
        assert not (cut / "encoder.safetensors").exists()
    assert _go_on(row, cut) == 0
    for name in ("kept.safetensors", "encoder.safetensors"):
        assert (whole / name).exists() == (cut / name).exists()
        if (whole / name).exists():
            a, b = load_file(whole / name), load_file(cut / name)
            assert a.keys() == b.keys()
            assert all(torch.equal(a[key], b[key]) for key in a), name
    assert (whole / "metrics.csv").read_text() == (cut / "metrics.csv").read_text()


def _go_on(row: Slice, run: Path, kill: Kill | None = None) -> int:
    """Begin the run, or resume it where it has begun; how the process ended."""
    words = ("train", row.slug, "--preset", "tiny", "--seed", "5", "--checkpoint-every", "2", "--log-every", "1")
    words += ("--monitor-every", "-1", *row.words, "--out", str(run))
    if (run / "config.yaml").exists():
        words = ("resume", str(run))
    process = launch(run.parent / f"{run.name}-notes", *words, kill=kill)
    code = process.wait()
    assert code in (0, -signal.SIGKILL), process.said
    return code
