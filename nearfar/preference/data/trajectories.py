"""Conversations of experts with an environment of text, and exploring it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nearfar.preference.data.comparisons import Compared
from nearfar.preference.data.rooms import Environment, Episode, Room, expert
from nearfar.preference.data.world import PREFIX
from nearfar.sources.data import Data
from nearfar.sources.fingerprint import digest_of
from nearfar.sources.skipped import Skipped

if TYPE_CHECKING:
    from nearfar.preference.policy import Policy

UNSEEN = 1_000_000
"""The first task of those that are held out."""
Messages = list[dict[str, Any]]


class TrajectoryBatch(NamedTuple):
    """Beginnings of tasks, what experts then said and saw, and the rows of the collection that they are (N,)."""

    prompts: list[Messages]
    experts: list[Messages]
    rows: Tensor


class Trajectories(Compared):
    """What experts said and saw in N tasks of an environment.

    Args:
        episodes: N conversations that begin with what is seen (``user``) and end with a turn of the ``assistant``,
            and their rewards, 1 where they are not known.
        tasks: N numbers, by which the environment begins the same tasks; 0 to N - 1 when not given.
        environment: makes an environment; without one nothing can be explored.
        name: what to call the set.
        model: a made model that fits.
        splits: other tasks by name.
        skipped: what the source held besides.

    Raises:
        ValueError: no conversation, or one that does not begin or end so, or another number of tasks.
    """

    gives = TrajectoryBatch
    world = None

    def __init__(
        self,
        episodes: Sequence[Episode],
        *,
        tasks: Sequence[int] | None = None,
        environment: Callable[[], Environment] | None = None,
        name: str = "trajectories",
        model: str | None = None,
        splits: Mapping[str, Data] | None = None,
        skipped: Skipped | None = None,
    ) -> None:
        for row, episode in enumerate(episodes):
            if reason := why_no_conversation(episode.messages):
                raise ValueError(f"conversation {row}: {reason}")
        parted = [_parted(episode.messages) for episode in episodes]
        self._begin([first for first, _ in parted], name, None, splits, skipped)
        self.experts = [rest for _, rest in parted]
        self.rewards = np.array([episode.reward for episode in episodes], dtype=np.float64)
        self.tasks = [*range(len(parted))] if tasks is None else [*tasks]
        if len(self.tasks) != len(parted):
            raise ValueError(f"there are {len(parted)} conversations and {len(self.tasks)} tasks")
        self.environment, self._model = environment, model

    @property
    def facts(self) -> Mapping[str, Any]:
        return {} if self._model is None else {"model": self._model}

    def batch(self, indices: np.ndarray) -> TrajectoryBatch:
        rows = [int(i) for i in indices]
        return TrajectoryBatch(
            [self.prompts[i] for i in rows],  # type: ignore[misc]
            [self.experts[i] for i in rows],
            torch.tensor(rows),
        )

    def contents(self) -> Mapping[str, str]:
        return {"trajectories": digest_of(self.prompts, self.experts, self.tasks)}


def rooms(examples: int, seed: int) -> Trajectories:
    """Shortest ways through generated rooms, with 100 rooms held out."""
    tasks = [seed * 10_000 + i for i in range(examples)]
    unseen = [UNSEEN + seed * 10_000 + i for i in range(100)]
    made = f"{PREFIX}rooms" + (f"/{seed}" if seed else "")
    test = Trajectories([*map(expert, unseen)], tasks=unseen, environment=Room, name="rooms", model=made)
    return Trajectories(
        [*map(expert, tasks)], tasks=tasks, environment=Room, name="rooms", model=made, splits={"test": test}
    )


def why_no_conversation(messages: Any) -> str:
    """What keeps messages from being an expert's conversation; empty where nothing does."""
    if not isinstance(messages, list) or not all(isinstance(m, dict) and "role" in m for m in messages):
        return "it is no list of messages with role and content"
    if not any(m["role"] == "assistant" for m in messages):
        return "the assistant says nothing in it"
    if messages[0]["role"] == "assistant":
        return "it begins with the assistant, before anything was seen"
    return "" if messages[-1]["role"] == "assistant" else "it does not end with a turn of the assistant"


def _parted(messages: Messages) -> tuple[Messages, Messages]:
    first = next(place for place, message in enumerate(messages) if message["role"] == "assistant")
    return messages[:first], messages[first:]


def explore(
    policy: Policy,
    data: Trajectories,
    *,
    new: int,
    turns: int,
    best: bool = True,
) -> list[Episode]:
    """Every task of the data, tried once by a policy; all of them side by side.

    Args:
        new: tokens of an answer at most.
        turns: answers in an episode at most.
        best: the likeliest words, instead of drawn ones (from torch's global generator).

    Raises:
        ValueError: there is no environment, or it begins a task with other words than the expert saw.
    """
    if data.environment is None:
        raise ValueError(
            f"{data.name} has conversations and no environment to explore; give it one in Python: "
            "Trajectories(episodes, environment=...), with reset(task) and step(text)"
        )
    places = [data.environment() for _ in data.tasks]
    said: list[Messages] = []
    for place, task, prompt in zip(places, data.tasks, data.prompts, strict=True):
        seen = place.reset(task)
        if prompt[-1]["content"] != seen:  # type: ignore[index]
            raise ValueError(f"task {task} begins with {seen!r} now, and with {prompt[-1]['content']!r} for the expert")  # type: ignore[index]
        said.append([*prompt])  # type: ignore[misc]
    rewards, going = [0.0] * len(said), [*range(len(said))]
    for _ in range(turns):
        answers = policy.sample([said[i] for i in going], new=new, best=best) if going else []
        still = []
        for i, answer in zip(going, answers, strict=True):
            words = policy.text(answer[0])
            seen, rewards[i], over = places[i].step(words)
            said[i] += [{"role": "assistant", "content": words}, {"role": "user", "content": seen}]
            if not over:
                still.append(i)
        going = still
    return [Episode(messages, reward) for messages, reward in zip(said, rewards, strict=True)]


def trajectory_pairs(
    data: Trajectories, explored: Sequence[Episode], *, extra: int = 10
) -> list[tuple[Messages, Messages, Messages]]:
    """Prompt, better and worse conversation of each task whose reward differs from the expert's.

    As in ETO's release: the worse one is cut to ``extra`` messages more than the better one has, a last observation is
    dropped, and what then does not end with a turn of the assistant is left out.
    """
    found = []
    for prompt, own, theirs, reward in zip(data.prompts, explored, data.experts, data.rewards, strict=True):
        mine = own.messages[len(prompt) :]
        if own.reward == reward:
            continue
        better, worse = (theirs, mine) if own.reward < reward else (mine, theirs)
        both = [_ending(better), _ending(worse[: len(better) + extra])]
        if all(both):
            found.append((prompt, *both))
    return found  # type: ignore[return-value]


def _ending(messages: Messages) -> Messages:
    """Up to a last turn of the assistant, if that is the last or the one before an observation; else nothing."""
    if messages and messages[-1]["role"] != "assistant":
        messages = messages[:-1]
    return messages if messages and messages[-1]["role"] == "assistant" else []
