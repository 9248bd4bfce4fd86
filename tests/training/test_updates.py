"""Several updates in a step: each moves its own parameters, in order, by its own optimiser, as a hand-written loop."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nearfar.runs.metrics import read_metrics
from nearfar.runs.run import Run
from nearfar.training import Interaction, Method, NonFiniteError, Optimization, Phase, Training, Update, fit

SGD = Optimization("sgd", lr=0.1, momentum=0.9, weight_decay=0.0, schedule="constant")
ADAM = Optimization("adam", lr=0.05, weight_decay=0.0, schedule="linear")


class Pair(Method):
    """A critic that fits a target and an actor that climbs the critic, as in control."""

    verbs = ("acts",)

    def __init__(self, every: int = 1, repeat: int = 1, poison: int = -1) -> None:
        super().__init__(SGD)
        self.encoder = nn.Linear(3, 1)
        self.actor = nn.Linear(3, 3)
        self.every, self.repeat, self.poison = every, repeat, poison
        self.register_buffer("done", torch.zeros((), dtype=torch.long))

    def updates(self) -> list[Update]:
        return [
            Update("critic", list(self.encoder.parameters()), self.critic_loss, SGD),
            Update("actor", list(self.actor.parameters()), self.actor_loss, ADAM, every=self.every, repeat=self.repeat),
        ]

    def critic_loss(self, x: Tensor) -> Tensor:
        bad = self.poison == int(self.done)
        return (self.encoder(x) - x.sum(1, keepdim=True)).square().mean() * (float("nan") if bad else 1.0)

    def actor_loss(self, x: Tensor) -> Mapping[str, Tensor]:
        return {"value": -self.encoder(torch.tanh(self.actor(x))).mean(), "size": 0.1 * self.actor(x).square().mean()}

    def after_step(self) -> None:
        self.done += 1

    def act(self, observations: Tensor, *, generator: torch.Generator) -> Tensor:
        return torch.tanh(self.actor(observations))


class Counting(Interaction):
    """Draws numbers around what the agent does, and counts; its count is its state."""

    name = "counting"

    def __init__(self, exact: bool = True) -> None:
        self.drawn = 0
        self.exact = exact

    def draw(self, agent: Any, step: int, rng: np.random.Generator, batch_size: int) -> Tensor:
        self.drawn += 1
        seen = torch.from_numpy(rng.standard_normal((batch_size, 3)).astype(np.float32))
        with torch.no_grad():
            return seen + agent.act(seen, generator=agent.generator) * self.drawn / 10

    def state_dict(self) -> dict[str, Any]:
        return {"drawn": self.drawn}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.drawn = int(state["drawn"])

    def measured(self) -> dict[str, float]:
        return {"return": self.drawn / 2}


def trained(method: Method, source: Interaction | None = None, **options: Any) -> Method:
    run, checkpoint = options.pop("run", None), options.pop("checkpoint", None)
    training = Training(**{"steps": 8, "batch_size": 4, "log_every": 1, **options})
    return fit(method, source or Counting(), training, run=run, checkpoint=checkpoint, progress=False)


def by_hand(method: Pair, steps: int) -> None:
    critic = torch.optim.SGD(method.encoder.parameters(), lr=0.1, momentum=0.9)
    actor = torch.optim.Adam(method.actor.parameters(), lr=0.05)
    source = Counting()
    from nearfar.common.randomness import derive_seed

    for step in range(steps):
        x = source.draw(method, step, np.random.default_rng(derive_seed(0, "interaction", step, 0)), 4)
        critic.zero_grad()
        method.critic_loss(x).backward()
        critic.step()
        for group in actor.param_groups:
            group["lr"] = 0.05 * (1 - step / steps)
        for _ in range(method.repeat if step % method.every == 0 else 0):
            actor.zero_grad()
            sum(method.actor_loss(x).values()).backward()  # type: ignore[union-attr]
            actor.step()


@pytest.mark.parametrize(("every", "repeat"), [(1, 1), (3, 1), (2, 2)])
def test_updates_are_those_of_a_hand_written_loop(every: int, repeat: int) -> None:
    torch.manual_seed(0)
    ours = Pair(every, repeat)
    other = Pair(every, repeat)
    other.load_state_dict(ours.state_dict())
    trained(ours)
    by_hand(other, 8)
    for name, value in other.named_parameters():
        torch.testing.assert_close(dict(ours.named_parameters())[name], value, rtol=1e-5, atol=1e-6)
    assert ours.done == 8


def test_an_update_moves_no_parameter_of_another() -> None:
    class Still(Pair):
        def updates(self) -> list[Update]:
            return [Update("actor", list(self.actor.parameters()), self.actor_loss, ADAM)]

    method = Still()
    before = {name: p.clone() for name, p in method.named_parameters()}
    trained(method)
    for name, p in method.named_parameters():
        assert torch.equal(p, before[name]) == name.startswith("encoder")


def test_terms_returns_and_the_whole_loss_are_logged(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", {"method": "pair"})
    trained(Pair(every=2), run=run)
    rows = list(read_metrics(run.path / "metrics.csv"))
    assert [row["step"] for row in rows] == list(range(1, 9))
    assert [row["return"] for row in rows] == [n / 2 for n in range(1, 9)]
    first = rows[0]
    assert first["train/actor_loss"] == pytest.approx(first["train/actor_value"] + first["train/actor_size"])
    assert first["train/loss"] == pytest.approx(first["train/critic_loss"] + first["train/actor_loss"], rel=1e-5)


def test_a_run_cut_short_goes_on_to_the_bit(tmp_path: Path) -> None:
    torch.manual_seed(1)
    whole = Pair(every=2)
    start = {name: value.clone() for name, value in whole.state_dict().items()}
    run = Run.create(tmp_path / "run", {"method": "pair"})
    trained(whole, run=run, checkpoint_every=3)
    again = Pair(every=2)
    again.load_state_dict(start)
    source = Counting()
    trained(again, source, checkpoint=run.checkpoints / "step-000000006.ckpt")
    assert source.drawn == 8
    for name, value in whole.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name


def test_a_source_that_cannot_be_saved_whole_says_so(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", {"method": "pair"})
    trained(Pair(), Counting(exact=False), run=run, checkpoint_every=4)
    with pytest.warns(UserWarning, match="counting cannot be saved in the middle"):
        trained(Pair(), Counting(exact=False), checkpoint=run.checkpoints / "step-000000004.ckpt")


def test_a_loss_that_is_not_finite_stops_or_is_left_out() -> None:
    with pytest.raises(NonFiniteError, match=r"not finite at step 2: loss = nan"):
        trained(Pair(poison=2))

    class Once(Pair):
        def critic_loss(self, x: Tensor) -> Tensor:
            self.asked = getattr(self, "asked", -1) + 1
            return super().critic_loss(x) * (float("nan") if self.asked == 2 else 1.0)

    method = Once()
    trained(method, non_finite="skip")
    assert method.guard.skipped == 1
    assert method.done == 7  # a step with a part left out is not done


def test_phases_scale_the_rates_of_every_update() -> None:
    class Halting(Pair):
        phases = (Phase("moving", 0.5), Phase("still", 0.5, lr_scale=0.0))

        def after_step(self) -> None:
            super().after_step()
            if self.done == 4:
                self.halfway = {name: p.detach().clone() for name, p in self.named_parameters()}

    method = Halting()
    trained(method)
    for name, p in method.named_parameters():
        assert torch.equal(p.detach(), method.halfway[name])


def test_accumulation_is_refused_in_one_sentence() -> None:
    with pytest.raises(ValueError, match="accumulate is 2, and Pair makes several updates in a step"):
        trained(Pair(), accumulate=2)
