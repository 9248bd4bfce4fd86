"""What an agent sees and does: shapes that a method learns from its world or its episodes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Spaces:
    """The shapes of a world.

    Args:
        observation: of one observation: ``(D,)`` numbers, or ``(C, H, W)`` pixels in [0, 255].
        actions: how many numbers an action has (each in [-1, 1]), or between how many it chooses.
        discrete: whether an action is a choice. Methods see choices as one-hot rows.
        goal: how many numbers a goal has; 0 for a world that sets none. A goal of pixels is a whole observation.
        goal_from: the column of the observation at which the reached goal begins; goals are part of what is observed.
    """

    observation: tuple[int, ...]
    actions: int
    discrete: bool = False
    goal: int = 0
    goal_from: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "observation", tuple(int(n) for n in self.observation))
        if len(self.observation) not in (1, 3) or min(self.observation) < 1:
            raise ValueError(f"an observation must be (D,) numbers or (C, H, W) pixels, got {self.observation}")
        if self.actions < 1:
            raise ValueError(f"an agent needs at least one number or choice to act with, got {self.actions}")
        if self.goal and not self.pixels and not 0 <= self.goal_from <= self.observation[0] - self.goal:
            raise ValueError(
                f"goals of {self.goal} numbers from column {self.goal_from} on are no part of an observation of "
                f"{self.observation[0]} numbers"
            )

    @property
    def pixels(self) -> bool:
        return len(self.observation) == 3

    @property
    def goal_shape(self) -> tuple[int, ...]:
        """Of one goal: a picture for pixels, ``(goal,)`` otherwise."""
        return self.observation if self.pixels else (self.goal,)

    def reached(self, observations):  # type: ignore[no-untyped-def]
        """The goals that observations (..., D) have reached: some of their columns, or all of their pixels."""
        return observations if self.pixels else observations[..., self.goal_from : self.goal_from + self.goal]

    def needs_goals(self, who: str) -> None:
        """Refuse a world without goals in one sentence."""
        if not self.goal:
            raise ValueError(
                f"{who} learns to reach goals, and this world sets none; take one that does, such as point-maze or a "
                "gymnasium environment with desired_goal"
            )

    def needs_numbers(self, who: str) -> None:
        """Refuse pixels in one sentence."""
        if self.pixels:
            raise ValueError(f"{who} learns from observations of numbers (D,), and these are pixels {self.observation}")

    def needs_pixels(self, who: str) -> None:
        """Refuse numbers in one sentence."""
        if not self.pixels:
            raise ValueError(
                f"{who} learns from pixels (C, H, W), and these observations are {self.observation[0]} numbers; take a "
                "world that is drawn, such as pixel-pendulum or pixel-cartpole"
            )

    def unequal(self, other: Spaces) -> str:
        """What differs between two worlds, in words; empty where an agent of one can act in the other."""
        pairs = (
            ("observations", self.observation, other.observation),
            ("actions", self.actions, other.actions),
            ("kinds of action", *("choices" if s.discrete else "numbers" for s in (self, other))),
            ("goals", self.goal, other.goal),
        )
        return ", ".join(f"{what} of {a} and {b}" for what, a, b in pairs if a != b)


def one_hot(choices: np.ndarray, count: int) -> np.ndarray:
    """Choices (...,) as float32 rows (..., count)."""
    return (np.asarray(choices)[..., None] == np.arange(count)).astype(np.float32)
