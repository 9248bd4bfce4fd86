"""Replay, recorded episodes and the source that acts: what is drawn is what happened."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from nearfar.control.data import (
    Acting,
    Recorded,
    Replay,
    Sampling,
    Sequences,
    Transitions,
    load,
    read_episodes,
    record,
)
from nearfar.control.data.replay import future_steps
from nearfar.control.spaces import Spaces
from nearfar.control.worlds import world


def counted(
    steps: int = 200, environments: int = 3, capacity: int = 64, seed: int = 0
) -> tuple[Replay, list[list[int]]]:
    """A replay whose observations are (environment, episode, step in it), with episodes of random lengths."""
    rng = np.random.default_rng(seed)
    replay = Replay(Spaces((3,), 1), environments, capacity)
    now = np.stack([np.arange(environments), np.zeros(environments), np.zeros(environments)], 1)
    replay.begin(now)
    over = np.zeros(environments, bool)
    lengths: list[list[int]] = [[] for _ in range(environments)]
    for step in range(steps):
        now = now.copy()
        now[over, 1] += 1
        now[over, 2] = 0
        now[~over, 2] += 1
        ending = ~over & (rng.random(environments) < 0.15)
        for env in np.flatnonzero(ending):
            lengths[env].append(int(now[env, 2]) + 1)
        acted = np.full((environments, 1), step, np.float32)
        replay.add(acted, np.full(environments, step), ending & (rng.random(environments) < 0.5), ending, now)
        over = ending
    return replay, lengths


def test_transitions_and_futures_stay_within_an_episode() -> None:
    replay, _ = counted()
    found = replay.sample(np.random.default_rng(1), 4000, Sampling(discount=0.9))
    assert isinstance(found, Transitions)
    here, after, later = found.observations, found.next_observations, found.futures
    assert torch.equal(here[:, :2], after[:, :2])
    assert torch.equal(after[:, 2], here[:, 2] + 1)
    assert torch.equal(here[:, :2], later[:, :2])
    assert (later[:, 2] > here[:, 2]).all()
    assert (found.actions[:, 0] == found.rewards).all()
    assert found.rewards.min() >= 200 - 64


def test_every_transition_that_is_there_is_drawn_equally_often() -> None:
    replay, _ = counted(steps=40, environments=2)
    found = replay.sample(np.random.default_rng(2), 30_000, Sampling())
    assert isinstance(found, Transitions)
    _, counts = np.unique(found.observations.numpy(), axis=0, return_counts=True)
    valid = sum(int(replay.end[t, e] > t or replay.end[t, e] < 0) for t in range(40) for e in range(2))
    assert len(counts) == valid
    assert counts.std() / counts.mean() < 0.1


@pytest.mark.parametrize("discount", [0.3, 0.9, 0.99, 1.0])
def test_the_future_is_geometric_and_cut_at_the_end(discount: float) -> None:
    chance = (np.arange(20_000) + 0.5) / 20_000
    for left in (1, 2, 7):
        steps = future_steps(chance, np.full(20_000, left), discount)
        weights = discount ** np.arange(1, left + 1)
        expected = weights / weights.sum()
        assert np.abs(np.bincount(steps, minlength=left + 1)[1:] / 20_000 - expected).max() < 1e-3
    with pytest.raises(ValueError, match="discount of the future"):
        future_steps(chance, np.ones(20_000), 1.5)


def test_sequences_are_pieces_of_episodes() -> None:
    replay, _ = counted()
    found = replay.sample(np.random.default_rng(3), 500, Sampling(length=3))
    assert isinstance(found, Sequences)
    assert found.observations.shape == (500, 4, 3)
    steps = found.observations[..., 2]
    assert torch.equal(steps, steps[:, :1] + torch.arange(4))
    assert torch.equal(found.observations[..., :2], found.observations[:, :1, :2].expand(-1, 4, -1))
    with pytest.raises(ValueError, match="too few pieces of 60 steps"):
        replay.sample(np.random.default_rng(3), 5, Sampling(length=60))


def test_stacks_repeat_the_first_frame_and_store_each_once() -> None:
    where = world("pixel-pendulum", 2)
    where.limit = 6
    rng = np.random.default_rng(0)
    replay = Replay(where.spaces, 2, 40)
    replay.begin(where.reset(rng))
    for _ in range(30):
        actions = where.random(rng)
        stepped = where.step(actions, rng)
        replay.add(actions, stepped.rewards, stepped.terminated, stepped.over, stepped.observations)
    assert replay.observations.nbytes == 40 * 2 * 32 * 32
    stacked = replay.seen(np.array([7, 8, 9, 13]), np.array([0, 0, 0, 1]), 3)
    assert stacked.shape == (4, 3, 32, 32)
    frames = replay.observations[:, :, 0]
    np.testing.assert_array_equal(stacked[0], frames[[7, 7, 7], 0])  # row 7 is the first of its episode
    np.testing.assert_array_equal(stacked[1], frames[[7, 7, 8], 0])
    np.testing.assert_array_equal(stacked[2], frames[[7, 8, 9], 0])
    np.testing.assert_array_equal(stacked[3], frames[[11, 12, 13], 1])
    np.testing.assert_array_equal(replay.newest(3)[:, -1], frames[30])
    # What is seen at a row and then is gathered together, and is the same as each by itself; rows are lost meanwhile.
    for _ in range(25):
        stepped = where.step(actions, rng)
        replay.add(actions, stepped.rewards, stepped.terminated, stepped.over, stepped.observations)
    time, env = replay.draw_rows(np.random.default_rng(1), 200)
    assert time.min() == replay.oldest
    drawn = replay.sample(np.random.default_rng(1), 200, Sampling(stack=3))
    assert np.array_equal(drawn.observations.numpy(), replay.seen(time, env, 3))
    assert np.array_equal(drawn.next_observations.numpy(), replay.seen(time + 1, env, 3))


def test_a_saved_replay_draws_the_same() -> None:
    replay, _ = counted()
    other = Replay(replay.spaces, 3, 64)
    other.load_state_dict(replay.state_dict())
    one, two = (r.sample(np.random.default_rng(5), 300, Sampling(discount=0.9)) for r in (replay, other))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    with pytest.raises(ValueError, match="of another size"):
        Replay(replay.spaces, 2, 64).load_state_dict(replay.state_dict())


def test_recorded_episodes_come_back_whole(tmp_path: Path) -> None:
    found = record(world("grid", 3), 400, policy="scripted", seed=1)
    found.save(tmp_path / "data.npz")
    again = read_episodes(tmp_path / "data.npz")
    np.testing.assert_array_equal(again.observations, found.observations)
    np.testing.assert_array_equal(again.lengths, found.lengths)
    assert again.spaces == found.spaces
    assert again.env == "grid"
    assert (found.returns() > 0).mean() > 0.8
    source = load(tmp_path / "data.npz")
    assert isinstance(source, Recorded)
    batch = source.draw(SimpleNamespace(sampling=Sampling(discount=0.9)), 0, np.random.default_rng(0), 64)
    # Each drawn transition is one that the world can make.
    table = source.fresh(1).table  # type: ignore[attr-defined]
    here, acted, after = (x.argmax(1) for x in (batch.observations, batch.actions, batch.next_observations))
    assert (table[here, acted, after] > 0).all()


def test_ends_of_the_world_stop_the_value_and_limits_do_not() -> None:
    found = record(world("cartpole", 4), 800, policy="random", seed=0)
    assert len(found) - 4 <= found.terminated.sum() < len(found)  # what the recording cut short had not ended
    batch = found.replay().sample(np.random.default_rng(0), 3000, Sampling())
    assert isinstance(batch, Transitions)
    fallen = (batch.next_observations[:, 2].abs() > 12 * np.pi / 180) | (batch.next_observations[:, 0].abs() > 2.4)
    assert torch.equal(batch.continues == 0, fallen)
    limited = record(world("pendulum", 2), 900, policy="random", seed=0)
    assert not limited.terminated.any()


class Still:
    """An agent that goes right, and draws when it is told to."""

    verbs = ("acts",)
    sampling = Sampling(discount=0.9)

    def act(self, observed, *, generator=None):
        noise = torch.rand(len(observed.observations), 2, generator=generator)
        return torch.tensor([[0.5, 0.0]]) + 0.3 * noise


def test_a_source_that_acts_is_saved_and_goes_on_to_the_bit() -> None:
    def source() -> Acting:
        return Acting("point-maze-u", envs=4, random_steps=120, capacity=400)

    whole, cut = source(), source()
    for each in (whole, cut):
        each.begin(Still(), 3)
    for step in range(40):
        whole.draw(Still(), step, np.random.default_rng(step), 8)
    for step in range(17):
        cut.draw(Still(), step, np.random.default_rng(step), 8)
    again = source()
    again.load_state_dict(cut.state_dict())
    for step in range(17, 40):
        last = again.draw(Still(), step, np.random.default_rng(step), 8)
    expected = whole.replay.sample(np.random.default_rng(0), 50, Sampling(discount=0.9))
    found = again.replay.sample(np.random.default_rng(0), 50, Sampling(discount=0.9))
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
    assert again.measured() == whole.measured()
    assert last.observations.shape == (8, 2)


def test_returns_are_those_of_the_episodes() -> None:
    source = Acting("cartpole", envs=3, random_steps=3, capacity=3000)
    agent = SimpleNamespace(sampling=Sampling(), act=lambda o, generator=None: torch.eye(2)[torch.ones(3, dtype=int)])
    source.begin(agent, 0)
    for step in range(60):
        source.draw(agent, step, np.random.default_rng(step), 4)
    found = source.measured()
    assert found["return"] == found["length"]
    assert 8 < found["length"] < 12  # always to the right, the pole falls at once
    assert "success" not in found


def test_gymnasium_goes_on_from_new_beginnings() -> None:
    pytest.importorskip("gymnasium")
    agent = SimpleNamespace(sampling=Sampling(), act=lambda o, generator=None: torch.eye(2)[torch.ones(2, dtype=int)])
    source = Acting("CartPole-v1", envs=2, random_steps=40, capacity=500)
    source.begin(agent, 0)
    source.draw(agent, 0, np.random.default_rng(0), 4)
    assert not source.exact
    again = Acting("CartPole-v1", envs=2, random_steps=40, capacity=500)
    again.load_state_dict(source.state_dict())
    for step in range(30):
        batch = again.draw(agent, step, np.random.default_rng(step), 16)
    moved = (batch.next_observations - batch.observations).abs().max()
    assert moved < 1.5  # nobody jumps from one episode into another


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"lengths": np.array([3, 3])}, "add up to 6 rows, and there are 5"),
        ({"lengths": np.array([4, 1])}, "at least 2 rows"),
        ({"lengths": np.array([2.0, 3.0])}, "whole numbers"),
        ({"rewards": np.array([0, 1, np.nan, 0, 0])}, "1 rows of rewards are NaN or infinite, the first is row 2"),
        ({"rewards": np.zeros(4)}, "5 observations and 4 rewards"),
        ({"observations": np.full((5, 2), np.inf)}, "5 rows of observations are NaN"),
        ({"observations": np.zeros((5, 2, 2))}, "observations must be numbers"),
        ({"actions": np.zeros(5)}, "actions must be whole numbers"),
        ({"actions": np.array([0, 1, 5, 0, 0]), "num_actions": np.array(2)}, "actions must be choices 0 to 1, got 5"),
        ({"terminated": np.zeros(3, bool)}, "2 episodes, and terminated has shape"),
        ({"lengths": None}, "has no lengths: it holds"),
    ],
)
def test_files_whose_parts_disagree_get_one_sentence(change: dict, sentence: str, tmp_path: Path) -> None:
    arrays = {
        "observations": np.zeros((5, 2)),
        "actions": np.zeros(5, np.int64),
        "rewards": np.zeros(5),
        "lengths": np.array([2, 3]),
    } | change
    np.savez(tmp_path / "e.npz", **{name: value for name, value in arrays.items() if value is not None})
    with pytest.raises(ValueError, match=sentence) as caught:
        load(tmp_path / "e.npz")
    assert "e.npz" in str(caught.value) or "observations" in str(caught.value) or "actions" in str(caught.value)


def test_wrong_sources_get_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing embedded of that name"):
        load("no/such.npz")
    (tmp_path / "data.csv").write_text("a")
    with pytest.raises(ValueError, match=r"accepted is \.npz"):
        load(tmp_path / "data.csv")
    with pytest.raises(ValueError, match="random_steps must be at least 8, got 2"):
        load("point-maze", random_steps=2)
    np.savez(tmp_path / "e.npz", observations=np.zeros((4, 2)), actions=np.zeros(4, np.int64), lengths=np.array([4]))
    with pytest.raises(ValueError, match="does not say in which world"):
        load(tmp_path / "e.npz").fresh(1)
    with pytest.raises(ValueError, match=r"e does not fit cartpole: they have observations of \(2,\) and \(4,\)"):
        load(tmp_path / "e.npz", env="cartpole").fresh(1)
