"""The fused kernels against the slow float64 formulas: on a GPU where there is one, else in Triton's interpreter.

Triton is no dependency of nearfar (torch's builds for GPUs bring it). To run these tests without a GPU:
``pip install --target DIR triton`` and ``PYTHONPATH=DIR``.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nearfar import losses
from nearfar.losses.engine import logsumexp, triton
from tests.losses import reference
from tests.losses.cases import SOFTMAX, Case, value_and_gradients

if importlib.util.find_spec("triton") is None:
    pytest.skip("triton is not installed: pip install triton (about 300 MB)", allow_module_level=True)

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu":
    os.environ["TRITON_INTERPRET"] = "1"

LOSSES = [case for case in SOFTMAX if case.name.split()[0] not in ("relic", "relic_multicrop", "sigmoid_pair_loss")]


@pytest.fixture
def fused(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Every float32 matrix goes to the kernels; what they were given is written down."""
    seen = []

    def fits(left: Tensor, right: Tensor) -> bool:
        seen.append((len(left), len(right)))
        return left.dtype == torch.float32

    monkeypatch.setattr(triton, "fits", fits)
    return seen


@pytest.fixture
def bfloat16_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """Triton's interpreter keeps bfloat16 as bit patterns and multiplies those; here it multiplies the numbers."""
    if DEVICE == "cuda":
        return
    import triton.language as tl
    from triton.runtime.interpreter import InterpreterBuilder

    product = InterpreterBuilder.create_dot

    def create_dot(self: InterpreterBuilder, a, b, *rest):
        if a.dtype.scalar == tl.bfloat16:
            a, b = (self.cast_impl(x, tl.float32) for x in (a, b))
        return product(self, a, b, *rest)

    monkeypatch.setattr(InterpreterBuilder, "create_dot", create_dot)


def reference_sums(left: Tensor, right: Tensor, shifts: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Row and column log-sum-exp in float64 from the whole matrix."""
    logits = left.double() @ right.double().T * logsumexp.LN2
    distance = torch.arange(logits.shape[1]).unsqueeze(0) - torch.arange(logits.shape[0]).unsqueeze(1)
    logits = logits.masked_fill(torch.isin(distance, torch.tensor(shifts)).to(logits.device), -torch.inf)
    return torch.logsumexp(logits, 1), torch.logsumexp(logits, 0)


@pytest.mark.parametrize("temperature", [0.005, 0.05, 0.5])
@pytest.mark.parametrize("case", LOSSES, ids=str)
def test_losses_equal_the_formula(case: Case, temperature: float, fused: list) -> None:
    inputs = [x.detach().to(DEVICE).requires_grad_() for x in case.data()]
    exact = [x.detach().double().cpu().requires_grad_() for x in inputs]
    value, gradients = value_and_gradients(partial(case.loss, temperature=temperature), inputs)
    expected, expected_gradients = value_and_gradients(partial(case.slow, temperature=temperature), exact)
    assert fused
    assert reference.relative_error(value.cpu(), expected) < 1e-5
    for found, right in zip(gradients, expected_gradients, strict=True):
        assert reference.relative_error(found.cpu(), right) < 1e-5


SIZES = [(1, 1, 3), (70, 129, 20), (129, 33, 150), (64, 64, 64)]


@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("skip_diagonal", [False, True])
@pytest.mark.parametrize(("rows", "cols", "width"), SIZES)
def test_odd_sizes(rows: int, cols: int, width: int, skip_diagonal: bool, columns: bool, fused: list) -> None:
    generator = torch.Generator().manual_seed(rows)
    left, right = (torch.randn(n, width, generator=generator, dtype=torch.float64) for n in (rows, cols))
    left, right = 200 * left / left.norm(dim=1, keepdim=True), right / right.norm(dim=1, keepdim=True)
    weights = torch.rand(rows, generator=generator).double(), torch.rand(cols, generator=generator).double()

    def value(left: Tensor, right: Tensor, found: tuple[Tensor, Tensor | None]) -> Tensor:
        used = [(w.to(lse), lse) for w, lse in zip(weights, found, strict=True) if lse is not None]
        total = sum((w * torch.where(lse.isfinite(), lse, 0.0)).sum() for w, lse in used)
        return torch.stack([total.detach(), *(g.norm() for g in torch.autograd.grad(total, (left, right)))])

    exact = [x.float().double().requires_grad_() for x in (left, right)]
    row_lse, col_lse = reference_sums(*exact, (0,) if skip_diagonal else ())
    if skip_diagonal and 1 in (rows, cols):
        found = logsumexp.cross_logsumexp(
            left.float().to(DEVICE), right.float().to(DEVICE), skip_diagonal=True, columns=columns, bounded=False
        )
        assert torch.equal(found[0].isinf().cpu(), row_lse.isinf())
        return
    inputs = [x.float().to(DEVICE).requires_grad_() for x in (left, right)]
    found = logsumexp.cross_logsumexp(*inputs, skip_diagonal=skip_diagonal, columns=columns, bounded=False)
    torch.testing.assert_close(found[0].double().cpu(), row_lse, rtol=1e-6, atol=1e-5)
    if columns:
        torch.testing.assert_close(found[1].double().cpu(), col_lse, rtol=1e-6, atol=1e-5)
    expected = value(*exact, (row_lse, col_lse if columns else None))
    torch.testing.assert_close(value(*inputs, found).double().cpu(), expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["nt_xent", "info_nce", "supcon"])
@pytest.mark.usefixtures("bfloat16_products")
def test_half_precision_is_multiplied_as_given_and_summed_in_float32(
    name: str, dtype: torch.dtype, fused: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nearfar.losses.engine.triton import engine

    kinds = []
    launch = engine._Launch.__init__

    def watch(self: object, kernel: str, left: engine.Operand, *rest: object) -> None:
        kinds.append(left.rows.dtype)
        launch(self, kernel, left, *rest)

    monkeypatch.setattr(engine._Launch, "__init__", watch)
    case = next(case for case in LOSSES if case.name == name)
    inputs = [x.detach().to(DEVICE, dtype).requires_grad_() for x in case.data()]
    exact = [x.detach().double().cpu().requires_grad_() for x in inputs]
    value, gradients = value_and_gradients(partial(case.loss, temperature=0.05), inputs)
    expected, expected_gradients = value_and_gradients(partial(case.slow, temperature=0.05), exact)
    assert set(kinds) == {dtype}
    assert value.dtype == torch.float32
    assert reference.relative_error(value.cpu(), expected) < 1e-5
    for found, right in zip(gradients, expected_gradients, strict=True):
        assert found.dtype == dtype
        assert reference.relative_error(found.cpu(), right) < 5e-3


@pytest.mark.parametrize("shifts", [(), (0,), (-20, 0, 20)], ids=str)
def test_parts_of_the_rows_add_up_to_the_whole(shifts: tuple[int, ...]) -> None:
    from nearfar.losses.engine.triton.engine import operand, row_gradient, row_sums

    left, right = (operand(torch.randn(40, 24, device=DEVICE), None) for _ in range(2))
    whole = row_sums(left, right, slice(0, 40), shifts)
    expected, _ = reference_sums(left.rows, right.rows, shifts)
    torch.testing.assert_close(whole.log().double(), expected, rtol=1e-6, atol=1e-5)
    parts = [row_sums(left, right, part, shifts) for part in (slice(0, 13), slice(13, 13), slice(13, 40))]
    assert torch.equal(parts[0].merge(parts[1:]).log(), whole.log())
    total, shift = whole.saved()
    side = torch.rand_like(total) / total, shift
    gradient = row_gradient(left, right, slice(0, 40), shifts, side, None)
    halves = [row_gradient(left, right, part, shifts, side, None) for part in (slice(0, 13), slice(13, 40))]
    assert torch.equal(halves[0] + halves[1], gradient)
    again = row_gradient(left, right, slice(0, 40), shifts, side, None)
    assert torch.equal(again, gradient)


def test_chosen_only_where_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton, "_runs_on", lambda device: True)
    z = torch.empty(2000, 64, device="meta")
    assert triton.fits(z, z)
    assert not triton.fits(z.double(), z.double())
    assert not triton.fits(z[:100], z)
    assert not triton.fits(z.expand(2000, 64).repeat(1, 10), z)
    triton.use(False)
    assert not triton.fits(z, z)
    triton.use(True)
    monkeypatch.undo()
    assert not triton.fits(z, z), "on this device there are no kernels"
    assert losses.nt_xent(torch.randn(4, 3), torch.randn(4, 3), temperature=0.1).isfinite()


def test_kernels_compile_for_gpus_that_are_not_here() -> None:
    script = Path(__file__).parents[2] / "benchmarks" / "gpu_losses.py"
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    found = subprocess.run(
        [sys.executable, str(script), "--compile"], capture_output=True, text=True, env=environment, check=True
    )
    rows = json.loads(found.stdout)
    assert {row["capability"] for row in rows} == {80, 90}
    # The smallest GPUs of these generations offer 99 KB and 227 KB to a program.
    assert all(row["shared"] <= {80: 99, 90: 227}[row["capability"]] * 1024 for row in rows)
    assert all(row["spilled"] == 0 for row in rows), rows
