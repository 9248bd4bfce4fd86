"""Contrastive RL: every form of it learns from what it draws, is kept whole, and goes through the commands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from nearfar import workflow
from nearfar.cli import main
from nearfar.control.data import load, watched
from nearfar.control.evaluation import evaluate, play
from nearfar.control.methods.contrastive_rl import ContrastiveRL
from nearfar.control.spaces import Spaces
from nearfar.control.worlds import world
from nearfar.reproductions.arms import build, train
from nearfar.runs.metrics import read_metrics
from nearfar.training import Optimization

TINY = ["--steps", "6", "--batch-size", "16", "--hidden", "[16]", "--envs", "4", "--random-steps", "210"]


@pytest.mark.parametrize("loss", ["nce", "cpc", "c_learning", "nce+c_learning"])
@pytest.mark.parametrize("data", ["point-maze-u", "grid"])
def test_every_form_moves_critic_and_actor(loss: str, data: str) -> None:
    source = load(data, envs=4, random_steps=210)
    method = build("contrastive-rl", source, 0, loss=loss, hidden=(16,), bc=0.1)
    before = {name: p.clone() for name, p in method.named_parameters()}
    train("contrastive-rl", method, source, 0, steps=3, batch_size=32)
    moved = {name.split(".")[0] for name, p in method.named_parameters() if not torch.equal(p, before[name])}
    assert moved >= {"encoder", "actor"}
    if "c_learning" in loss:
        assert "target" in moved


def test_pixels_and_a_learned_price_of_certainty() -> None:
    source = load("pixel-maze", envs=4, random_steps=210)
    method = build("contrastive-rl", source, 0, learned_alpha=True, hidden=(16,))
    train("contrastive-rl", method, source, 0, steps=2, batch_size=8)
    assert float(method.log_alpha.detach()) != 0
    where = source.fresh(3)  # type: ignore[attr-defined]
    observed = watched(where.reset(np.random.default_rng(0)), where.goals)
    assert method.act(observed).shape == (3, 2)


def test_the_actors_goals_are_futures_and_those_of_other_rows() -> None:
    source = load("point-maze-u-episodes", recorded=500)
    method = build("contrastive-rl", source, 0, random_goals=0.5)
    batch = source.draw(method, 0, np.random.default_rng(0), 6)
    views = method.views(batch)
    assert torch.equal(views.goals, batch.futures)
    assert torch.equal(views.states, torch.cat([batch.observations] * 2))
    assert torch.equal(views.aims, torch.cat([batch.futures, batch.futures.roll(1, 0)]))
    mixed = build("contrastive-rl", source, 0, loss="nce+c_learning", discount=0.5)
    found = mixed.views(batch)
    assert torch.equal(found.goals[:2], batch.next_observations[:2])  # a third of the rows, rounded down
    assert torch.equal(found.goals[2:], batch.futures[2:])


def test_it_learns_to_reach_goals_and_the_critic_knows_the_future() -> None:
    source = load("point-maze-open", random_steps=1000)
    quick = Optimization("adam", lr=3e-3, weight_decay=0.0, schedule="constant")
    method = build(
        "contrastive-rl",
        source,
        0,
        hidden=(64, 64),
        features=16,
        discount=0.9,
        optimization=quick,
        actor_optimization=quick,
    )
    before = evaluate(method.eval(), source)
    method.train()
    train("contrastive-rl", method, source, 0, steps=400, batch_size=128)
    after = evaluate(method, source)
    assert after["success"] > before["success"] + 0.25, (before, after)
    batch = source.draw(method, 0, np.random.default_rng(9), 64)
    with torch.no_grad():
        scores = method.encoder(batch.observations, batch.actions, batch.futures).mean(-1)
    ranks = (scores > scores.diagonal()[:, None]).float().mean(1)
    assert ranks.mean() < 0.3  # half would be chance


def test_a_reopened_run_acts_as_the_one_in_memory_and_is_filmed(tmp_path: Path, capsys) -> None:
    run = tmp_path / "run"
    assert (
        main(["train", "contrastive-rl", "--env", "point-maze-open", *TINY, "--log-every", "1", "--out", str(run)]) == 0
    )
    said = capsys.readouterr().err
    assert "success" in said
    assert "return" in said
    rows = list(read_metrics(run / "metrics.csv"))
    assert len(rows) == 6
    assert {"train/critic_loss", "train/actor_loss", "return", "success"} <= set(rows[-1])
    _, method, _ = workflow.load_run(run)
    _, again, _ = workflow.load_run(run)
    where = world("point-maze-open", 5)
    observed = watched(where.reset(np.random.default_rng(0)), where.goals)
    assert torch.equal(method.act(observed), again.act(observed))
    assert main(["evaluate", str(run), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)[str(run)]["trained"]
    assert found["return low"] <= found["return"] <= found["return high"]
    assert 0 <= found["success"] <= 1
    assert main(["play", str(run), "--episodes", "2", "--video", str(tmp_path / "v.gif")]) == 0
    assert "2 episodes: success" in capsys.readouterr().out
    assert (tmp_path / "v.gif").read_bytes()[:3] == b"GIF"
    pytest.importorskip("av")
    assert main(["play", str(run), "--episodes", "1", "--video", str(tmp_path / "v.mp4")]) == 0
    assert (tmp_path / "v.mp4").stat().st_size > 1000
    assert main(["report", str(run)]) == 0
    assert "success" in (run / "report.html").read_text()


def test_recorded_episodes_train_without_acting(tmp_path: Path, capsys) -> None:
    data = tmp_path / "data.npz"
    words = ["data", "record", "--field", "control", "--env", "point-maze-open", "--steps", "400", "-o", str(data)]
    assert main(words) == 0
    assert main(words) == 2
    assert "exists; choose another name" in capsys.readouterr().err
    run = tmp_path / "run"
    settings = ["--steps", "3", "--batch-size", "16", "--hidden", "[16]", "--bc", "0.05", "--random-goals", "0"]
    assert main(["train", "contrastive-rl", "--data", str(data), *settings, "--out", str(run)]) == 0
    assert "return" not in (run / "metrics.csv").read_text().splitlines()[0]
    assert main(["evaluate", str(run), "--json"]) == 0
    again = tmp_path / "again.npz"
    by_run = ["data", "record", "--field=control", "--env", "point-maze-open", "--policy", str(run), "--steps", "80"]
    assert main([*by_run, "-o", str(again)]) == 0


def test_playing_counts_the_same_episodes_of_every_environment() -> None:
    found = play("random", world("cartpole", 4), 10, seed=1)
    assert len(found.returns) == 10
    np.testing.assert_array_equal(found.returns, found.lengths)
    assert found.reached is None
    scripted = play("scripted", world("cartpole", 2), 2, seed=1)
    assert scripted.returns.min() == 500


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["train", "contrastive-rl", "--env", "point-mase"], "did you mean point-maze"),
        (["train", "contrastive-rl", "--env", "cartpole"], "this world sets none"),
        (["train", "contrastive-rl", "--env", "No-v0"], "there is no environment 'No-v0'"),
        (["train", "contrastive-rl", "--data", "nowhere.npz"], "there is no file nowhere.npz"),
        (["train", "contrastive-rl", "--random-goals", "0.7", "--steps", "1"], "random_goals must be 0, 0.5 or 1"),
        (
            ["train", "contrastive-rl", "--steps", "null", "--epochs", "1"],
            "has no epochs, because it grows; give steps",
        ),
        (["play", "nowhere"], "not a run folder"),
        (["play", "nowhere", "--video", "x.avi"], "must end in .mp4 or .gif"),
        (["data", "record", "--field", "control", "--env", "point-maze", "-o", "x.csv"], "must end in .npz"),
        (["data", "record", "--field", "control", "--env", "pixel-g", "-o", "x.npz"], "no environment"),
    ],
)
def test_wrong_words_get_one_sentence(words: list[str], expected: str, capsys, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    said = capsys.readouterr().err
    assert [expected in line for line in said.splitlines() if line.startswith("nearfar:")] == [True], said


def test_spaces_are_needed() -> None:
    with pytest.raises(ValueError, match="spaces are needed"):
        ContrastiveRL()
    with pytest.raises(ValueError, match="learns to reach goals"):
        ContrastiveRL(Spaces((3,), 1))
