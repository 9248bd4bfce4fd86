"""Stabilizing Contrastive RL, TD InfoNCE and LAEO, and TD InfoNCE against exact solutions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nearfar import workflow
from nearfar.catalogue import find
from nearfar.cli import main
from nearfar.control.augment import centre_crop, random_crop, shift, shift_by
from nearfar.control.data import load, watched
from nearfar.control.evaluation import evaluate
from nearfar.control.tabular import exact_occupancy, occupancy_of, successor_td, walks
from nearfar.control.worlds import world
from nearfar.control.worlds.grid import transitions
from nearfar.losses import td_info_nce
from nearfar.reproductions.arms import build, train
from nearfar.training import Optimization, Training
from tests.parity import ParityCase, parity

QUICK = Optimization("adam", lr=3e-3, weight_decay=0.0, schedule="constant")
SMALL = {"hidden": (16,), "features": 8}


@pytest.mark.parametrize("case", parity("drq", "random_shift"))
def test_released_shift(case: ParityCase) -> None:
    arrays = case.load()
    with torch.no_grad():
        found = shift_by(arrays["in_x"], arrays["in_row"], arrays["in_col"], case.hyper["pad"])
    assert torch.equal(found, arrays["out_out"])


def test_shifts_repeat_edges_move_frames_together_and_reach_every_offset() -> None:
    frames = torch.arange(3 * 36).reshape(1, 3, 6, 6).repeat(4000, 1, 1, 1)
    moved = shift(frames, 2, torch.Generator().manual_seed(0))
    # All channels of a picture are moved alike: their difference stays what it was.
    assert torch.equal(moved[:, 1] - moved[:, 0], torch.full((4000, 6, 6), 36))
    # In the middle of a picture stands what stood at the offset.
    _, counts = np.unique(moved[:, 0, 2, 2].numpy(), return_counts=True)
    assert len(counts) == 25
    assert counts.min() > 100
    cropped = random_crop(frames, 4, torch.Generator().manual_seed(0))
    assert set(np.unique(cropped[:, 0, 0, 0].numpy())) == {0, 1, 6, 7}  # the last offset is never drawn, as released
    assert torch.equal(centre_crop(frames, 4)[0, 0, 0, 0], frames[0, 0, 1, 1])
    with pytest.raises(ValueError, match="must be square"):
        shift(torch.zeros(1, 3, 4, 5))
    with pytest.raises(ValueError, match="needs pictures"):
        random_crop(torch.zeros(1, 3, 4, 4), 5)


@pytest.mark.parametrize("loss", ["td", "mc"])
def test_stable_contrastive_rl_begins_at_nothing_and_learns_from_pictures(loss: str) -> None:
    source = load("pixel-maze-episodes", recorded=600)
    method = build("stable-contrastive-rl", source, 0, loss=loss, augment=1.0, optimization=QUICK, **SMALL)
    batch = source.draw(method, 0, np.random.default_rng(0), 32)
    with torch.no_grad():
        assert method.encoder(batch.observations, batch.actions, batch.futures).abs().max() < 1e-6
    views = method.views(batch)
    assert not torch.equal(views.shown[0], batch.observations)
    assert torch.equal(views.batch.observations, batch.observations)  # the critic sees pictures as they are
    others = [method.views(source.draw(method, 0, np.random.default_rng(seed), 32)) for seed in range(1, 5)]

    def missed() -> float:
        return float(np.mean([float(method.critic_loss(each).detach()) for each in others]))

    before = missed()
    train("stable-contrastive-rl", method, source, 0, steps=60, batch_size=64)
    with torch.no_grad():
        scores = method.encoder(batch.observations, batch.actions, batch.futures)
    assert scores.std() > 1e-5  # it has left nothing behind
    if loss == "mc":
        assert missed() < 0.95 * before


def test_td_infonce_aims_at_other_rows_goals_and_contrasts_with_the_next_ones() -> None:
    source = load("point-maze-u-episodes", recorded=600)
    method = build("td-infonce", source, 0, **SMALL)
    batch = source.draw(method, 0, np.random.default_rng(0), 8)
    views = method.views(batch)
    assert torch.equal(views.aims, batch.futures.roll(1, 0))
    assert torch.equal(views.random, batch.futures)
    offline = build("td-infonce", source, 0, random_goals=False, bc=0.2, **SMALL)
    assert torch.equal(offline.views(batch).aims, batch.futures)
    train("td-infonce", offline, source, 0, steps=3, batch_size=16)
    with torch.no_grad():
        phi = method.encoder.pairs.phi(torch.randn(5, 4), torch.randn(5, 2))
    torch.testing.assert_close(phi.norm(dim=1), torch.full((5, 2), 4.0))  # 1 / temperature


def test_laeo_is_told_no_goal_and_climbs_towards_examples() -> None:
    source = load("point-maze-corner-episodes", recorded=4000)
    examples = source.examples(50, seed=1)  # type: ignore[attr-defined]
    where = world("point-maze-corner", 1)
    far = np.linalg.norm(where.unscaled(examples) - [0.5, 0.5], axis=1)  # type: ignore[attr-defined]
    assert far.max() <= 1.2 + 1e-4
    for aggregate in ("logmeanexp", "max"):
        method = build("laeo", source, 0, aggregate=aggregate, **SMALL)
        train("laeo", method, source, 0, steps=2, batch_size=16)
        assert method.wanted.abs().sum() > 0
    observations = torch.randn(4, 2)
    told, other = (method.act(watched(observations.numpy(), goals)) for goals in (None, np.ones((4, 2), np.float32)))
    assert torch.equal(told, other)


def test_laeo_reaches_the_corner_more_often_than_untrained() -> None:
    source = load("point-maze-corner-episodes", recorded=8000)
    method = build(
        "laeo", source, 0, hidden=(64, 64), features=16, discount=0.9, optimization=QUICK, actor_optimization=QUICK
    )
    before = evaluate(method.eval(), source)
    method.train()
    train("laeo", method, source, 0, steps=500, batch_size=128)
    assert evaluate(method, source)["success"] > before["success"] + 0.3


def test_exact_occupancies_are_what_long_walks_visit() -> None:
    table = transitions("u", slip=0.2)
    policy = np.random.default_rng(0).dirichlet(np.ones(4), size=len(table))
    exact = exact_occupancy(table, policy, 0.8)
    np.testing.assert_allclose(exact.sum(-1), 1)
    states, actions = walks(table, policy, episodes=40_000, steps=25, seed=1)
    here = (states[:, 0] == 4) & (actions[:, 0] == 1)
    weights = 0.2 * 0.8 ** np.arange(25)
    visited = np.zeros(len(table))
    for t in range(25):
        visited += weights[t] * np.bincount(states[here, t + 1], minlength=len(table)) / here.sum()
    assert np.abs(visited - exact[4, 1]).max() < 0.03
    learned = successor_td(states[:300], actions[:300], (len(table), 4), policy, 0.8, sweeps=3)
    assert np.abs(learned - exact).mean() < 0.02
    with pytest.raises(ValueError, match="rows that sum to 1"):
        exact_occupancy(table, policy * 2, 0.8)


def test_td_infonce_in_a_table_is_the_exact_occupancy() -> None:
    """With every transition of the table in its batches, the fixed point is the solution of the linear equation."""
    table = transitions("u", slip=0.1)
    states, choices, _ = table.shape
    policy = np.full((states, choices), 1 / choices)
    exact = exact_occupancy(table, policy, 0.8)
    rng = np.random.default_rng(0)
    scores = torch.zeros(states * choices, states, requires_grad=True)
    slow = scores.detach().clone()
    optimizer = torch.optim.Adam([scores], lr=0.05)
    bounds = table.cumsum(-1)
    for _ in range(700):
        s, a, b = rng.integers(states, size=256), rng.integers(choices, size=256), rng.integers(choices, size=256)
        after = (bounds[s, a] <= rng.random(256)[:, None]).sum(1).clip(0, states - 1)
        random = rng.integers(states, size=256)
        rows = scores[s * choices + a]
        loss = td_info_nce(rows[:, after], rows[:, random], slow[after * choices + b][:, random], discount=0.8)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        slow.lerp_(scores.detach(), 0.05)
        optimizer.param_groups[0]["lr"] *= 0.996
    found = occupancy_of(scores.detach().numpy().reshape(states, choices, states), np.full(states, 1 / states))
    error = np.abs(found - exact).mean()
    assert error < 0.006, error
    assert error < np.abs(1 / states - exact).mean() / 6


@pytest.mark.parametrize("slug", ["stable-contrastive-rl", "td-infonce", "laeo"])
def test_a_reopened_run_acts_as_the_one_in_memory(slug: str, tmp_path: Path) -> None:
    entry = find(slug)
    source = load(entry.data, recorded=600, random_steps=450, envs=4)
    arguments, _ = workflow.laptop_settings(entry, tiny=True)
    settings = Training(steps=2, batch_size=16)
    options = {"data": source, "arguments": arguments, "training": settings, "progress": False}
    method, _ = workflow.train(slug, out=tmp_path / "run", **options)
    _, again, _ = workflow.load_run(tmp_path / "run")
    where = source.fresh(3)  # type: ignore[attr-defined]
    observed = watched(where.reset(np.random.default_rng(0)), where.goals)
    assert torch.equal(method.act(observed), again.act(observed))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["train", "laeo", "--data", "point-maze", "--steps", "1"],
            "laeo learns from recorded episodes, and point-maze is acted in",
        ),
        (["train", "laeo", "--data", "pendulum-episodes", "--recorded", "900", "--steps", "1"], "no reward above 0"),
        (["train", "td-infonce", "--temperature", "0", "--steps", "1"], "temperature must be above 0"),
        (["train", "stable-contrastive-rl", "--augment", "2", "--steps", "1"], "augment must be a probability"),
    ],
)
def test_wrong_words_get_one_sentence(words: list[str], expected: str, capsys, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    said = capsys.readouterr().err
    assert [expected in line for line in said.splitlines() if line.startswith("nearfar:")] == [True], said
