"""Values and gradients against the slow float64 versions, dense and tiled, float32, float64 and bfloat16."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from nearfar import losses
from nearfar.losses.engine import tiles
from tests.losses import reference
from tests.losses.cases import (
    BLOCKED,
    LABELS,
    PLAIN,
    ROWS,
    SOFTMAX,
    WIDTH,
    Case,
    total,
    value_and_gradients,
)
from tests.losses.registry import registered

TEMPERATURES = [0.005, 0.07, 0.5, 1.0]


def agree(case: Case, tolerance: float, dtype: torch.dtype = torch.float32, **options: float) -> None:
    """The loss of ``dtype`` inputs against the slow one of the same numbers."""
    inputs = case.data(dtype)
    exact = [x.detach().double().requires_grad_() for x in inputs]
    value, gradients = value_and_gradients(partial(case.loss, **options), inputs)
    expected, expected_gradients = value_and_gradients(partial(case.slow, **options), exact)
    assert value.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert reference.relative_error(value, expected) < tolerance
    for number, (found, right) in enumerate(zip(gradients, expected_gradients, strict=True)):
        assert found.dtype == dtype
        if right.norm() == 0:
            assert found.norm() == 0, f"input {number} got a gradient"
        else:
            assert reference.relative_error(found, right) < tolerance, f"gradient of input {number}"


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("case", [*SOFTMAX, *BLOCKED], ids=str)
def test_one_tile_equals_the_formula(case: Case, temperature: float) -> None:
    agree(case, 1e-5, temperature=temperature)


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("case", [*SOFTMAX, *BLOCKED], ids=str)
@pytest.mark.usefixtures("tiny_tiles")
def test_many_tiles_equal_the_formula(case: Case, temperature: float) -> None:
    agree(case, 1e-5, temperature=temperature)


@pytest.mark.parametrize("case", [*SOFTMAX, *BLOCKED], ids=str)
@pytest.mark.usefixtures("tiny_tiles")
def test_double_precision_stays_double(case: Case) -> None:
    agree(case, 1e-11, torch.float64, temperature=0.1)


@pytest.mark.parametrize("case", PLAIN, ids=str)
def test_losses_without_temperature(case: Case) -> None:
    agree(case, 1e-5)
    agree(case, 1e-11, torch.float64)


@pytest.mark.parametrize("case", [PLAIN[2], PLAIN[3]], ids=str)
def test_statistics_of_more_dimensions_than_rows(case: Case) -> None:
    # D >= 2 N takes the route that never makes the D x D matrix.
    inputs = [torch.randn(5, WIDTH, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    value, gradients = value_and_gradients(case.loss, inputs)
    expected, expected_gradients = value_and_gradients(case.slow, inputs)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradients, expected_gradients)


@pytest.mark.parametrize("case", [*SOFTMAX, *BLOCKED], ids=str)
def test_tiles_change_nothing(case: Case, request: pytest.FixtureRequest) -> None:
    loss = partial(case.loss, temperature=0.02)
    dense = value_and_gradients(loss, case.data(torch.float64))
    request.getfixturevalue("tiny_tiles")
    tiled = value_and_gradients(loss, case.data(torch.float64))
    torch.testing.assert_close(tiled, dense, rtol=1e-12, atol=1e-13)


def exact_gradient(case: Case) -> bool:
    """Not the losses that hold a part constant: their gradient is, on purpose, not that of their value."""
    return not case.name.endswith(("sg_entropy", "sg_target", "others"))


@pytest.mark.parametrize("temperature", [0.02, 0.2])
@pytest.mark.parametrize("case", filter(exact_gradient, [*SOFTMAX, *BLOCKED]), ids=str)
@pytest.mark.usefixtures("tiny_tiles")
def test_gradcheck(case: Case, temperature: float) -> None:
    inputs = case.data(torch.float64)
    if case.name.startswith("relic"):
        # Targets are detached inside, so their numerical gradient is none of the loss's business.
        for target in inputs[2:4] if case.inputs == 4 else inputs[3:]:
            target.requires_grad_(False)
    inputs.append(torch.tensor(temperature, dtype=torch.float64, requires_grad=True))
    assert torch.autograd.gradcheck(
        lambda *x: total(case.loss(*x[:-1], temperature=x[-1])), inputs, fast_mode=True, rtol=1e-4
    )


@pytest.mark.parametrize("tiles", [None, "tiny_tiles"])
@pytest.mark.parametrize("case", [*SOFTMAX, *BLOCKED], ids=str)
def test_learnable_temperature(case: Case, tiles: str | None, request: pytest.FixtureRequest) -> None:
    if tiles:
        request.getfixturevalue(tiles)
    tau = torch.tensor(0.1, requires_grad=True)
    exact = torch.tensor(0.1).double().requires_grad_()
    (found,) = torch.autograd.grad(total(case.loss(*case.data(), temperature=tau)), tau)
    (right,) = torch.autograd.grad(total(case.slow(*case.data(torch.float64), temperature=exact)), exact)
    assert found.dtype == torch.float32
    assert reference.relative_error(found, right) < 2e-5


def test_learnable_bias() -> None:
    case = next(c for c in SOFTMAX if c.name == "sigmoid_pair_loss")
    bias = torch.tensor(-2.0, dtype=torch.float64, requires_grad=True)
    found, right = (
        torch.autograd.grad(loss(*case.data(torch.float64), temperature=0.2, bias=bias), bias)[0]
        for loss in (losses.sigmoid_pair_loss, reference.sigmoid_pair_loss)
    )
    torch.testing.assert_close(found, right)


@pytest.mark.parametrize("case", [*SOFTMAX, *BLOCKED, *PLAIN], ids=str)
def test_half_precision_is_computed_in_float32(case: Case) -> None:
    options = {"temperature": 0.07} if case not in PLAIN else {}
    half = case.data(torch.bfloat16)
    single = [x.detach().float().requires_grad_() for x in half]
    expected, right = value_and_gradients(partial(case.loss, **options), single)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = total(case.loss(*half, **options))
        under_autocast = total(case.loss(*single, **options))
    assert torch.equal(value, expected)
    assert torch.equal(under_autocast, expected)
    gradients = torch.autograd.grad(value, half, allow_unused=True)
    for found, exact in zip(gradients, right, strict=True):
        if found is not None:
            assert found.dtype == torch.bfloat16
            torch.testing.assert_close(found, exact.to(torch.bfloat16))


@pytest.mark.parametrize("tiles", [None, "tiny_tiles"])
@pytest.mark.parametrize(("temperature", "shared"), [(0.005, 0.9), (0.07, 0.1)])
def test_small_losses_keep_their_digits(
    temperature: float, shared: float, tiles: str | None, request: pytest.FixtureRequest
) -> None:
    # The positive dominates: lse(all) - positive would be rounding noise.
    if tiles:
        request.getfixturevalue(tiles)
    noise = torch.randn(WIDTH, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = torch.linalg.qr(noise).Q + shared
    inputs = [x.clone().requires_grad_(), (x + 0.01).requires_grad_()]
    for loss in (losses.info_nce, losses.nt_xent, losses.symmetric_info_nce):
        exact, right = value_and_gradients(partial(loss, temperature=temperature), inputs)
        single = [t.detach().float().requires_grad_() for t in inputs]
        value, found = value_and_gradients(partial(loss, temperature=temperature), single)
        assert 1e-12 < exact < 0.01
        assert reference.relative_error(value, exact) < 1e-4
        assert all(reference.relative_error(f, r) < 1e-4 for f, r in zip(found, right, strict=True))


@pytest.mark.parametrize("metric", ["cosine", "l2", "mmd"])
@pytest.mark.parametrize("masked", [False, True])
def test_feature_distance(metric: str, masked: bool) -> None:
    generator = torch.Generator().manual_seed(3)
    maps = [torch.randn(2, 5, 3, 4, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(2)]
    mask = torch.rand(2, 3, 4, generator=generator) > 0.4 if masked else None
    value, gradients = value_and_gradients(lambda a, b: losses.feature_distance(a, b, metric, mask), maps)
    expected, right = value_and_gradients(lambda a, b: reference.feature_distance(a, b, metric, mask), maps)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradients, right)


def test_labels_are_only_names() -> None:
    x = torch.randn(ROWS, WIDTH)
    renamed = LABELS * 1000 - 5
    assert torch.equal(losses.supcon(x, LABELS, temperature=0.1), losses.supcon(x, renamed, temperature=0.1))


def test_only_bounded_exponents_go_without_a_running_maximum() -> None:
    assert tiles.exponents_are_bounded(1 / 0.07, normalized=True)
    assert tiles.exponents_are_bounded(torch.tensor(1 / 0.07, requires_grad=True), normalized=True)
    assert not tiles.exponents_are_bounded(1 / 0.005, normalized=True)
    assert not tiles.exponents_are_bounded(1.0, normalized=False)


@pytest.mark.parametrize("name", ["cacr", "rotational_equivariance"])
def test_zero_rows_are_the_formula_too(name: str) -> None:
    case = next(c for c in registered() if c.exported == name)
    inputs = [x.detach() for x in case.data(torch.float64)]
    inputs[0][2] = 0
    torch.testing.assert_close(total(case.loss(*inputs)), total(case.slow(*inputs)))


@pytest.mark.parametrize("estimator", ["plug-in", "joe"])
def test_a_row_has_no_pull_on_itself(estimator: str) -> None:
    x = torch.eye(4).repeat(2, 1) * 37.1 + 1e-3
    (single,) = torch.autograd.grad(losses.vmf_entropy(x.requires_grad_(), kappa=100.0, estimator=estimator), x)
    wide = x.detach().double().requires_grad_()
    (exact,) = torch.autograd.grad(losses.vmf_entropy(wide, kappa=100.0, estimator=estimator), wide)
    torch.testing.assert_close(single.double(), exact, rtol=1e-4, atol=1e-7)
