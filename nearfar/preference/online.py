"""Replies that a policy draws while it trains, and who rates them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from nearfar.preference.data.batches import Text
from nearfar.preference.method import Aligned, Judged

Rewards = Callable[[Sequence[Text], Sequence[str]], Sequence[float]]
"""Prompts and replies to rewards, one a reply, as trl's reward functions."""


@dataclass(frozen=True)
class Drawing:
    """Replies drawn in training, from the policy as it is, at temperature 1 and with every word allowed.

    Args:
        k: replies to each prompt.
        new: tokens of a reply at most; one that is cut has no end of text, and biases what is estimated from it.
    """

    k: int = 1
    new: int = 32

    def __post_init__(self) -> None:
        if self.k < 1 or self.new < 1:
            raise ValueError(f"drawing.k and drawing.new must be at least 1, got {self.k} and {self.new}")


def drawn(method: Aligned, prompts: Sequence[Text], drawing: Drawing) -> Judged:
    """Replies of the policy, with their log-probabilities under the reference. Draws from torch's global generator."""
    found = [said for each in method.policy.sample(prompts, drawing.k, new=drawing.new) for said in each]
    return Judged(found, method.reference_logps(found).view(len(prompts), drawing.k))


def judge(method: Aligned, prompts: Sequence[Text], drawing: Drawing, rewards: Rewards) -> Judged:
    """The same, rated."""
    found = drawn(method, prompts, drawing)
    asked = [prompt for prompt in prompts for _ in range(drawing.k)]
    given = [float(value) for value in rewards(asked, [method.policy.text(said) for said in found.replies])]
    if len(given) != len(found.replies):
        raise ValueError(f"the reward function gave {len(given)} rewards for {len(found.replies)} replies")
    return found._replace(rewards=torch.tensor(given, device=found.reference.device).view(found.reference.shape))


def rewards_of(data: Any) -> Rewards:
    """Who rates new replies: the data's own ``reward``, or the world that it is of.

    Raises:
        ValueError: nobody does.
    """
    own = getattr(data, "reward", None)
    if own is not None:
        return own
    world = getattr(data, "world", None)
    if world is None:
        raise ValueError(
            f"replies that the policy draws must be rated, and {data.name} says by nobody: give it a reward, "
            "a function of prompts and replies, or train with online: false on recorded rewards"
        )
    return lambda prompts, replies: [world.reward(p, r) for p, r in zip(prompts, replies, strict=True)]
