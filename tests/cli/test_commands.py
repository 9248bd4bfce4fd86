"""The command line as people meet it: through real processes where start-up matters, in place elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.torch import load_file

from nearfar import workflow
from nearfar.catalogue import ENTRIES, find
from nearfar.cli import COMMANDS, main
from nearfar.training import Training
from nearfar.vision.data import load


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "nearfar", *words], capture_output=True, text=True, timeout=120)


def test_help_and_list_do_not_import_torch() -> None:
    code = (
        "import sys; from nearfar.cli import main; main(['--help']); main(['list']); main(['list', '--json']);"
        "main(['show', 'relic']); sys.exit('torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stderr
    for name in COMMANDS:
        assert name in found.stdout


def test_list_as_json_gives_slug_field_paper_and_verdict(capsys) -> None:
    assert main(["list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["slug"] for row in rows] == [e.slug for e in ENTRIES if e.kind != "study"]
    verdicts = {"holds", "not shown at this scale", "contradicted", "not measured"}
    for row in rows:
        assert row["paper"]
        assert row["verdict"] in verdicts or row["kind"] == "data set"


def test_train_help_shows_the_methods_own_settings(capsys) -> None:
    assert main(["train", "relic", "--help"]) == 0
    text = capsys.readouterr().out
    for expected in (
        "--alpha",
        "weight of the invariance penalty",
        "--kl_mode",
        "sg_entropy",
        "--optimization.lr",
    ):
        assert expected in text


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("cli") / "run"
    words = ["train", "simclr", "--out", str(out), "--steps", "4", "--batch-size", "32", "--size", "16"]
    assert main(words) == 0
    return out


def test_evaluate_embed_and_report(finished: Path, tmp_path: Path, capsys) -> None:
    assert main(["evaluate", str(finished), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)[str(finished)]
    for who in ("trained", "untrained"):
        assert 0 <= result[who]["linear unseen styles"] <= 1
        assert 0 <= result[who]["knn seen styles"] <= 1
    vectors = tmp_path / "vectors.npz"
    assert main(["embed", str(finished), "-o", str(vectors)]) == 0
    with np.load(vectors, allow_pickle=False) as file:
        assert len(file["id"]) == 1297
    assert main(["embed", str(finished), "-o", str(vectors)]) == 2  # never overwritten unasked
    assert main(["report", str(finished)]) == 0
    page = (finished / "report.html").read_text()
    assert "What it learned" in page
    assert '<img src="data:image/' in page
    assert "linear seen styles is" in page
    assert "on 500 examples" in page


def test_a_run_repeats_from_its_config(finished: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    assert main(["train", "--config", str(finished / "config.yaml"), "--out", str(again)]) == 0
    first, second = load_file(finished / "encoder.safetensors"), load_file(again / "encoder.safetensors")
    assert all(np.array_equal(first[k].numpy(), second[k].numpy()) for k in first)


def test_compare_prints_one_table(capsys) -> None:
    words = [
        "compare",
        "simclr",
        "byol",
        "--seeds",
        "2",
        "--steps",
        "2",
        "--batch-size",
        "32",
        "--size",
        "16",
    ]
    assert main([*words, "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert set(table["scores"]) == {"untrained", "simclr", "byol"}
    assert len(table["scores"]["byol"]["linear unseen styles"]) == 2
    assert set(table["differences"]) == {"byol"}
    assert "effective_rank" not in table["differences"]["byol"]  # no direction, no winner


def test_a_comparison_keeps_its_runs_and_goes_on(tmp_path: Path, capsys) -> None:
    out = tmp_path / "kept"
    words = ["compare", "lightgcl", "lightgcl:temperature=0.9", "--steps", "2", "--out", str(out)]
    assert main([*words, "--seeds", "1"]) == 0
    stamp = (out / "lightgcl" / "seed-0" / "encoder.safetensors").stat().st_mtime_ns
    assert "ahead of" not in capsys.readouterr().out
    assert main([*words, "--seeds", "2"]) == 0
    said = capsys.readouterr()
    assert (out / "lightgcl" / "seed-0" / "encoder.safetensors").stat().st_mtime_ns == stamp
    assert "lightgcl, seed 0: kept, 1 of 4" in said.err
    assert "lightgcl:temperature=0.9" in said.out
    assert "ahead of lightgcl, paired by seed" in said.out
    config = yaml.safe_load((out / "lightgcl:temperature=0.9" / "seed-1" / "config.yaml").read_text())
    assert config["hyperparameters"]["temperature"] == 0.9
    words[words.index("--steps") + 1] = "3"
    assert main([*words, "--seeds", "1"]) == 2
    assert "other settings: steps was 2 and is 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["frain"], "no command 'frain'"),
        (["train"], "name a method"),
        (["train", "simclrr"], "did you mean simclr"),
        (["train", "simclr", "--steps", "many"], "steps"),
        (["train", "simclr", "--steps", "0"], "steps must be at least 1, got 0"),
        (["train", "simclr", "--no-such-flag", "1"], "no_such_flag"),
        (["train", "simclr", "--temprature", "1"], "there is no setting --temprature; did you mean --temperature?"),
        (["train", "simclr", "--optimisation.lr=1"], "did you mean --optimization.lr"),
        (["train", "simclr", "--steps", "1", "--logger", "paper"], "there is no logger 'paper'; there are csv,"),
        (["train", "simclr", "--encoder", "resnet19", "--steps", "1"], "unknown encoder 'resnet19'"),
        (["train", "simclr", "--data", "no/such/place"], "no file or folder no/such/place"),
        (["train", "relic", "--kl-mode", "half", "--steps", "1"], "kl_mode"),
        (["evaluate", "no/such/run"], "not a run folder"),
        (["resume", "no/such/run"], "not a run folder"),
        (["embed", "no/such/run", "-o", "x.npz"], "not a run folder"),
        (["report", "no/such/run"], "not a run folder"),
        (["show", "nothing"], "no system called 'nothing'"),
        (["compare", "simclr", "simcse", "--steps", "1"], "methods of one field"),
        (["reproduce"], "name a method"),
    ],
)
def test_wrong_input_gets_one_sentence_and_exit_code_2(words, expected, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    captured = capsys.readouterr()
    assert expected in captured.err
    assert "Traceback" not in captured.err
    assert captured.err.strip().count("\n") == 0, captured.err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["list", "--jsn"], "there is no setting --jsn; did you mean --json?"),
        (["doctor", "now"], "nothing is known of 'now' here; --help shows what is"),
    ],
)
def test_a_misspelt_word_of_a_command_is_told_after_its_usage(words, expected, capsys) -> None:
    assert main(words) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert said.startswith("usage: nearfar")


def test_piped_output_is_plain(tmp_path: Path) -> None:
    words = ("train", "grace", "--nodes", "200", "--steps", "3", "--out", str(tmp_path / "run"))
    found = run(*words)
    assert found.returncode == 0, found.stderr
    assert "\x1b" not in found.stderr + found.stdout
    assert "step 3/3" in found.stderr


def test_doctor_says_what_is_there(capsys) -> None:
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["torch"][0].isdigit()
    assert "nearfar[graph]" in found


RECIPES = sorted((Path(__file__).parents[2] / "recipes").rglob("*.yaml"))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_shipped_recipe_names_settings_that_exist(recipe: Path) -> None:
    config = yaml.safe_load(recipe.read_text())
    system = find(config["method"])
    arguments = {**config["hyperparameters"], "encoder": "small-conv"}
    method = workflow.build_method(system, arguments, load("digits"), 0)
    assert method.optimization.lr == config["hyperparameters"]["optimization"]["lr"]
    assert Training(**config["training"]).epochs == 1000


def test_a_recipe_trains_on_the_data_that_is_given(finished: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures.npz"
    images = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
    np.savez(pictures, train_images=images, train_labels=np.arange(40) % 2)
    config = str(finished / "config.yaml")
    assert main(["train", "--config", config, "--data", str(pictures), "--out", str(tmp_path / "again")]) == 0
    assert yaml.safe_load((tmp_path / "again" / "config.yaml").read_text())["data"]["source"] == str(pictures)


def test_threads_wait_without_spinning_unless_told_otherwise(monkeypatch, capsys) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.setenv("OMP_WAIT_POLICY", "")
    monkeypatch.delenv("OMP_WAIT_POLICY")
    assert main(["list", "--json"]) == 0
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert main(["list", "--json"]) == 0
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
