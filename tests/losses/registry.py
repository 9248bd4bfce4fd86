"""Every exported loss as cases that all suites read: how it is called, its slow form, and data for it.

A family registers from ``tests/losses/<family>_cases.py``: that module's ``CASES`` are found here by their place, and
``test_second_derivatives.py`` names every exported loss that has none.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

ROWS, WIDTH = 13, 12


def draw(*shape: int, seed: int = 0) -> Tensor:
    """Normal float64 numbers of a shape."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@dataclass(frozen=True)
class Case:
    """One way of calling a loss.

    Attributes:
        name: the exported name, then what is special about this way of calling it.
        loss: from tensors to a scalar, to losses of rows, or to a dictionary of terms.
        slow: the same of float64 tensors, written from the formula with no shared code.
        inputs: how many (N, D) inputs it takes, all of them rows that belong together.
        spare: how many matrices of another length follow.
        tempered: whether ``loss`` and ``slow`` take a ``temperature``.
        shapes: of the inputs where they are no such rows.
        ranged: which inputs have a range of their own, such as probabilities and deviations.
    """

    name: str
    loss: Callable
    slow: Callable
    inputs: int = 0
    spare: int = 0
    tempered: bool = False
    shapes: tuple[tuple[int, ...], ...] = ()
    ranged: tuple[int, ...] = ()

    def __str__(self) -> str:
        return self.name

    @property
    def exported(self) -> str:
        """The name in ``nearfar.losses``."""
        return self.name.split()[0]

    def data(self, dtype: torch.dtype = torch.float32, noise: float = 1.0, seed: int = 0) -> list[Tensor]:
        """Noisy copies of one matrix, then ``spare`` matrices of another length; or what ``shapes`` ask for."""
        if self.shapes:
            drawn = [draw(*shape, seed=seed + number) for number, shape in enumerate(self.shapes)]
            return [x.to(dtype).requires_grad_() for x in drawn]
        generator = torch.Generator().manual_seed(seed)

        def rows(count: int) -> Tensor:
            return torch.randn(count, WIDTH, generator=generator, dtype=torch.float64)

        shared = rows(ROWS)
        tensors = [shared + noise * rows(ROWS) for _ in range(self.inputs)]
        tensors += [rows(17) for _ in range(self.spare)]
        return [t.to(dtype).requires_grad_() for t in tensors]


def total(value: Tensor | dict[str, Tensor]) -> Tensor:
    """The loss as one scalar."""
    if isinstance(value, dict):
        value = torch.stack(list(value.values())).sum()
    return value.mean()


def value_and_gradients(loss: Callable, inputs: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """The scalar loss and the gradient of every input, zeros where none arrives."""
    value = total(loss(*inputs))
    found = torch.autograd.grad(value, inputs, allow_unused=True, materialize_grads=True)
    return value.detach(), list(found)


def registered() -> tuple[Case, ...]:
    """The cases of every family, today's and those to come."""
    modules = sorted(path.stem for path in Path(__file__).parent.glob("*cases.py"))
    return tuple(case for name in modules for case in importlib.import_module(f"tests.losses.{name}").CASES)
