"""ETO: agents of words, what they said themselves, and learning from where they failed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from nearfar.losses import dpo_loss
from nearfar.preference.data import Episode, Trajectories, load, rooms
from nearfar.preference.data.rooms import Room, expert, rooms_model
from nearfar.preference.data.trajectories import explore, trajectory_pairs
from nearfar.preference.methods.eto import ETO
from nearfar.preference.policy import Policy
from nearfar.training import Optimization, Training, fit

TURNS = 3


@pytest.fixture(scope="module")
def few() -> Trajectories:
    return rooms(12, 0)


def said(*turns: str) -> list[dict[str, str]]:
    """What is seen and what the assistant says, in turn."""
    return [{"role": ("user", "assistant")[i % 2], "content": turn} for i, turn in enumerate(turns)]


def agent(**settings: object) -> ETO:
    settings = {"betas": (0.5,), "round_rates": (0.05,), "turns": TURNS, "new": 2} | settings
    return ETO(rooms_model(0), **settings)  # type: ignore[arg-type]


def test_the_expert_takes_a_shortest_way_by_the_key_to_the_door() -> None:
    for task in range(20):
        room = Room()
        room.reset(task)
        away = [abs(a - b) for s, t in ((room.place, room.key), (room.key, room.door)) for a, b in zip(s, t)]  # noqa: B905
        found = expert(task)
        assert sum(m["role"] == "assistant" for m in found.messages) == sum(away)
        assert found.reward == 1.0


def test_only_the_assistants_turns_count(few: Trajectories) -> None:
    policy = Policy(rooms_model(0))
    prompt, reply = few.prompts[0], few.experts[0]
    (whole,) = policy.sequences(prompt, [reply])
    counted = [whole.reply[i] for i in whole.counted()]
    words = [f"{m['content']} <eos>" for m in reply if m["role"] == "assistant"]
    assert policy.tokenizer.decode(counted) == " ".join(words)

    ids = torch.tensor([[*whole.prompt, *whole.reply]])
    with torch.no_grad():
        logits = policy.model.double()(input_ids=ids).logits[0].log_softmax(-1)
        policy.model.float()
        slow = sum(
            logits[len(whole.prompt) + i - 1, whole.reply[i]].item()
            for i in range(len(whole.reply))
            if whole.own is not None and whole.own[i]
        )
        assert policy.logps([whole]).item() == pytest.approx(slow, rel=1e-5)


def test_a_conversation_that_is_cut_before_the_assistant_speaks_is_refused(few: Trajectories) -> None:
    policy = Policy(rooms_model(0))
    begun = policy.sequences(few.prompts[0], [few.experts[0]])[0]
    with pytest.raises(ValueError, match="no turn of the assistant has room in"):
        policy.sequences([*few.prompts[0], *few.experts[0][:1]], [few.experts[0][1:]], most=len(begun.prompt) + 3)


def test_failures_are_paired_with_the_expert_as_the_release_does() -> None:
    experts = [Episode(said("a", "go", "b", "go"), 1.0)] * 5
    data = Trajectories(experts)
    long = said("a", *["no", "b"] * 9)
    explored = [
        Episode(said("a", "no", "b"), 0.5),  # worse: the last observation is dropped
        Episode(said("a", "up", "b"), 1.0),  # as good: nothing to learn
        Episode(long, 0.0),  # much longer: cut to two messages more than the expert has
        Episode(said("a", "ok", "b"), 2.0),  # better than the expert
        Episode(said("a"), 0.0),  # nothing said
    ]
    found = trajectory_pairs(data, explored, extra=2)
    theirs = said("a", "go", "b", "go")[1:]
    assert [pair[0] for pair in found] == [said("a")] * 3
    assert found[0][1:] == (theirs, said("a", "no")[1:])
    assert found[1][1:] == (theirs, long[1:6])
    assert found[2][1:] == (said("a", "ok")[1:], theirs)


def test_a_round_compares_with_the_agent_that_explored(few: Trajectories) -> None:
    method = agent(imitation=0.5)
    with torch.no_grad():
        for p in method.policy.parameters():
            p.add_(0.02 * torch.randn(p.shape, generator=torch.Generator().manual_seed(1)))
    method.begin_phase("round 1", few)
    tried = explore(method.policy, few, new=2, turns=TURNS)
    assert [tuple(pair) for pair in method._pairs] == trajectory_pairs(few, tried, extra=10)
    views = method.views(few.batch(np.arange(4)))
    assert views.compared
    policy = method.rated(views.judged)
    torch.testing.assert_close(policy.detach(), views.judged.reference)  # nothing has moved since
    with torch.no_grad():
        next(method.policy.parameters()).mul_(1.1)
    policy = method.rated(views.judged)
    wanted = dpo_loss(*policy.unbind(1), *views.judged.reference.unbind(1), beta=0.5)
    torch.testing.assert_close(method.loss(views), wanted)

    again = agent(imitation=0.5)
    again.load_state_dict(method.state_dict())
    again.resumed(few)
    assert again._pairs == method._pairs  # a resumed run goes on with what was explored


def test_imitation_is_the_mean_over_what_the_expert_said(few: Trajectories) -> None:
    method = agent(imitation=1.0)
    method.begin_phase("imitation", few)
    views = method.views(few.batch(np.arange(5)))
    replies = [s for i in range(5) for s in method.policy.sequences(few.prompts[i], [few.experts[i]])]
    with torch.no_grad():
        wanted = -method.policy.logps(replies).sum() / sum(sum(s.own or [True] * len(s.reply)) for s in replies)
        torch.testing.assert_close(method.loss(views), wanted)


def test_a_short_imitation_teaches_the_experts_moves_in_rooms_that_were_not_seen() -> None:
    held = rooms(1, 0).splits()["test"].batch(np.arange(20))  # type: ignore[attr-defined]
    quick = Optimization("adamw", lr=3e-3, schedule="constant")
    method = agent(imitation=1.0, optimization=quick)
    fit(method, rooms(60, 0), Training(steps=25, batch_size=8, monitor_every=-1), progress=False)
    with torch.no_grad():
        found = method.loss(method.views(held)).item()
    assert found < 1.2  # an end after one of four words that are equally likely: ln(4) / 2, of 3.1 before training


def test_an_environment_that_begins_otherwise_is_refused(few: Trajectories) -> None:
    policy = Policy(rooms_model(0))
    other = Trajectories([expert(0)], tasks=[1], environment=Room)
    with pytest.raises(ValueError, match=r"task 1 begins with .* now, and with .* for the expert"):
        explore(policy, other, new=2, turns=1)
    with pytest.raises(ValueError, match="no environment to explore; give it one in Python"):
        explore(policy, Trajectories([expert(0)]), new=2, turns=1)


def test_conversations_are_read_from_a_table_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "said.jsonl"
    rows = [{"messages": expert(i).messages, "reward": 1.0, "task": i} for i in range(20)]
    rows[3]["messages"] = [{"role": "assistant", "content": "north"}]
    path.write_text("\n".join(map(json.dumps, rows)))
    data = load(str(path))
    assert isinstance(data, Trajectories)
    assert data.tasks == [i for i in range(20) if i != 3]
    assert data.experts[0] == expert(0).messages[1:]
    with pytest.raises(ValueError, match="begins with the assistant, before anything was seen"):
        Trajectories([Episode(said("a", "b")[1:], 1.0)])
    with pytest.raises(ValueError, match="does not end with a turn of the assistant"):
        Trajectories([Episode(said("a", "b", "c"), 1.0)])


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"imitation": 1.5}, r"imitation must be a share in \[0, 1\], got 1.5"),
        ({"betas": (0.1, 0.2)}, "one positive number a round"),
        ({"betas": (-0.1,)}, "one positive number a round"),
        ({"turns": 0}, "must be at least 1, got 10, 0 and 2"),
    ],
)
def test_settings_out_of_range_are_named(settings: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        agent(**settings)
