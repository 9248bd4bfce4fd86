"""Runs that can learn nothing end in a sentence, in every field by the same rule; those that can are left alone."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from nearfar import workflow
from nearfar.catalogue import METHODS, find
from nearfar.cli import main
from nearfar.sources.interaction import Interaction
from nearfar.system import Entry
from nearfar.training import Run, Training, fit, latest_checkpoint
from nearfar.workflow.systems import build_method, laptop_settings
from tests.toy import Toy, Vectors

ALONE = "gives no weight a gradient, because a batch holds one example, and there is nothing to tell it from"
SHORT = Training(steps=5, batch_size=16, monitor_every=-1, checkpoint_every=1)


class Hinge(Toy):
    """A loss of 0 in its first ``quiet`` steps."""

    def __init__(self, quiet: int) -> None:
        super().__init__()
        self.quiet = quiet

    def loss(self, views: tuple[Tensor, Tensor]) -> Tensor:
        return super().loss(views) * float(self.trainer.global_step >= self.quiet)


def test_batches_of_one_are_refused_before_anything_is_kept(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", {"method": "toy"})
    with pytest.raises(ValueError, match=f"Toy learns nothing from vectors: its loss .it is 0. {ALONE}"):
        fit(Toy(norm="none"), Vectors(), dataclasses.replace(SHORT, batch_size=1), run=run, progress=False)
    assert not run.complete


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_loss_that_is_silent_at_first_may_be(accumulate: int) -> None:
    training = dataclasses.replace(SHORT, accumulate=accumulate)
    fit(Hinge(2), Vectors(), training, progress=False)
    with pytest.raises(ValueError, match="it finds nothing to tell apart in batches of 16; give data that differ"):
        fit(Hinge(3), Vectors(), training, progress=False)


def test_a_run_that_goes_on_is_not_asked(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", {"method": "toy"})
    fit(Toy(), Vectors(), dataclasses.replace(SHORT, steps=2), run=run, progress=False)
    checkpoint = latest_checkpoint(run.checkpoints)
    assert checkpoint is not None
    torch.manual_seed(0)
    fit(Hinge(99), Vectors(), SHORT, checkpoint=checkpoint, progress=False)


def write(folder: Path) -> None:
    rng = np.random.default_rng(0)
    (folder / "one.csv").write_text("a\n" + "\n".join(map(str, rng.normal(size=40))))
    (folder / "few.txt").write_text("\n".join(f"sentence number {n}" for n in range(8)))
    np.savez(folder / "pictures.npz", images=rng.integers(0, 255, (8, 32, 32, 3), dtype=np.uint8))


CASES = {
    "simclr": (["--data", "pictures.npz", "--batch-size", "1"], "SimCLR learns nothing from pictures.*one example"),
    "simcse": (["--data", "few.txt", "--batch-size", "1"], "SimCSE learns nothing from few.*one example"),
    "slad": (["--data", "one.csv"], "SLAD learns nothing from one: .*nothing to tell apart in batches of 40"),
}


@pytest.mark.parametrize("slug", CASES)
def test_by_command(slug: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    words, sentence = CASES[slug]
    assert main(["train", slug, *words, "--steps", "3", "--preset", "tiny", "--out", "run"]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.search(sentence, said), said


@pytest.mark.long
@pytest.mark.parametrize("entry", METHODS, ids=lambda e: e.slug)
def test_every_row_learns_from_batches_of_one_or_says_that_it_cannot(entry: Entry) -> None:
    arguments, settings = laptop_settings(entry, tiny=True)
    kept = {name: value for name, value in settings.items() if name not in ("steps", "epochs", "batch_size")}
    data = workflow.load_data(entry.field, entry.data)
    if isinstance(data, Interaction):
        pytest.skip("it is asked, and has no batches of examples")
    method = build_method(find(entry.slug), arguments, data, 0)
    try:
        fit(method, data, Training(steps=3, batch_size=1, monitor_every=-1, **kept), progress=False)
    except ValueError as error:
        assert any(word in str(error) for word in ("one example", "at least", "needs", "batch")), error  # noqa: PT017
        return
    assert method.guard.learns
