"""Every registered loss on inputs at the ends of what there is: the formula's value, a finite gradient, or a sentence.

A value that is not finite is right only where the formula's own, in float64, lies beyond float32, and a gradient in
float16 only where that in float32 lies beyond float16.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.losses.registry import Case, registered, total

CASES = [case for case in registered() if case.exported != "dense_correspondence"]  # a mask, which has no gradient
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def with_a_row_of_zeros(x: Tensor) -> Tensor:
    x = x.clone()
    x[0] = 0
    return x


KINDS: dict[str, Callable[[Tensor], Tensor]] = {
    "a row of zeros": with_a_row_of_zeros,
    "zeros": torch.zeros_like,
    "equal rows": lambda x: x[:1].expand_as(x).clone(),
    "ones": torch.ones_like,
    "huge": lambda x: x * 1e15,
    "large": lambda x: x * 1e4,
    "small": lambda x: x * 1e-6,
    "vanishing": lambda x: x * 1e-30,
}
# Slow forms know no floor of lengths, and have a value to compare with here.
COMPARED = ("huge", "large", "small")
# These add a small number to variances, which their slow forms add elsewhere.
FLOORED = ("mixed_barlow_twins raw",)
QUICK = (("a row of zeros", torch.float32), ("huge", torch.float32), ("small", torch.bfloat16), ("ones", torch.float16))
EVERY = [(kind, dtype) for kind in KINDS for dtype in DTYPES]
LARGEST = torch.finfo(torch.float32).max
LARGEST_FLOAT16 = 6.5e4
# Its case makes probabilities in the dtype that it is given, through which slopes of 1 / probability do not pass.
MADE_IN_HALF = ("discrete_reconstruction",)


def measured(case: Case, inputs: list[Tensor], temperature: float = 0.1) -> tuple[float, list[Tensor]]:
    """The loss and the gradients that it has."""
    leaves = [x.clone().requires_grad_() for x in inputs]
    value = total(case.loss(*leaves, **({"temperature": temperature} if case.tempered else {})))
    if not value.requires_grad:
        return value.item(), []
    return value.item(), list(torch.autograd.grad(value, leaves, allow_unused=True, materialize_grads=True))


def by_the_formula(case: Case, inputs: list[Tensor]) -> float:
    options = {"temperature": 0.1} if case.tempered else {}
    return total(case.slow(*[x.double() for x in inputs], **options)).item()


def changed(case: Case, change: Callable[[Tensor], Tensor], dtype: torch.dtype) -> list[Tensor]:
    """The case's inputs, changed where they have no range of their own, as numbers of a dtype."""
    drawn = [x.detach() for x in case.data(torch.float64)]
    return [(x if number in case.ranged else change(x)).to(dtype) for number, x in enumerate(drawn)]


def check(case: Case, kind: str, dtype: torch.dtype, *, compare: bool) -> None:
    inputs = changed(case, KINDS[kind], dtype)
    if dtype == torch.float16 and any(not x.isfinite().all() for x in inputs):
        return  # no such numbers
    where = f"{case.name}, {kind}, {dtype}"
    try:
        value, gradients = measured(case, inputs)
    except ValueError as error:
        assert case.exported == "memory_normalizer" and "largest number" in str(error), where  # noqa: PT017, PT018
        return
    if not math.isfinite(value):
        assert kind == "huge", where
        assert LARGEST < abs(by_the_formula(case, inputs)) < math.inf, where
        assert dtype != torch.float64, where
        return
    if compare and kind in COMPARED and case.name not in FLOORED:
        expected = by_the_formula(case, inputs)
        close = 1e-2 if dtype in (torch.float16, torch.bfloat16) else 1e-3  # of a case that computes in half precision
        if math.isfinite(expected):
            assert value == pytest.approx(expected, rel=close, abs=close), where
    wide = measured(case, [x.float() for x in inputs])[1] if dtype == torch.float16 else gradients
    for gradient, of_these in zip(gradients, wide, strict=True):
        # Slopes of a direction are as large as its row is short, and pass the largest number of float16.
        beyond = (dtype == torch.float16) & ((of_these.abs() > LARGEST_FLOAT16) | (case.exported in MADE_IN_HALF))
        assert (gradient.isfinite() | beyond).all(), where


@pytest.mark.parametrize("case", CASES, ids=str)
def test_extremes(case: Case) -> None:
    for kind, dtype in QUICK:
        check(case, kind, dtype, compare=False)


@pytest.mark.long
@pytest.mark.parametrize("case", CASES, ids=str)
def test_all_extremes_in_all_dtypes(case: Case) -> None:
    for kind, dtype in EVERY:
        check(case, kind, dtype, compare=True)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_nan_is_seen_where_its_number_counts(case: Case) -> None:
    """A number that the loss reads, which is one whose change changes it, makes it NaN when it is NaN."""
    inputs = [x.detach() for x in case.data()]
    before, _ = measured(case, inputs)
    for number, x in enumerate(inputs):
        place = x.numel() // 2
        for other, counts in ((x.view(-1)[place] + 0.5, False), (torch.tensor(math.nan), True)):
            now = x.clone()
            now.view(-1)[place] = other
            found, _ = measured(case, [*inputs[:number], now, *inputs[number + 1 :]])
            if not counts and found == before:
                break
            assert not counts or math.isnan(found) or number in MISSING.get(case.name, ())


# NaN says "not known" here.
MISSING = {"walk_alignment": (1,)}


@pytest.mark.parametrize("case", [case for case in CASES if case.tempered], ids=str)
def test_temperatures_at_both_ends(case: Case) -> None:
    for temperature in (1e-18, 1e-3, 1e6, 1e18):
        value, gradients = measured(case, [x.detach() for x in case.data()], temperature)
        assert math.isfinite(value)
        assert all(gradient.isfinite().all() for gradient in gradients)
    for temperature in (1e-19, 1e19, 1e300):
        with pytest.raises(ValueError, match=r"temperature must be at (least|most) 1e"):
            measured(case, [x.detach() for x in case.data()], temperature)


OF_ROWS = [case for case in CASES if not case.shapes and case.exported != "memory_normalizer"]


@pytest.mark.parametrize("case", OF_ROWS, ids=str)
def test_a_batch_of_one_is_the_formula_or_a_sentence(case: Case) -> None:
    """0 where there is nothing else, and never without a reason."""
    inputs = [x.detach()[: 1 if number < case.inputs else None] for number, x in enumerate(case.data())]
    try:
        value, gradients = measured(case, inputs)
    except ValueError as error:
        # Of variances and of negatives that are asked for; or of labels and weights that the case has for 13 rows.
        assert re.search(r"at least (2 rows|2 images|one negative)|shape \(1|whole groups|row i of one", str(error))  # noqa: PT017
        return
    assert value == pytest.approx(by_the_formula(case, inputs), abs=1e-5)
    assert all(gradient.isfinite().all() for gradient in gradients)
