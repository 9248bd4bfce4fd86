"""Labels with probabilities from a run's vectors."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nearfar.cli import main
from nearfar.evaluation import LinearProbe
from nearfar.runs.run import Run, RunError
from nearfar.workflow.classifying import fit_classifier, keep_classifier, kept_classifier


def clouds(count: int, classes: int, apart: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    names = np.array([f"kind {c}" for c in range(classes)])
    codes = np.arange(count) % classes
    centres = np.random.default_rng(7).normal(size=(classes, 6))
    return (apart * centres[codes] + rng.normal(size=(count, 6))).astype(np.float32), names[codes]


@pytest.mark.parametrize("classes", [2, 4])
def test_its_logits_are_the_probes(classes: int) -> None:
    x, y = clouds(120, classes, 1.0)
    found = fit_classifier(x, y)
    probe = LinearProbe().fit(x, np.searchsorted(found.classes, y))
    p = found.probabilities(x)
    assert np.allclose(p.sum(1), 1)
    assert np.array_equal(p.argmax(1), probe.predict(x))
    warmed = probe.predict_proba(x) ** (1 / found.temperature)
    assert np.allclose(p, warmed / warmed.sum(1, keepdims=True), atol=1e-6)


def test_accuracy_and_probabilities_hold_on_rows_that_nobody_saw() -> None:
    x, y = clouds(1500, 3, 0.8, seed=1)
    new, truth = clouds(2000, 3, 0.8, seed=5)
    found = fit_classifier(x, y)
    p = found.probabilities(new)
    right = found.classes[p.argmax(1)] == truth
    assert found.accuracy == pytest.approx(right.mean(), abs=0.06)
    assert p.max(1).mean() == pytest.approx(right.mean(), abs=0.06)
    assert 0 <= found.calibration < 0.1


def test_a_few_examples_that_are_all_told_right_make_nothing_certain() -> None:
    x, y = clouds(12, 2, 20.0)
    found = fit_classifier(x, y)
    assert found.accuracy == 1
    p = found.probabilities(x).max(1)
    assert p.mean() == pytest.approx(13 / 14, abs=0.03)  # Platt's targets of 12 examples and two classes
    assert p.max() < 0.99
    many = fit_classifier(*clouds(1200, 2, 20.0))
    assert many.probabilities(x).max(1).mean() > 0.99


def test_it_is_kept_with_a_run(tmp_path: Path) -> None:
    run = Run(tmp_path)
    with pytest.raises(RunError, match="keeps no classifier yet; fit one with --labels"):
        kept_classifier(run)
    found = fit_classifier(*clouds(60, 3, 1.0))
    keep_classifier(run, found)
    again = kept_classifier(run)
    for name, value in vars(found).items():
        assert np.array_equal(value, getattr(again, name)), name
    with pytest.raises(ValueError, match="reads vectors of width 6, got 4"):
        again.probabilities(np.zeros((2, 4)))
    (tmp_path / "classifier.npz").write_bytes(b"PK nonsense")
    with pytest.raises(RunError, match="is damaged"):
        kept_classifier(run)


@pytest.mark.parametrize(
    ("labels", "said"),
    [(["a"] * 6, "labels name 1 class"), (["a", "a", "b", "b", "c", "b"], "two labelled examples; one alone has c")],
)
def test_labels_that_do_not_suffice_are_named(labels: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        fit_classifier(np.random.default_rng(0).normal(size=(6, 3)), np.array(labels))


def test_by_command_from_class_folders_to_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for kind, level in (("dark", 30), ("light", 220)):
        (tmp_path / "labelled" / kind).mkdir(parents=True)
        for i in range(6):
            pixels = (level + rng.integers(-20, 20, (16, 16, 3))).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "labelled" / kind / f"{i}.png")
    (tmp_path / "new").mkdir()
    for i, level in enumerate((20, 235, 40)):
        Image.fromarray(np.full((16, 16, 3), level, np.uint8)).save(tmp_path / "new" / f"{i}.png")
    run, out = str(tmp_path / "run"), tmp_path / "found.csv"
    small = ["--encoder", "small-conv", "--size", "16", "--steps", "1", "--batch-size", "8", "--preset", "laptop"]
    assert main(["train", "simclr", "--data", str(tmp_path / "labelled"), "--out", run, *small]) == 0
    assert main(["classify", run, str(tmp_path / "new"), "-o", str(out)]) != 0
    assert "keeps no classifier yet" in capsys.readouterr().err
    assert main(["classify", run, "--labels", str(tmp_path / "labelled")]) == 0
    assert "2 classes from 12 examples; of unseen ones" in capsys.readouterr().err
    assert main(["classify", run, str(tmp_path / "new"), "-o", str(out), "--all"]) == 0
    with out.open() as file:
        rows = [*csv.DictReader(file)]
    assert [row["label"] for row in rows] == ["dark", "light", "dark"]
    for row in rows:
        assert float(row["probability"]) == max(float(row["probability dark"]), float(row["probability light"]))
    assert main(["classify", run, str(tmp_path / "new"), "-o", str(out)]) == 2
    assert "exists; choose another name" in capsys.readouterr().err
    assert main(["classify", run, "--labels", str(tmp_path / "new")]) == 2
    assert "has no labels; give a folder of class folders" in capsys.readouterr().err
    assert main(["classify", run, str(tmp_path / "labelled")]) == 0  # the same as --labels
    assert "2 classes from 12 examples" in capsys.readouterr().err
    assert main(["classify", run]) == 2


def shapes(folder: Path, count: int, seed: int) -> None:
    """Pictures of two kinds that differ by the direction of their stripes."""
    rng = np.random.default_rng(seed)
    for kind in ("across", "down"):
        (folder / kind).mkdir(parents=True)
        for i in range(count):
            wave = np.sin(np.arange(16) * 1.6 + rng.uniform(0, 6))
            pixels = 128 + 50 * np.tile(wave, (16, 1)) + rng.normal(0, 25, (16, 16))
            pixels = pixels.T if kind == "across" else pixels
            Image.fromarray(np.repeat(pixels[..., None], 3, 2).clip(0, 255).astype(np.uint8)).save(
                folder / kind / f"{i}.png"
            )


def test_an_encoder_that_learns_too_is_kept_beside_the_runs_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shapes(tmp_path / "labelled", 30, 0)
    shapes(tmp_path / "new", 20, 1)
    run, out, labelled, new = (str(tmp_path / name) for name in ("run", "found.csv", "labelled", "new"))
    small = ["--encoder", "small-conv", "--size", "16", "--steps", "1", "--batch-size", "8", "--preset", "laptop"]
    assert main(["train", "simclr", "--data", labelled, "--out", run, *small]) == 0
    own = (tmp_path / "run" / "encoder.safetensors").read_bytes()
    assert main(["classify", run, "--labels", labelled]) == 0
    linear = float(capsys.readouterr().err.partition("of unseen ones ")[2].partition("%")[0])
    tune = ["--finetune", "--epochs", "15", "--rate", "1e-3"]
    assert main(["classify", run, new, "--labels", labelled, "-o", out, "--all", *tune]) == 0
    said = capsys.readouterr().err
    assert "fine-tuning: fold 3 of 3, 40 examples" in said
    tuned = float(said.partition("of unseen ones ")[2].partition("%")[0])
    assert tuned > 80
    assert float(said.partition("told right (")[2].partition("%")[0]) == pytest.approx(linear, abs=10)
    with Path(out).open() as file:
        rows = [*csv.DictReader(file)]
    right = np.array([row["label"] in row["id"] for row in rows])
    assert right.mean() > 0.9
    probabilities = np.array([float(row["probability"]) for row in rows])
    assert abs(probabilities.mean() - right.mean()) < 0.1  # as often right as it says
    # Re-opened it says the same, and the run's own vectors are what they were.
    again = str(tmp_path / "again.csv")
    assert main(["classify", run, new, "-o", again, "--all"]) == 0
    assert Path(again).read_text() == Path(out).read_text()
    assert (tmp_path / "run" / "encoder.safetensors").read_bytes() == own
    weights = tmp_path / "run" / "classifier.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + b"x")
    assert main(["classify", run, new, "-o", again, "--overwrite"]) != 0
    assert "is not what the kept classifier reads; fit it again" in capsys.readouterr().err
    assert main(["classify", run, "--labels", labelled]) == 0  # a linear one takes its place
    assert not weights.exists()
    assert main(["classify", run, new, "-o", again, "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["new", "-o", "found.csv", "--finetune"], "--finetune learns from labelled data; give --labels"),
        (["--labels", "few.csv", "--epochs", "3"], "--epochs and --rate are of --finetune"),
    ],
)
def test_what_fine_tuning_needs_is_said(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["classify", str(tmp_path), *words]) == 2
    assert message in capsys.readouterr().err
