"""Codes and their prediction: the published iteration, what it balances, the loss against its formula."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nearfar.losses import sinkhorn, swapped_prediction
from tests.losses.cases import value_and_gradients

N, K = 9, 5


@pytest.fixture
def scores() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(N, K, generator=generator, dtype=torch.float64) * 2 - 1 for _ in range(4)]


def slow_sinkhorn(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    """The released code's steps on the K x N matrix."""
    q = torch.exp(scores.double() / epsilon).t()
    q = q / q.sum()
    for _ in range(iterations):
        for k in range(K):
            q[k] = q[k] / q[k].sum() / K
        for i in range(q.shape[1]):
            q[:, i] = q[:, i] / q[:, i].sum() / q.shape[1]
    return (q * q.shape[1]).t()


def slow_loss(scores: list[Tensor], codes: list[Tensor], temperature: float) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for a, code in enumerate(codes):
        for v, score in enumerate(scores):
            if v == a:
                continue
            for i in range(N):
                p = torch.softmax(score[i] / temperature, 0)
                total = total - (code[i] * p.log()).sum() / N / (len(scores) - 1) / len(codes)
    return total


@pytest.mark.parametrize("epsilon", [0.05, 0.5])
@pytest.mark.parametrize("iterations", [1, 3, 20])
def test_codes_are_those_of_the_released_iteration(scores: list[Tensor], epsilon: float, iterations: int) -> None:
    codes = sinkhorn(scores[0], epsilon=epsilon, iterations=iterations)
    torch.testing.assert_close(codes, slow_sinkhorn(scores[0], epsilon, iterations))
    single = sinkhorn(scores[0].float(), epsilon=epsilon, iterations=iterations)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), codes, rtol=1e-4, atol=1e-6)


def test_rows_sum_to_one_and_prototypes_get_equal_shares(scores: list[Tensor]) -> None:
    codes = sinkhorn(scores[0], epsilon=0.2, iterations=200)
    torch.testing.assert_close(codes.sum(1), torch.ones(N, dtype=torch.float64))
    torch.testing.assert_close(codes.sum(0), torch.full((K,), N / K, dtype=torch.float64))
    one_sided = scores[0].clone()
    one_sided[:, 0] += 5  # everyone's favourite is shared out like the others
    torch.testing.assert_close(sinkhorn(one_sided, epsilon=0.2, iterations=200), codes)


def test_codes_ignore_order_and_a_constant_and_do_not_overflow(scores: list[Tensor]) -> None:
    codes = sinkhorn(scores[0])
    rows, columns = torch.randperm(N), torch.randperm(K)
    torch.testing.assert_close(sinkhorn(scores[0][rows][:, columns]), codes[rows][:, columns])
    torch.testing.assert_close(sinkhorn(scores[0] + 3), codes)
    extreme = sinkhorn(scores[0].float() * 1000, epsilon=1e-3)
    assert extreme.isfinite().all()
    torch.testing.assert_close(extreme.sum(1), torch.ones(N))
    torch.testing.assert_close(sinkhorn(torch.zeros(N, K)), torch.full((N, K), 1 / K))


@pytest.mark.parametrize("assigned", [1, 2, 4])
def test_the_loss_is_its_formula(scores: list[Tensor], assigned: int) -> None:
    codes = [sinkhorn(x) for x in scores[:assigned]]
    leaves = [x.clone().requires_grad_() for x in scores]
    value, gradients = value_and_gradients(lambda *x: swapped_prediction(x, codes, temperature=0.1), leaves)
    expected, right = value_and_gradients(lambda *x: slow_loss(list(x), codes, 0.1), leaves)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradients, right)
    half = swapped_prediction([x.bfloat16() for x in scores], codes, temperature=0.1)
    torch.testing.assert_close(half.double(), expected, rtol=2e-2, atol=0)


def test_gradcheck_and_the_temperature(scores: list[Tensor]) -> None:
    codes = [sinkhorn(x) for x in scores[:2]]
    temperature = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    leaves = [x.clone().requires_grad_() for x in scores]
    assert torch.autograd.gradcheck(
        lambda tau, *x: swapped_prediction(x, codes, temperature=tau), (temperature, *leaves), fast_mode=True
    )


def test_invariances_and_bounds(scores: list[Tensor]) -> None:
    codes = [sinkhorn(x) for x in scores[:2]]
    value = swapped_prediction(scores, codes, temperature=0.1)
    swapped = swapped_prediction([scores[1], scores[0], *scores[2:]], codes[::-1], temperature=0.1)
    torch.testing.assert_close(swapped, value)
    order = torch.randperm(N)
    torch.testing.assert_close(
        swapped_prediction([x[order] for x in scores], [q[order] for q in codes], temperature=0.1), value
    )
    entropy = -(codes[0] * codes[0].log()).sum(1).mean() / 2 - (codes[1] * codes[1].log()).sum(1).mean() / 2
    assert value > entropy
    agreeing = [0.1 * codes[0].log()] * 2
    torch.testing.assert_close(
        swapped_prediction(agreeing, codes[:1], temperature=0.1), -(codes[0] * codes[0].log()).sum(1).mean()
    )


def test_no_gradient_reaches_the_codes(scores: list[Tensor]) -> None:
    leaf = scores[0].clone().requires_grad_()
    assert not sinkhorn(leaf).requires_grad
    code = torch.softmax(leaf, 1)
    loss = swapped_prediction([scores[1], scores[2]], [code], temperature=0.1)
    assert not loss.requires_grad


def test_wrong_arguments_are_named(scores: list[Tensor]) -> None:
    x, code = scores[0], sinkhorn(scores[0])
    for epsilon in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match=r"epsilon must be (greater than 0|finite)"):
            sinkhorn(x, epsilon=epsilon)
    with pytest.raises(ValueError, match="iterations must be at least 1, got 0"):
        sinkhorn(x, iterations=0)
    with pytest.raises(ValueError, match=r"scores must be a matrix \(N, D\), got shape \(9,\)"):
        sinkhorn(x[:, 0])
    with pytest.raises(ValueError, match="got 1 scores and 1 codes"):
        swapped_prediction([x], [code], temperature=0.1)
    with pytest.raises(ValueError, match="got 2 scores and 0 codes"):
        swapped_prediction([x, x], [], temperature=0.1)
    with pytest.raises(ValueError, match=r"scores\[1\] has shape \(4, 5\)"):
        swapped_prediction([x, x[:4]], [code], temperature=0.1)
    with pytest.raises(ValueError, match=r"codes\[0\] has width 3"):
        swapped_prediction([x, x], [code[:, :3]], temperature=0.1)
    with pytest.raises(ValueError, match="temperature must be greater than 0"):
        swapped_prediction([x, x], [code], temperature=0.0)
