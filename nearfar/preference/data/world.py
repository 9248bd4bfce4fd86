"""A world of short replies that is known exactly: every possible reply, how good it is, how likely the model says it.

Each of eight prompts (``ask p3``) is answered by two of twelve words. The made model has learnt to draw the first
word and, given the prompt alone, the second from distributions of the prompt's own; the reward of a reply is a sum of
what its words and their pair are worth there. With 144 replies to a prompt, expected rewards, divergences and the
optimum of a regularised reward are sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from nearfar.common.randomness import derive_seed
from nearfar.encoders.causal import CausalLM, causal_model, word_tokenizer
from nearfar.encoders.taught import Lessons, Made, Teaching, llama_config, made_model, teach
from nearfar.preference.data import rooms
from nearfar.preference.data.rooms import rooms_model
from nearfar.spelling import one_of

PROMPTS, WORDS = 8, 12
PREFIX = "made:"
"""Begins the name of a made model: ``made:replies``, or ``made:replies/3`` for the world of seed 3."""


@dataclass(frozen=True)
class World:
    """Prompts, their possible replies, and what is known of them.

    Attributes:
        model: the name of the model that belongs to it.
        prompts: P texts. replies: R texts, the same for every prompt.
        rewards: (P, R), of mean 0 and standard deviation 1.
        chances: (P, R), how often the lessons of the made model have each reply.
    """

    model: str
    prompts: list[str]
    replies: list[str]
    rewards: np.ndarray
    chances: np.ndarray

    def reward(self, prompt: object, reply: str) -> float:
        """What a reply is worth; as little as the worst where it is none of the possible ones."""
        row = self.prompts.index(str(prompt))
        text = f" {' '.join(reply.split())}"
        found = self.rewards[row, self.replies.index(text)] if text in self.replies else self.rewards[row].min()
        return float(found)

    def draw(self, rng: np.random.Generator, count: int, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Prompts (count,) and ``k`` different replies to each (count, k), as the model's lessons have them."""
        rows = rng.integers(0, len(self.prompts), count)
        # The k largest of Gumbel-shifted log-chances are a draw without replacement.
        shifted = np.log(self.chances[rows]) + rng.gumbel(size=(count, len(self.replies)))
        return rows, np.argsort(-shifted, axis=1)[:, :k]


@lru_cache(maxsize=8)
def reply_world(seed: int = 0) -> World:
    """The world of a seed."""
    rng = np.random.default_rng(derive_seed(seed, "replies"))
    first, second = (rng.dirichlet(np.full(WORDS, 2.0), PROMPTS) + 0.01 for _ in range(2))
    chances = (first[:, :, None] * second[:, None, :]).reshape(PROMPTS, -1)
    worth = rng.normal(size=(PROMPTS, WORDS, 1)) + rng.normal(size=(PROMPTS, 1, WORDS))
    worth = (worth + 0.5 * rng.normal(size=(PROMPTS, WORDS, WORDS))).reshape(PROMPTS, -1)
    return World(
        f"{PREFIX}replies" + (f"/{seed}" if seed else ""),
        [f"ask p{i}" for i in range(PROMPTS)],
        [f" w{i} w{j}" for i in range(WORDS) for j in range(WORDS)],
        (worth - worth.mean()) / worth.std(),
        chances / chances.sum(1, keepdims=True),
    )


@lru_cache(maxsize=4)
def made(name: str) -> CausalLM:
    """The made model of this name. It is shared: copy it before changing it.

    Raises:
        ValueError: there is no such model.
    """
    world, _, seed = name.removeprefix(PREFIX).partition("/")
    if world not in BUILDERS or not (seed or "0").isdigit():
        raise ValueError(f"there is no made model {name!r}{one_of(name, [PREFIX + each for each in BUILDERS])}")
    return made_model(Made(world, BUILDERS[world], (Path(__file__), Path(rooms.__file__))), int(seed or 0))


def _replies(seed: int) -> CausalLM:
    world = reply_world(seed)
    words = ["ask", *(f"p{i}" for i in range(PROMPTS)), *(f"w{i}" for i in range(WORDS))]
    shape = Teaching(layers=2, width=48, steps=1000, lr=2e-3, batch_size=64)
    lm = causal_model(llama_config(shape, longest=32), tokenizer=word_tokenizer(words))
    rows, chosen = world.draw(np.random.default_rng(derive_seed(seed, "lessons")), 6000, 1)
    lessons = Lessons([world.prompts[r] for r in rows], [world.replies[c] for c in chosen[:, 0]])
    return teach(lm, lessons, shape, seed)


BUILDERS = {"replies": _replies, "rooms": rooms_model}
