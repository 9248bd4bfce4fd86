"""Second derivatives of every exported loss, in every way of asking: right, or refused in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nearfar import losses
from nearfar.losses.engine.once import REFUSAL
from tests.losses.cases import BLOCKED, SOFTMAX
from tests.losses.registry import Case, registered, total

MEASUREMENTS = {"dense_correspondence", "memory_normalizer", "relic_kl", "sinkhorn"}
CASES = [case for case in registered() if case.exported not in MEASUREMENTS]
# Whether the engine made it: these refuse, and the others answer.
TILED = {
    "aligned_patch_contrast", "composition_contrast", "grace", "info_nce", "margin_nt_xent", "nt_xent", "poly_view",
    "relic", "relic_multicrop", "sigmoid_pair_loss", "supcon", "symile", "symmetric_info_nce", "vmf_entropy",
    "weighted_supcon",
}  # fmt: skip

# Small enough for one block, which plain operations make.
BLOCKS = {"symile all", *(case.name for case in BLOCKED)}
# These draw numbers, which torch.vmap refuses by itself.
DRAWN = {"feature_distance mmd", "prototype_contrast"}

Scalar = Callable[[Tensor], Tensor]


def by_grad_of_grad(f: Scalar, x: Tensor, v: Tensor) -> Tensor:
    (first,) = torch.autograd.grad(f(x), x, create_graph=True)
    return torch.autograd.grad((first * v).sum(), x)[0]


def by_a_penalty(f: Scalar, x: Tensor, v: Tensor) -> Tensor:
    """Half the squared gradient, differentiated: the Hessian times the gradient."""
    (first,) = torch.autograd.grad(f(x), x, create_graph=True)
    along = v - first.detach()  # so that the sum is the Hessian times v
    return torch.autograd.grad((first * first).sum() / 2 + (first * along).sum(), x)[0]


def by_backward_twice(f: Scalar, x: Tensor, v: Tensor) -> Tensor:
    leaf = x.detach().clone().requires_grad_()
    (first,) = torch.autograd.grad(f(leaf), leaf, create_graph=True)
    (first * v).sum().backward()
    assert leaf.grad is not None
    return leaf.grad


def by_product(f: Scalar, x: Tensor, v: Tensor) -> Tensor:
    return torch.autograd.functional.hvp(f, x, v)[1]


def by_hessian(f: Scalar, x: Tensor, v: Tensor, vectorize: bool = False) -> Tensor:
    matrix = torch.autograd.functional.hessian(f, x, vectorize=vectorize)
    return (matrix.reshape(x.numel(), x.numel()) @ v.flatten()).view_as(x)


def by_func_grad(f: Scalar, x: Tensor, v: Tensor) -> Tensor:
    return torch.func.grad(lambda y: (torch.func.grad(f)(y) * v).sum())(x.detach())


def by_func_reverse(f: Scalar, x: Tensor, v: Tensor) -> Tensor:
    matrix = torch.func.jacrev(torch.func.jacrev(f))(x.detach())
    return (matrix.reshape(x.numel(), x.numel()) @ v.flatten()).view_as(x)


def by_func_hessian(f: Scalar, x: Tensor, v: Tensor) -> Tensor:
    matrix = torch.func.hessian(f)(x.detach())
    return (matrix.reshape(x.numel(), x.numel()) @ v.flatten()).view_as(x)


WAYS = {
    "grad of grad": by_grad_of_grad,
    "penalty": by_a_penalty,
    "backward twice": by_backward_twice,
    "product": by_product,
    "hessian": by_hessian,
    "vectorised hessian": partial(by_hessian, vectorize=True),
    "func.grad": by_func_grad,
    "func.jacrev": by_func_reverse,
    "func.hessian": by_func_hessian,
}


def of_one(loss: Callable, inputs: list[Tensor], number: int) -> Scalar:
    """The loss as a function of one input, the others fixed."""
    fixed = [x.detach() for x in inputs]
    return lambda x: total(loss(*fixed[:number], x, *fixed[number + 1 :]))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_right_or_refused(case: Case) -> None:
    options = {"temperature": 0.3} if case.tempered else {}
    inputs = case.data(torch.float64)
    for number, x in enumerate(inputs[:2]):
        if not total(case.loss(*inputs, **options)).requires_grad:
            continue
        f, slow = (of_one(partial(loss, **options), inputs, number) for loss in (case.loss, case.slow))
        if not f(x).requires_grad:
            continue  # a target: no gradient reaches it
        v = torch.randn(x.shape, generator=torch.Generator().manual_seed(3), dtype=x.dtype)
        expected = by_grad_of_grad(slow, x, v)
        refused = set()
        for way, ask in WAYS.items():
            sentence, found = "", None
            try:
                found = ask(f, x, v)
            except NotImplementedError as error:
                sentence = str(error)
            except RuntimeError as error:
                assert case.name in DRAWN and "randomness" in str(error), way  # noqa: PT017, PT018
                continue
            if found is None:
                assert sentence == REFUSAL, way
                refused.add(way)
            else:
                torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8, msg=lambda m, w=way: f"{w}: {m}")
        if case.exported not in TILED or case.name in BLOCKS:
            assert not refused
        elif number == 0:
            assert refused == set(WAYS)


@pytest.mark.parametrize("case", [case for case in SOFTMAX if case.exported in TILED], ids=str)
@pytest.mark.usefixtures("tiny_tiles")
def test_tiles_and_temperatures_refuse_too(case: Case) -> None:
    inputs = case.data(torch.float64)
    tau = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(total(case.loss(*inputs, temperature=tau)), tau, create_graph=True)
    with pytest.raises(NotImplementedError, match="first derivatives only"):
        torch.autograd.grad(first, tau)
    (first,) = torch.autograd.grad(total(case.loss(*inputs, temperature=tau)), inputs[0], create_graph=True)
    with pytest.raises(NotImplementedError, match="first derivatives only"):
        torch.autograd.grad(first.sum(), tau)


@pytest.mark.usefixtures("tiny_tiles")
def test_blocks_of_rows_have_second_derivatives_but_not_in_torch_func() -> None:
    a, b, c = (torch.randn(9, 4, dtype=torch.float64, requires_grad=True) for _ in range(3))

    def loss(x: Tensor) -> Tensor:
        return total(losses.cacr([x, b, c]))

    assert torch.autograd.gradgradcheck(loss, a)
    with pytest.raises(NotImplementedError, match="first derivatives only"):
        torch.func.grad(torch.func.grad(lambda x: loss(x).sum()))(a.detach())


def test_without_a_second_derivative_nothing_is_kept() -> None:
    x = torch.randn(6, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(losses.nt_xent(x, x.detach() + 1, temperature=0.3), x)
    assert not gradient.requires_grad


TODAYS = (losses.contrast, losses.alignment, losses.clustering, losses.dense, losses.reconstruction)


def test_every_loss_of_these_families_is_registered() -> None:
    asked = {case.exported for case in registered()}
    missing = {name for family in TODAYS for name in family.__all__} - asked
    assert not missing, f"give {sorted(missing)} a case in tests/losses/*cases.py"


def test_every_loss_of_other_families_has_a_test() -> None:
    asked = {case.exported for case in registered()} | {name for family in TODAYS for name in family.__all__}
    tests = "".join(path.read_text() for path in Path(__file__).parents[1].rglob("test_*.py"))
    missing = [name for name in losses.__all__ if name not in asked and name not in tests]
    assert not missing, f"test {missing} against a slow form or released cases"
