"""The promises for methods of one's own hold for a good method, and each of them catches its fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nearfar import testing
from nearfar.testing import check_method
from tests.toy import Toy, Vectors


def test_a_good_method_keeps_every_promise() -> None:
    check_method(Toy, Vectors(40))


class OwnNumbers(Toy):
    def views(self, batch: Any) -> tuple[Tensor, Tensor]:
        noise = torch.tensor(np.random.standard_normal(batch.vectors.shape), dtype=torch.float32)  # noqa: NPY002
        return batch.vectors + noise, batch.vectors


class GraphInViews(Toy):
    def views(self, batch: Any) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            return self.encoder(batch.vectors), batch.vectors


class Forgetful(Toy):
    def encode(self, batch: Any) -> Tensor:
        return self.head(self.encoder(batch.vectors))


class Idle(Toy):
    def kept(self) -> nn.Module:
        return nn.ModuleDict({"idle": self.idle})

    def __init__(self, dim: int = 12) -> None:
        super().__init__(dim)
        self.idle = nn.Linear(2, 2)
        for p in self.idle.parameters():
            p.requires_grad_(False)

    def encode(self, batch: Any) -> Tensor:
        return batch.vectors


class Counting(Toy):
    """Keeps in an attribute what belongs into a buffer."""

    def __init__(self, dim: int = 12) -> None:
        super().__init__(dim)
        self.steps = 0

    def loss(self, views: tuple[Tensor, Tensor]) -> Tensor:
        return super().loss(views) * (1 + self.steps)  # type: ignore[operator]

    def after_step(self) -> None:
        super().after_step()
        self.steps += 1


class Changing(Toy):
    """Its arguments do not say what it builds."""

    count = 0

    def __init__(self, dim: int = 12) -> None:
        super().__init__(dim)
        Changing.count += 1
        self.extra = nn.Linear(Changing.count, 2)


class Boastful(Toy):
    verbs = ("embeds", "scores")


@pytest.mark.parametrize(
    ("cls", "promise", "said"),
    [
        (OwnNumbers, testing.random_numbers_are_the_steps, "random numbers that are not the step's"),
        (OwnNumbers, testing.global_random_numbers_stay, "numpy's global generator"),
        (GraphInViews, testing.views_have_no_gradients, "belong to a graph"),
        (Forgetful, testing.a_saved_method_opens_as_it_was, "leaves out something"),
        (Idle, testing.training_moves_what_is_kept, "did not learn"),
        (Counting, testing.a_resumed_run_is_the_whole_one, "ends elsewhere"),
        (Changing, testing.configuration_is_the_constructor, "other shapes"),
        (Boastful, testing.verbs_have_their_functions, "has no score"),
    ],
)
def test_each_promise_catches_its_fault(cls: type[Toy], promise: Callable[..., None], said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        promise(cls, Vectors(40), {}, 8)
