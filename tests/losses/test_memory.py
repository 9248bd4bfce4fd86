"""No tensor of the size of the similarity matrix is ever made, in neither pass."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nearfar import losses

ROWS, WIDTH = 2048, 8


class Largest(TorchDispatchMode):
    """Remembers the largest storage that any operation returned, in bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and leaf.untyped_storage().data_ptr() not in GIVEN:
                self.bytes = max(self.bytes, leaf.untyped_storage().nbytes())
        return result


def largest_tensor(loss: Callable, count: int, rows: int = ROWS) -> int:
    inputs = [torch.randn(rows, WIDTH, requires_grad=True) for _ in range(count)]
    with Largest() as largest:
        value = loss(*inputs)
        (sum(value.values()) if isinstance(value, dict) else value).backward()
    return largest.bytes // 4


def multicrop(*views: Tensor, **options: Any) -> dict[str, Tensor]:
    return losses.relic_multicrop(views[:3], views[3:], temperature=0.1, alpha=1.0, **options)


WEIGHTS = torch.rand(ROWS, ROWS)
MASK, BELOW = WEIGHTS > 0.9, WEIGHTS < 0.9
# A view of what the caller holds anyway is nothing that was made.
GIVEN = {x.untyped_storage().data_ptr() for x in (WEIGHTS, MASK, BELOW)}
TARGET = torch.randperm(ROWS)

CASES = {
    "info_nce": (partial(losses.info_nce, temperature=0.1), 2),
    "info_nce cold": (partial(losses.info_nce, temperature=0.005), 2),
    "queue": (lambda q, k, n: losses.info_nce(q, k, temperature=0.1, negatives=n, in_batch=False), 3),
    "hard": (
        lambda q, k, n: losses.info_nce(q, k, temperature=0.1, hard_negatives=n, hard_negative_bias=1.0),
        3,
    ),
    "symmetric_info_nce": (partial(losses.symmetric_info_nce, temperature=0.1), 2),
    "nt_xent": (partial(losses.nt_xent, temperature=0.1), 2),
    "nt_xent cold": (partial(losses.nt_xent, temperature=0.005), 2),
    "amcl max": (partial(losses.amcl, low=0.1, high=1.0), 4),
    "amcl logsumexp": (partial(losses.amcl, low=0.1, high=1.0, negatives="logsumexp"), 4),
    "vmf_entropy": (losses.vmf_entropy, 1),
    "cacr": (lambda *z: losses.cacr(z), 3),
    "poly_view": (lambda *z: losses.poly_view(z, temperature=0.1), 4),
    "poly_view statistics": (
        lambda *z: losses.poly_view(z, temperature=0.1, variant="sufficient-statistics"),
        4,
    ),
    "supcon": (lambda z: losses.supcon(z, torch.arange(len(z)) // 4, temperature=0.1), 1),
    "supcon mask": (
        lambda z: losses.supcon(z, mask=MASK, denominator=BELOW, temperature=0.1),
        1,
    ),
    "supcon weights": (lambda z: losses.supcon(z, weights=WEIGHTS, temperature=0.1), 1),
    "info_nce target": (lambda q, k: losses.info_nce(q, k, temperature=0.1, target=TARGET), 2),
    "info_nce soft": (lambda q, k: losses.info_nce(q, k, temperature=0.1, soft_targets=WEIGHTS), 2),
    "sigmoid_pair_loss": (partial(losses.sigmoid_pair_loss, temperature=0.1, bias=-10.0), 2),
    "relic": (partial(losses.relic, temperature=0.1, alpha=1.0), 4),
    "relic_multicrop": (multicrop, 5),
    "relic_multicrop sampled": (partial(multicrop, num_negatives=10), 5),
}


@pytest.mark.parametrize("name", CASES)
def test_largest_tensor_is_far_from_the_full_matrix(name: str) -> None:
    loss, count = CASES[name]
    assert largest_tensor(loss, count) <= ROWS * ROWS // 4


def test_the_plain_formula_is_caught() -> None:
    def plain(q: Tensor, k: Tensor) -> Tensor:
        return torch.nn.functional.cross_entropy(q @ k.t(), torch.arange(len(q)))

    assert largest_tensor(plain, 2) == ROWS * ROWS


def test_wide_statistics_never_hold_a_square_of_the_width() -> None:
    z1, z2 = (torch.randn(16, 3000, requires_grad=True) for _ in range(2))
    with Largest() as largest:
        losses.barlow_twins(z1, z2, lambd=0.01).backward()
        sum(losses.vicreg(z1, z2).values()).backward()
    assert largest.bytes // 4 < 3000 * 3000 // 50
