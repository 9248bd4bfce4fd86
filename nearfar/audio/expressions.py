"""Expressions of sounds, such as ``A + (B * C)``: their sounds, their sentences, what is right and what wrong of them.

An expression is the number of a sound, or an operator with two expressions: ``+`` lets the second follow the first,
``*`` has both at once. ``*`` commutes, ``+`` does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

__all__ = ["FORMS", "Choices", "Expression", "mistakes", "render", "sentence", "size", "truths"]

T = TypeVar("T")
Expression = int | tuple[str, "Expression", "Expression"]

FORMS: tuple[Expression, ...] = (
    ("+", 0, 1),
    ("*", 0, 1),
    ("+", 0, ("*", 1, 2)),
    ("+", ("*", 0, 1), 2),
    ("+", ("+", 0, 1), 2),
)
"""What is drawn from: of two sounds and of three."""
TEMPLATES = {
    "+": ("{a} followed by {b}", "{a} before {b}", "{a} and then {b}", "first {a}, later {b}"),
    "*": ("{a} and {b} at once", "{a} amidst {b}", "{a} together with {b}", "{a} over {b}"),
}
"""Sentences for either operator."""


class Choices:
    """Picks, one after another, from numbers in [0, 1) that were drawn before."""

    def __init__(self, numbers: Sequence[float]) -> None:
        self._left = iter(numbers)

    def __call__(self, n: int) -> int:
        """One of 0 to n - 1."""
        return min(int(next(self._left) * n), n - 1)

    def some(self, of: Sequence[T], most: int) -> list[T]:
        """At most ``most`` of them, none twice."""
        left = [*of]
        return [left.pop(self(len(left))) for _ in range(min(most, len(left)))]


def size(expression: Expression) -> int:
    """How many sounds it is of."""
    return 1 if isinstance(expression, int) else sum(map(size, expression[1:]))  # type: ignore[arg-type]


def sentence(expression: Expression, names: Sequence[str], choose: Callable[[int], int]) -> str:
    """Words for it, with the names of its sounds; ``choose(n)`` picks one of n templates for each operator."""
    if isinstance(expression, int):
        return names[expression]
    operator, a, b = expression
    template = TEMPLATES[operator][choose(len(TEMPLATES[operator]))]
    return template.format(a=sentence(a, names, choose), b=sentence(b, names, choose))


def truths(expression: Expression) -> list[Expression]:
    """Expressions that are true of its sound besides itself: its parts, and either order of what is at once."""
    if isinstance(expression, int):
        return []
    operator, a, b = expression
    found = [a, b, *truths(a), *truths(b)]
    return [*([("*", b, a)] if operator == "*" else []), *found]


def mistakes(expression: Expression) -> list[Expression]:
    """Expressions of the same sounds that are wrong: an operator exchanged, or what follows put first."""
    if isinstance(expression, int):
        return []
    operator, a, b = expression
    found: list[Expression] = [("*" if operator == "+" else "+", a, b), ("+", b, a)]
    return [*found, *((operator, x, b) for x in mistakes(a)), *((operator, a, y) for y in mistakes(b))]


def render(expression: Expression, waves: Sequence[Tensor], samples: int) -> Tensor:
    """Its sound (samples,), as loud as its parts are on average; what follows each other shares the time.

    Args:
        waves: the sounds (T,), which are cut to their share of the time; at least ``samples`` long.
        samples: length of the result.
    """
    level = torch.stack([wave.square().mean() for wave in waves]).mean().sqrt()
    return _level(_mixed(expression, waves, samples)) * level


def _mixed(expression: Expression, waves: Sequence[Tensor], samples: int) -> Tensor:
    """Parts of equal loudness."""
    if isinstance(expression, int):
        return _level(waves[expression][:samples])
    operator, a, b = expression
    if operator == "*":
        return _level(_mixed(a, waves, samples) + _mixed(b, waves, samples))
    first = max(round(samples * _length(a) / (_length(a) + _length(b))), 1)
    return torch.cat([_mixed(a, waves, first), _mixed(b, waves, max(samples - first, 1))])[:samples]


def _length(expression: Expression) -> int:
    """Time that it takes, in sounds."""
    if isinstance(expression, int):
        return 1
    operator, a, b = expression
    return _length(a) + _length(b) if operator == "+" else max(_length(a), _length(b))


def _level(wave: Tensor) -> Tensor:
    return wave / wave.square().mean().sqrt().clamp_min(1e-6)
