"""Worlds: what they do against slow versions and gymnasium's, what they save, what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nearfar.control.spaces import Spaces
from nearfar.control.worlds import WORLDS, CartPole, DrawnMaze, Grid, Pendulum, PointMaze, world
from nearfar.control.worlds.mazes import distances, next_cells, walls


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_maze_moves_as_one_environment_in_plain_python() -> None:
    maze = PointMaze("rooms", 20)
    chance = rng()
    maze.reset(chance)
    solid = walls("rooms")

    def blocked(x: float, y: float) -> bool:
        inside = 0 <= x < solid.shape[0] and 0 <= y < solid.shape[1]
        return not inside or bool(solid[int(x), int(y)])

    for _ in range(30):
        before = maze.place.T.astype(np.float64).copy()
        actions = maze.random(chance)
        maze.step(actions, chance)
        if maze.over.any() or (maze.age == 0).any():
            continue
        for place, action, after in zip(before, actions, maze.place.T, strict=True):
            x, y = place
            for _ in range(10):
                if not blocked(x + action[0] / 10, y):
                    x += action[0] / 10
                if not blocked(x, y + action[1] / 10):
                    y += action[1] / 10
            assert after == pytest.approx([x, y], abs=2e-3)


@pytest.mark.parametrize("name", ["rooms", "u", "spiral"])
def test_nobody_ever_stands_in_a_wall_and_the_script_gets_there(name: str) -> None:
    maze = PointMaze(name, 40, limit=60)
    chance = rng(1)
    maze.reset(chance)
    reached = np.zeros(40, bool)
    for _ in range(60):
        stepped = maze.step(maze.scripted(chance), chance)
        assert stepped.reached is not None
        reached |= stepped.reached
        assert (maze.cell(maze.place.T) >= 0).all()
        assert (np.abs(stepped.observations) <= 1).all()
    assert reached.mean() > 0.9


def test_shortest_ways_step_down_the_distance() -> None:
    far, onto = distances("rooms"), next_cells("rooms")
    here, there = np.nonzero(far > 0)
    assert np.isfinite(far).all()
    np.testing.assert_array_equal(far[onto[here, there], there], far[here, there] - 1)


@pytest.mark.parametrize(("name", "mine"), [("CartPole-v1", CartPole), ("Pendulum-v1", Pendulum)])
def test_physics_are_those_of_gymnasium(name: str, mine: type) -> None:
    gym = pytest.importorskip("gymnasium")
    other = gym.make(name)
    other.reset(seed=0)
    ours = mine(1, pixels=False)
    ours.reset(rng())
    start = np.array([0.01, -0.02, 0.03, 0.04]) if name.startswith("Cart") else np.array([2.0, -1.0])
    other.unwrapped.state = start.copy()
    ours.state = start[None].copy()
    chance = rng(3)
    for _ in range(30):
        action = ours.random(chance)
        given = int(action[0]) if ours.spaces.discrete else 2 * action[0]
        seen, reward, terminated, _, _ = other.step(given)
        stepped = ours.step(action, chance)
        np.testing.assert_allclose(stepped.observations[0], seen, rtol=1e-4, atol=1e-4)
        assert stepped.rewards[0] == pytest.approx(reward, rel=1e-4, abs=1e-4)
        assert stepped.terminated[0] == terminated
        if terminated:
            break


def test_drawn_poles_lean_where_they_are() -> None:
    cart = CartPole(2, size=64)
    cart.reset(rng())
    cart.state[:] = [[1.0, 0, 0.2, 0], [-1.0, 0, -0.2, 0]]
    right, left = cart.observe()[:, 0].astype(float)
    assert (np.abs(right - left[:, ::-1]) > 40).mean() < 0.01  # mirror images but for half a pixel
    assert right[:, 32:].sum() > right[:, :32].sum()
    pendulum = Pendulum(1, size=32)
    pendulum.state[:] = [[0.0, 0.0]]
    up = pendulum.observe()[0, 0]
    assert up[4:14, 15:17].min() > 200
    assert up[20:].max() < 60


def test_the_grids_table_is_what_happens() -> None:
    grid = Grid("u", 4000, slip=0.3, stay=True)
    chance = rng(2)
    grid.reset(chance)
    assert np.allclose(grid.table.sum(-1), 1)
    grid.cell[:] = 7
    actions = np.full(4000, 3)
    after = grid.step(actions, chance).observations.argmax(1)
    found = np.bincount(after, minlength=len(grid.cells)) / 4000
    assert np.abs(found - grid.table[7, 3]).max() < 0.03


@pytest.mark.parametrize("name", [name for name in WORLDS if name != "pixel-cartpole"])
def test_a_saved_world_goes_on_as_it_was(name: str) -> None:
    first = world(name, 3)
    chance = rng(4)
    first.reset(chance)
    for _ in range(7):
        first.step(first.random(chance), chance)
    second = world(name, 3)
    second.load_state_dict(first.state_dict())
    for step in range(80):
        actions = first.random(rng(step))
        one, two = first.step(actions, rng(step)), second.step(actions, rng(step))
        np.testing.assert_array_equal(one.observations, two.observations)
        np.testing.assert_array_equal(one.over, two.over)


def test_the_step_after_an_end_begins_anew() -> None:
    maze = PointMaze("u", 2, limit=3)
    chance = rng()
    maze.reset(chance)
    overs = [maze.step(maze.random(chance), chance).over for _ in range(8)]
    assert [over.all() for over in overs] == [False, False, True, False, False, False, True, False]


def test_gymnasium_environments_of_every_kind() -> None:
    pytest.importorskip("gymnasium")
    for name, shape, actions in (("CartPole-v1", (4,), 2), ("Pendulum-v1", (3,), 1), ("FrozenLake-v1", (16,), 4)):
        found = world(name, 2)
        assert found.spaces.observation == shape
        assert found.spaces.actions == actions
        first = found.reset(rng(5))
        stepped = found.step(found.random(rng(6)), rng(7))
        again = world(name, 2)
        np.testing.assert_array_equal(again.reset(rng(5)), first)
        np.testing.assert_array_equal(again.step(again.random(rng(6)), rng(7)).observations, stepped.observations)
        assert not found.exact


def test_pictures_of_a_maze_show_the_point() -> None:
    maze = DrawnMaze("u", 1, size=16)
    maze.reset(rng())
    maze.place[:] = [[0.5], [0.5]]
    seen = maze.observe()[0].astype(int)
    assert seen.shape == (3, 16, 16)
    redness = seen[0] - seen[1]
    assert np.unravel_index(redness.argmax(), redness.shape)[0] < 4
    assert maze.picture().shape[2] == 3


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: world("point-maize"), "did you mean point-maze"),
        (lambda: world("CartPole-v11"), "no environment 'CartPole-v11', neither of ours nor of gymnasium's"),
        (lambda: world("point-maze", 0), "at least one environment, got 0"),
        (lambda: PointMaze("hexagon"), "no maze 'hexagon'; there are rooms"),
        (lambda: PointMaze("u", 2).step(np.zeros((3, 2)), rng()), r"actions of shape \(2, 2\), got \(3, 2\)"),
        (lambda: Grid("u", slip=math.e), "slip must be a probability"),
        (lambda: Grid("open", size=16).spaces.needs_numbers("x"), "these are pixels"),
        (lambda: Spaces((4,), 2, goal=3, goal_from=2), "no part of an observation of 4 numbers"),
        (lambda: Spaces((4, 4), 2), "must be"),
        (lambda: CartPole(1, size=8), "at least 16 pixels"),
        (lambda: PointMaze("u", 2).load_state_dict(PointMaze("u", 3).state_dict()), "the state is of 3"),
    ],
)
def test_wrong_worlds_get_one_sentence(call, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()
