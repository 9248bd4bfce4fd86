"""Symile and contrast with a memory: slow forms, released values, what must hold, bad input."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch

from nearfar import losses
from tests.losses import reference
from tests.losses.registry import Case, draw, value_and_gradients
from tests.losses.tuple_cases import CASES, ORDERS, SAMPLE
from tests.parity import ParityCase, assert_parity, parity


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("tiles", [None, "tiny_tiles"])
def test_values_and_gradients_are_those_of_the_formula(
    case: Case, tiles: str | None, request: pytest.FixtureRequest
) -> None:
    if tiles and case.name != "symile all":  # whose blocks are info_nce's
        request.getfixturevalue(tiles)
    options = {"temperature": 0.3} if case.tempered else {}
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-10)):
        inputs = case.data(dtype)
        exact = [x.detach().double().requires_grad_() for x in inputs]
        if case.name == "memory_normalizer":
            assert reference.relative_error(case.loss(*inputs), case.slow(*exact)) < tolerance
            continue
        value, gradients = value_and_gradients(partial(case.loss, **options), inputs)
        expected, wanted = value_and_gradients(partial(case.slow, **options), exact)
        assert reference.relative_error(value, expected) < tolerance
        for found, right in zip(gradients, wanted, strict=True):
            assert reference.relative_error(found, right) < tolerance or right.norm() == found.norm() == 0


@pytest.mark.parametrize("case", parity("symile", "symile_n", "symile_n_squared"))
def test_symile_is_the_released_one(case: ParityCase) -> None:
    arrays = case.load()
    rows = [arrays[f"in_x{m}"] for m in range(case.hyper["modalities"])]
    orders = arrays.get("in_perm")
    found = losses.symile(rows, temperature=1 / arrays["in_scale"], orders=orders, normalize=False)
    assert_parity(case, arrays, found, rtol=1e-9)


@pytest.mark.parametrize("case", parity("cmc", "cmc_memory_loss"))
def test_memory_contrast_is_the_released_one(case: ParityCase) -> None:
    arrays, h = case.load(), case.hyper
    banks = {1: arrays["in_memory2"].detach(), 2: arrays["in_memory1"].detach()}
    total = torch.zeros((), dtype=torch.float64)
    for view, bank in banks.items():
        z, sample = arrays[f"in_z{view}"], arrays["in_sample"]
        tau = h["temperature"]
        normalizer = losses.memory_normalizer(z.detach(), bank, sample, temperature=tau)
        if h["mode"] == "nce":
            torch.testing.assert_close(normalizer, arrays[f"out_Z{view}"], rtol=1e-9, atol=1e-10)
        options = {"temperature": tau, "form": h["mode"], "normalizer": normalizer, "normalize": False}
        found = losses.memory_contrast(z, bank, sample, **options)
        torch.testing.assert_close(found, arrays[f"out_loss{view}"], rtol=1e-9, atol=1e-10)
        total = total + found
    assert_parity(case, arrays, total, rtol=1e-9)


def test_two_modalities_with_all_combinations_are_info_nce_both_ways() -> None:
    a, b = draw(7, 5), draw(7, 5, seed=1)
    both = losses.info_nce(a, b, temperature=0.2) + losses.info_nce(b, a, temperature=0.2)
    torch.testing.assert_close(losses.symile([a, b], temperature=0.2), both / 2)


def test_symile_sees_what_no_pair_says() -> None:
    """Signs with c = a b: every pair is independent, and only the tuple tells that they belong together."""
    signs = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]).repeat(8, 1)
    a, b, c = (signs[:, [m]] * torch.ones(32, 8) for m in range(3))
    right = losses.symile([a, b, c], temperature=0.05)
    wrong = losses.symile([a, b, -c], temperature=0.05)
    assert right < wrong - 1
    pairs = [losses.symmetric_info_nce(a, x, temperature=0.05) for x in (c, -c)]
    torch.testing.assert_close(pairs[0], pairs[1])


def test_order_of_modalities_and_of_rows_does_not_matter_without_orders() -> None:
    x = [draw(6, 4, seed=s) for s in range(3)]
    before = losses.symile(x, temperature=0.3)
    torch.testing.assert_close(losses.symile([x[2], x[0], x[1]], temperature=0.3), before)
    order = torch.tensor([3, 1, 5, 0, 4, 2])
    torch.testing.assert_close(losses.symile([rows[order] for rows in x], temperature=0.3), before)


X, WIDE = draw(5, 4), draw(13, 12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: losses.symile([X], temperature=0.1), "needs at least 2, got 1"),
        (lambda: losses.symile([X, X[:3]], temperature=0.1), "the shapes must be equal"),
        (lambda: losses.symile([X, X, X], temperature=0.1, orders=ORDERS[:2]), "orders must have shape"),
        (lambda: losses.symile([X, X, X], temperature=0.1, orders=ORDERS + 1), r"orders must lie in \[0, 5\)"),
        (lambda: losses.memory_contrast(WIDE, WIDE, SAMPLE[:3], temperature=0.1), "sample must have shape"),
        (lambda: losses.memory_contrast(WIDE, WIDE, SAMPLE, temperature=0.1), r"sample must lie in \[0, 13\)"),
        (lambda: losses.memory_contrast(WIDE, draw(17, 12), SAMPLE, temperature=0.1), "needs the normalizer"),
        (lambda: losses.memory_contrast(WIDE, WIDE, SAMPLE, temperature=0.1, form="x"), "form must be one of"),  # type: ignore[arg-type]
    ],
)
def test_bad_input_is_named(call: Callable, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
