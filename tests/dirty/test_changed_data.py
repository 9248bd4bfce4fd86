"""Data that are not what a run was begun with: noticed, named, and gone on with when that is asked for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nearfar import workflow
from nearfar.cli import main
from nearfar.graph.data import NodeGraph
from nearfar.multimodal.data import CaptionedImages
from nearfar.runs.run import Run, RunError
from nearfar.sources.fingerprint import MOST_READ, WHOLE, changes, file_contents, fingerprint, keep, kept, total
from nearfar.sources.tasks import Tasks
from nearfar.text.data import Sentences
from nearfar.training import Training, embed
from nearfar.training.embed import embed_to
from nearfar.vision.data import ImageArray, ImageFolder, ImageGroups
from tests.dirty import corpus

X = np.random.default_rng(0).integers(0, 256, (9, 8, 8, 3), dtype=np.uint8)


def fill(root: Path, count: int = 12, first: int = 0) -> None:
    for part in ("train/a", "train/b", "test/a"):
        (root / part).mkdir(parents=True, exist_ok=True)
        for k in range(count // 3):
            (root / part / f"{k:02}.png").write_bytes(corpus.encoded(corpus.clean(20 + first + k, 30), "PNG"))


def other_pixels(path: Path) -> None:
    """Another picture in as many bytes, with the date of the old one."""
    before, content = path.stat(), path.read_bytes()
    path.write_bytes(content[:-13] + bytes([content[-13] ^ 1]) + content[-12:])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "one added": (lambda p: shutil.copy(p / "train/a/00.png", p / "train/a/x.png"), r"1 was added \(a/x\.png\)"),
    "one removed": (lambda p: (p / "train/b/03.png").unlink(), r"1 of 12 parts is gone \(b/03\.png\)"),
    "one renamed": (lambda p: (p / "train/b/03.png").rename(p / "train/b/x.png"), r"is gone .* was added"),
    "another class": (lambda p: (p / "train/b/03.png").rename(p / "train/a/x.png"), r"is gone .* was added"),
    "all replaced": (lambda p: fill(p, first=9), r"12 hold something else \(a/00\.png, a/01\.png, a/02\.png, \.\.\.\)"),
    "a bit": (lambda p: other_pixels(p / "train/a/01.png"), r"1 holds something else \(a/01\.png\)"),
    "the test set": (lambda p: (p / "test/a/00.png").unlink(), r"is gone \(test: a/00\.png\)"),
}


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data and a run that was stopped at step 2 of 4."""
    root = tmp_path_factory.mktemp("interrupted")
    fill(root / "photos")
    _, run = workflow.train(
        "simclr",
        data=root / "photos",
        out=root / "run",
        arguments={"encoder": "small-conv"},
        training=Training(steps=4, batch_size=4, checkpoint_every=2, monitor_every=-1),
        data_options={"size": 12},
        progress=False,
    )
    assert run is not None
    run.unlock()
    return root


def copied(interrupted: Path, where: Path, *, complete: bool) -> tuple[Path, Path]:
    """Copies of the run and, at the place that it knows, of the data, which are put back by :func:`restored`."""
    run = where / "run"
    shutil.copytree(interrupted / "run", run)
    if not complete:
        (run / "encoder.safetensors").unlink()
        for path in run.glob("checkpoints/step-000000004*"):
            path.unlink()
    return run, interrupted / "photos"


@pytest.fixture
def restored(interrupted: Path, tmp_path: Path) -> Any:
    shutil.copytree(interrupted / "photos", tmp_path / "whole")
    yield
    shutil.rmtree(interrupted / "photos")
    shutil.move(tmp_path / "whole", interrupted / "photos")


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("what", CHANGES)
def test_resuming_on_data_that_changed_is_refused_or_noted(what: str, interrupted: Path, tmp_path: Path) -> None:
    change, message = CHANGES[what]
    run, photos = copied(interrupted, tmp_path, complete=False)
    weights = (interrupted / "run/encoder.safetensors").read_bytes()
    change(photos)
    with pytest.raises(
        RunError, match=rf"the data of .*run are not those that it was trained on: .*{message}.*--accept"
    ):
        workflow.resume_run(run, progress=False)
    assert not (run / "encoder.safetensors").exists()
    workflow.resume_run(run, progress=False, accept_changes=True)
    (noted,) = Run.open(run).config["changes"]
    assert noted["at_step"] == 2
    assert "data" in noted
    if what in ("one added", "one removed", "all replaced"):
        assert (run / "encoder.safetensors").read_bytes() != weights
    workflow.evaluate_run(run)  # the data it was resumed on are now its own


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("what", ["one added", "one removed", "a bit"])
def test_measuring_and_embedding_data_that_changed_is_refused_or_accepted(
    what: str, interrupted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, _ = CHANGES[what]
    run, photos = copied(interrupted, tmp_path, complete=True)
    out = str(tmp_path / "v.npz")
    assert main(["embed", str(run), "-o", out]) == 0
    change(photos)
    for words in (["evaluate", str(run)], ["embed", str(run), "-o", out, "--overwrite"]):
        assert main(words) == 2
        assert "are not those that it was trained on" in capsys.readouterr().err
        assert main([*words, "--accept-changes"]) == 0
    assert main(["embed", str(run), str(photos / "train"), "-o", str(tmp_path / "w.npz")]) == 0  # other data, so named


def test_a_resumed_run_on_data_that_moved_ends_with_the_same_weights(
    interrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, photos = copied(interrupted, tmp_path, complete=False)
    shutil.copytree(photos, tmp_path / "moved")
    config = Run.open(run).config
    config["data"]["source"] = "gone/photos"
    Run(run).write_config(config)
    monkeypatch.chdir(tmp_path)
    assert main(["resume", str(run)]) == 2
    assert "the run's data are not at gone/photos any more" in capsys.readouterr().err
    assert main(["resume", str(run), "--data", "moved"]) == 0
    assert (run / "encoder.safetensors").read_bytes() == (interrupted / "run/encoder.safetensors").read_bytes()


def test_touching_files_and_hidden_ones_change_nothing(interrupted: Path, tmp_path: Path) -> None:
    run, photos = copied(interrupted, tmp_path, complete=False)
    for path in photos.rglob("*.png"):
        os.utime(path, (1, 1))
    (photos / "train/.DS_Store").write_bytes(b"x")
    try:
        workflow.resume_run(run, progress=False)
    finally:
        (photos / "train/.DS_Store").unlink()
    assert (run / "encoder.safetensors").read_bytes() == (interrupted / "run/encoder.safetensors").read_bytes()


# What tells collections apart -------------------------------------------------------------------------------


def altered(x: np.ndarray) -> np.ndarray:
    other = x.copy()
    other[-1, -1, -1] ^= 1
    return other


PAIRS: dict[str, tuple[Any, Any]] = {
    "pixels": (ImageArray(X), ImageArray(altered(X))),
    "order": (ImageArray(X), ImageArray(X[::-1])),
    "number": (ImageArray(X), ImageArray(X[:-1])),
    "labels": (ImageArray(X, np.arange(9)), ImageArray(X, np.arange(9)[::-1])),
    "no labels": (ImageArray(X, np.arange(9)), ImageArray(X)),
    "groups": (ImageGroups(X[:, None].repeat(2, 1)), ImageGroups(np.stack([X, altered(X)], 1))),
    "captions": (CaptionedImages(X, list("abcdefghi")), CaptionedImages(X, list("abcdefghj"))),
    "sentences": (Sentences(["a b", "c"]), Sentences(["a", "b c"])),
    "partners": (Sentences(["a"], positives=["b"]), Sentences(["a"], negatives=["b"])),
    "held out": (ImageArray(X, splits={"test": ImageArray(X)}), ImageArray(X, splits={"test": ImageArray(altered(X))})),
    "features": (NodeGraph(np.eye(3), np.array([[0], [1]])), NodeGraph(np.eye(3)[::-1], np.array([[0], [1]]))),
    "edges": (NodeGraph(np.eye(3), np.array([[0], [1]])), NodeGraph(np.eye(3), np.array([[1], [0]]))),
    "tasks": (Tasks([ImageArray(X), ImageArray(X)]), Tasks([ImageArray(X), ImageArray(altered(X))])),
    "subset": (ImageArray(X).subset(np.arange(4)), ImageArray(X).subset(np.arange(1, 5))),
}


@pytest.mark.parametrize("what", PAIRS)
def test_collections_that_differ_have_other_fingerprints(what: str) -> None:
    one, other = PAIRS[what]
    assert fingerprint(one) == fingerprint(one)
    assert changes(fingerprint(one), fingerprint(other))
    if what != "held out":
        assert total(one) != total(other)


def test_a_fingerprint_is_kept_in_a_file_whatever_the_names(tmp_path: Path) -> None:
    root = tmp_path / "p"
    root.mkdir()
    for name in ("a\tb.png", "a\nb.png", os.fsdecode(b"n\xe9.png"), "写真.png", "#.png"):
        (root / name).write_bytes(corpus.encoded(corpus.clean(), "PNG"))
    found = fingerprint(ImageFolder(root, 8))
    keep(tmp_path / "data.tsv", found)
    assert kept(tmp_path / "data.tsv") == found
    assert changes(found, found) == ""
    assert kept(tmp_path / "none.tsv") is None


def test_large_files_are_told_by_both_ends_and_many_by_a_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    big = tmp_path / "big"
    for position, noticed in ((0, True), (-1, True), (WHOLE, False)):
        content = bytearray(4 * WHOLE)
        big.write_bytes(content)
        before = file_contents(tmp_path, ["big"])
        content[position] = 1
        big.write_bytes(content)
        assert (file_contents(tmp_path, ["big"]) != before) == noticed
    assert MOST_READ >= 10_000
    monkeypatch.setattr("nearfar.sources.fingerprint.MOST_READ", 5)
    for i in range(20):
        (tmp_path / f"{i:02}").write_bytes(b"x")
    read = [v for v in file_contents(tmp_path, [f"{i:02}" for i in range(20)]).values() if " " in v]
    assert len(read) == 5
    assert file_contents(tmp_path, ["gone"]) == {"gone": "unreadable: No such file or directory"}


def test_shards_begun_on_other_data_are_not_continued(interrupted: Path, tmp_path: Path) -> None:
    _, method, _ = workflow.load_run(interrupted / "run")
    out = tmp_path / "vectors"
    embed_to(method, ImageArray(X), out, per_file=4)
    next(iter(sorted(out.glob("part-*")))).unlink()
    with pytest.raises(FileExistsError, match=r"or part of them \(of data that has changed since\)"):
        embed_to(method, ImageArray(altered(X)), out, per_file=4)
    embed_to(method, ImageArray(X), out, per_file=4)
    assert len(embed(method, ImageArray(X))) == 9
