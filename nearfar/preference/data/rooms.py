"""Rooms of words: fetch a key, then reach the door. A text environment whose shortest ways are known.

An agent reads where it is and answers with a direction. Whatever else reads and answers so (``reset(task)`` and
``step(text)``) can be explored as well: see :class:`Environment`.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from nearfar.common.randomness import derive_seed
from nearfar.encoders.causal import CausalLM, causal_model, word_tokenizer
from nearfar.encoders.taught import Teaching, llama_config

SIDE, TURNS = 5, 16
MOVES = {"north": (-1, 0), "south": (1, 0), "west": (0, -1), "east": (0, 1)}
TEMPLATE = "{% for m in messages %}{{ m['content'] }}{% if m['role'] == 'assistant' %} <eos>{% endif %} {% endfor %}"


class Environment(Protocol):
    """What an agent of words is in. The same task begins with the same words."""

    def reset(self, task: int) -> str:
        """Begin a task and say what is seen."""

    def step(self, text: str) -> tuple[str, float, bool]:
        """What is seen after an answer, the reward of the episode so far, and whether it is over."""


class Episode(NamedTuple):
    """What was said, what was seen first before all, and the reward at the end."""

    messages: list[dict[str, Any]]
    reward: float


class Room:
    """A floor of 5 x 5 cells with a key and a door, drawn from the number of the task.

    The reward is 1 at the door with the key, and until then a half for the key. After 16 moves it is over.
    """

    def reset(self, task: int) -> str:
        rng = np.random.default_rng(derive_seed(task, "room"))
        cells = [divmod(int(cell), SIDE) for cell in rng.permutation(SIDE * SIDE)[:3]]
        self.place, self.key, self.door = cells
        self.held, self.turns = False, 0
        return f"door {_cell(self.door)} key {_cell(self.key)} {self._seen()}"

    def step(self, text: str) -> tuple[str, float, bool]:
        down, right = MOVES.get(text.strip(), (0, 0))
        target = (self.place[0] + down, self.place[1] + right)
        if min(target) >= 0 and max(target) < SIDE:
            self.place = target
        self.turns += 1
        self.held |= self.place == self.key
        home = self.held and self.place == self.door
        return self._seen(), 1.0 if home else 0.5 * self.held, home or self.turns >= TURNS

    def plan(self) -> str:
        """The next move of a shortest way by the key to the door: up or down before left or right."""
        goal = self.door if self.held else self.key
        away = goal[0] - self.place[0], goal[1] - self.place[1]
        if away[0]:
            return "south" if away[0] > 0 else "north"
        return "east" if away[1] > 0 else "west"

    def _seen(self) -> str:
        return f"me {_cell(self.place)} {'held' if self.held else 'missing'}"


def _cell(cell: tuple[int, int]) -> str:
    return f"r{cell[0]} c{cell[1]}"


def expert(task: int) -> Episode:
    """A shortest way through a room."""
    room = Room()
    messages = [{"role": "user", "content": room.reset(task)}]
    reward, over = 0.0, False
    while not over:
        word = room.plan()
        seen, reward, over = room.step(word)
        messages += [{"role": "assistant", "content": word}, {"role": "user", "content": seen}]
    return Episode(messages[:-1], reward)


def rooms_model(seed: int) -> CausalLM:
    """A small Llama that knows the words of rooms and nothing of what to do in them."""
    words = ["door", "key", "me", "held", "missing", *MOVES, *(f"{axis}{i}" for axis in "rc" for i in range(SIDE))]
    tokenizer = word_tokenizer(words)
    tokenizer.chat_template = TEMPLATE
    shape = Teaching(layers=3, width=64)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "rooms"))
        return causal_model(llama_config(shape, longest=160), tokenizer=tokenizer)
