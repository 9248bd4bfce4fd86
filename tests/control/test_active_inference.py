"""Contrastive active inference: its model, what moves what, what it learns and keeps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from nearfar import workflow
from nearfar.catalogue import find
from nearfar.cli import main
from nearfar.control.data import load, watched
from nearfar.control.methods.contrastive_active_inference import ContrastiveActiveInference
from nearfar.control.networks import Choices
from nearfar.control.recurrent_model import PictureCodes, RecurrentModel, State, World, divergence, lambda_returns
from nearfar.control.spaces import Spaces
from nearfar.losses import contrastive_free_energy
from nearfar.reproductions.arms import build
from nearfar.training import Optimization, Training, fit

SMALL = World(depth=8, certain=24, drawn=8, hidden=24, code=24, free=0.1)
QUICK = Optimization("adam", lr=3e-3, weight_decay=0.0, schedule="constant")


@pytest.fixture(scope="module")
def source():  # type: ignore[no-untyped-def]
    return load("pixel-grid-episodes", recorded=1500)


def made(source, **changes):  # type: ignore[no-untyped-def]
    given = {"world": SMALL, "hidden": 16, "length": 3, "horizon": 3, "optimization": QUICK, **changes}
    return build("contrastive-active-inference", source, 0, acting_optimization=QUICK, **given)


def test_the_model_takes_steps_one_after_another() -> None:
    model = RecurrentModel(2, 5, World(certain=6, drawn=3, hidden=7)).double()
    rng = torch.Generator().manual_seed(0)
    seen, actions = torch.randn(4, 3, 5, generator=rng).double(), torch.randn(4, 2, 2, generator=rng).double()
    expected, known = model.follow(seen, actions, None)
    state = model.first(seen[:, 0], None)
    for step in range(2):
        prior = model.imagine(state, actions[:, step], None)
        state = model.correct(prior, seen[:, step + 1], None)
        torch.testing.assert_close(expected.mean[4 * step : 4 * step + 4], prior.mean)
        torch.testing.assert_close(known.features[4 * step : 4 * step + 4], state.features)
    found = divergence(known, expected)
    slow = kl_divergence(Normal(known.mean, known.deviation), Normal(expected.mean, expected.deviation)).sum(1)
    torch.testing.assert_close(found, slow)
    assert known.deviation.min() >= 0.1
    drawn = model.imagine(state, actions[:, 0], torch.Generator().manual_seed(1))
    assert not torch.equal(drawn.drawn, drawn.mean)
    assert (PictureCodes((3, 64, 64)).width, PictureCodes((1, 16, 16)).width) == (1024, 256)


def test_losses_name_what_is_wrong() -> None:
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.equal(contrastive_free_energy(x, x.detach(), scale=1.0), -(x * x.detach()).sum(1))
    goals = torch.randn(4, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: contrastive_free_energy(s, goals, goals), (x,))
    same = contrastive_free_energy(x.detach(), x.detach() * 0, x.detach() * 0)
    torch.testing.assert_close(same, torch.zeros(4, dtype=torch.float64))  # what tells nothing costs nothing
    with pytest.raises(ValueError, match="scale must be greater than 0"):
        contrastive_free_energy(x, x, scale=0.0)


def test_returns_are_a_mixture_of_those_of_so_many_steps() -> None:
    rng = torch.Generator().manual_seed(0)
    rewards, values = (torch.randn(4, 3, generator=rng, dtype=torch.float64) for _ in range(2))
    found = lambda_returns(rewards, values, discount=0.9, trace=0.7)
    for k in range(4):
        returns = []
        for n in range(1, 5 - k):
            ahead = sum(0.9**i * rewards[k + i] for i in range(n))
            returns.append(ahead + 0.9**n * values[k + n - 1])
        mixed = 0.3 * sum((0.7 ** (n - 1) * value for n, value in enumerate(returns[:-1], 1)), torch.zeros(3))
        torch.testing.assert_close(found[k], mixed + 0.7 ** (len(returns) - 1) * returns[-1])
    with pytest.raises(ValueError, match=r"trace must be in \[0, 1\]"):
        lambda_returns(rewards, values, trace=1.5)
    with pytest.raises(ValueError, match="alike and not empty"):
        lambda_returns(rewards, values[:2])


def test_each_update_moves_its_own_part_and_free_nats_are_of_the_mean(source) -> None:  # type: ignore[no-untyped-def]
    method = made(source)
    batch = source.draw(method, 0, np.random.default_rng(0), 8)
    terms = method.world_loss(batch)
    assert set(terms) == {"contrast", "divergence"}
    assert terms["divergence"] > 0.1
    method.free = 1e6
    assert float(method.world_loss(batch)["divergence"].detach()) == 1e6
    method.world_loss(batch)
    method._updates = method.updates()
    policy = method._updates[1]
    with method._only(policy):
        sum(policy.loss(batch).values()).backward()
    names = {name.split(".")[0] for name, p in method.named_parameters() if p.grad is not None and p.grad.any()}
    assert names == {"actor"}
    numbers = ContrastiveActiveInference(Spaces((1, 16, 16), 2, goal=2), world=SMALL, hidden=16, length=3, horizon=2)
    drawn = load("pixel-maze-episodes", recorded=400)
    method = made(drawn)
    batch = drawn.draw(method, 0, np.random.default_rng(0), 8)
    method.world_loss(batch)
    method.policy_loss(batch)["cost"].backward()
    assert method.actor.body[0].weight.grad.abs().sum() > 0  # through the model, as it is no choice
    assert numbers.search == 0


def test_the_policy_learns_what_the_model_says(source) -> None:  # type: ignore[no-untyped-def]
    """With a model in which a move decides what the state's code is, the policy takes the move to the goal's code."""
    method = made(source)
    codes = torch.eye(24)[:4]

    def imagine(state: State, actions: torch.Tensor, generator: object) -> State:
        return state._replace(drawn=torch.cat([actions, state.drawn[:, 4:]], 1))

    method.model.imagine = imagine  # type: ignore[method-assign]
    method.state_code = Moved()
    method._known = State(*(torch.zeros(32, n) for n in (8, 8, 8, 24)))
    optimizer = torch.optim.Adam(method.actor.parameters(), lr=1e-2)
    for step in range(60):
        method.generator.manual_seed(step)
        method._codes = codes.repeat(8, 1) * 24
        terms = method.policy_loss(None)
        optimizer.zero_grad()
        sum(terms.values()).backward()
        optimizer.step()
    policy = method.actor(torch.cat([torch.zeros(4, 32), codes * 24], 1))
    assert isinstance(policy, Choices)
    assert policy.best.argmax(1).tolist() == [0, 1, 2, 3]


class Moved(torch.nn.Module):
    """The code of a state is the last move."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pad(features[:, :4], (0, 20))


def test_states_find_their_observations_and_searches_reach_goals(source) -> None:  # type: ignore[no-untyped-def]
    method = made(source, search=2, world=replace(SMALL, free=3.0))
    assert [update.name for update in method.updates()] == ["world"]
    batch = source.draw(method, 0, np.random.default_rng(0), 64)
    with torch.no_grad():
        before = float(method.world_loss(batch)["contrast"])
    fit(method, source, Training(steps=60, batch_size=32, seed=0), progress=False)
    with torch.no_grad():
        assert float(method.world_loss(batch)["contrast"]) < before - 0.15
        features = method.expected(batch.observations[:, 0]).features
    assert features.std(0).max() > 0.05
    method.eval()
    where = source.fresh(3)
    observed = watched(where.reset(np.random.default_rng(0)), where.goals)
    acted = method.act(observed)
    assert torch.equal(acted.sum(1), torch.ones(3))
    assert torch.equal(acted, method.act(observed))
    with pytest.raises(ValueError, match="this world sets none"):
        method.act(watched(observed.observations.numpy(), None))


def test_a_reopened_run_acts_as_the_one_in_memory(source, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    arguments, _ = workflow.laptop_settings(find("contrastive-active-inference"), tiny=True)
    method, _ = workflow.train(
        "contrastive-active-inference",
        data=source,
        arguments={**arguments, "copy_every": 2},
        training=Training(steps=2, batch_size=8),
        out=tmp_path / "run",
        progress=False,
    )
    assert all(
        torch.equal(*pair) for pair in zip(method.value.parameters(), method.slow.module.parameters(), strict=True)
    )
    _, again, _ = workflow.load_run(tmp_path / "run")
    where = source.fresh(3)
    observed = watched(where.reset(np.random.default_rng(0)), where.goals)
    assert torch.equal(method.act(observed), again.act(observed))
    assert torch.equal(method.policy(*observed).logs, again.policy(*observed).logs)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--env", "point-maze"], "contrastive-active-inference learns from pixels"),
        (["--env", "pixel-pendulum"], "this world sets none"),
        (["--horizon", "0"], "horizon must be at least 1"),
        (["--env", "pixel-maze", "--search", "2"], "this world takes numbers"),
    ],
)
def test_wrong_words_get_one_sentence(words: list[str], expected: str, capsys, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "contrastive-active-inference", *words, "--steps", "1"]) == 2
    said = capsys.readouterr().err
    assert [expected in line for line in said.splitlines() if line.startswith("nearfar:")] == [True], said
