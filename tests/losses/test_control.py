"""Losses of control against slow float64 versions, released values, and what their optima must be."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses import (
    c_learning,
    cloning,
    example_value,
    pairwise_nce,
    penalized_info_nce,
    picking,
    reaching,
    td_info_nce,
)
from nearfar.losses.control.reaching import cosine_codes
from tests.parity import ParityCase, assert_parity, parity


def logits(*shape: int, seed: int = 0, scale: float = 2.0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scale


@pytest.mark.parametrize("case", parity("contrastive-rl", "critic_nce"))
def test_released_contrastive_rl_critic(case: ParityCase) -> None:
    arrays = case.load()
    assert_parity(case, arrays, pairwise_nce(arrays["in_logits"]), rtol=1e-9)


@pytest.mark.parametrize("case", parity("contrastive-rl", "critic_cpc"))
def test_released_contrastive_rl_softmax(case: ParityCase) -> None:
    arrays = case.load()
    assert_parity(case, arrays, penalized_info_nce(arrays["in_logits"]), rtol=1e-9)


@pytest.mark.parametrize("case", parity("contrastive-rl", "critic_c_learning"))
def test_released_c_learning(case: ParityCase) -> None:
    arrays = case.load()
    found = c_learning(
        arrays["in_logits"], arrays["in_target"], discount=case.hyper["discount"], mixed=case.hyper["add_mc_to_td"]
    )
    assert_parity(case, arrays, found, rtol=1e-9)


@pytest.mark.parametrize("case", parity("contrastive-rl", "actor"))
def test_released_contrastive_rl_actor(case: ParityCase) -> None:
    arrays = case.load()
    climbed = reaching(arrays["in_q"], arrays["in_logp"], alpha=case.hyper["alpha"])
    assert_parity(case, arrays, cloning(climbed, -arrays["in_logp_data"], share=case.hyper["bc"]), rtol=1e-9)


@pytest.mark.parametrize("case", parity("stable-contrastive-rl", "mc_loss"))
def test_released_balanced_critic(case: ParityCase) -> None:
    arrays = case.load()
    assert_parity(case, arrays, pairwise_nce(arrays["in_logits"], negative_weight="balanced"), rtol=1e-9)


@pytest.mark.parametrize("case", parity("stable-contrastive-rl", "td_loss"))
def test_released_stable_differences(case: ParityCase) -> None:
    arrays = case.load()
    found = c_learning(arrays["in_logits"], arrays["in_next_logits"], discount=case.hyper["discount"])
    assert_parity(case, arrays, found, rtol=1e-9)


@pytest.mark.parametrize("case", parity("stable-contrastive-rl", "actor_loss"))
def test_released_stable_actor(case: ParityCase) -> None:
    arrays = case.load()
    climbed = reaching(arrays["in_q"], arrays["in_logp"], alpha=case.hyper["alpha"])
    assert_parity(case, arrays, cloning(climbed, -arrays["in_logp_data_aug"], share=case.hyper["bc"]), rtol=1e-9)


@pytest.mark.parametrize("case", parity("td-infonce", "critic"))
def test_released_td_infonce_critic(case: ParityCase) -> None:
    arrays = case.load()
    found = td_info_nce(arrays["in_pos"], arrays["in_neg"], arrays["in_target"], discount=case.hyper["discount"])
    assert_parity(case, arrays, found, rtol=1e-9)


@pytest.mark.parametrize("case", parity("td-infonce", "actor"))
def test_released_td_infonce_actor(case: ParityCase) -> None:
    arrays = case.load()
    imitation = (arrays["in_action"] - arrays["in_data"]).square().mean(1)
    assert_parity(case, arrays, cloning(picking(arrays["in_q"]), imitation, share=case.hyper["bc"]), rtol=1e-9)


@pytest.mark.parametrize("case", parity("td-infonce", "separable_critic"))
def test_released_unit_codes(case: ParityCase) -> None:
    arrays = case.load()
    phi = cosine_codes(arrays["in_phi"], case.hyper["temperature"])
    found = torch.einsum("bdn,mdn->bmn", phi, cosine_codes(arrays["in_psi"]))
    torch.testing.assert_close(found, arrays["out_logits"], rtol=1e-9, atol=1e-9)
    assert_parity(case, arrays, found.square().sum(), rtol=1e-9)


@pytest.mark.parametrize("case", parity("laeo", "critic"))
def test_released_laeo_critic(case: ParityCase) -> None:
    arrays = case.load()
    assert_parity(case, arrays, pairwise_nce(arrays["in_logits"]), rtol=1e-9)


@pytest.mark.parametrize("case", parity("laeo", "actor"))
def test_released_laeo_actor(case: ParityCase) -> None:
    arrays = case.load()
    climbed = reaching(arrays["in_q"], arrays["in_logp"], alpha=case.hyper["alpha"])
    assert_parity(case, arrays, cloning(climbed, -arrays["in_logp_data"], share=case.hyper["bc"]), rtol=1e-9)


@pytest.mark.parametrize("case", parity("laeo", "actor_all_examples"))
def test_released_laeo_actor_over_all_examples(case: ParityCase) -> None:
    arrays = case.load()
    scores = torch.einsum("bdn,mdn->bmn", arrays["in_phi"], arrays["in_psi"])
    climbed = case.hyper["alpha"] * arrays["in_logp"] - example_value(scores, aggregate="logsumexp")
    assert_parity(case, arrays, cloning(climbed, -arrays["in_logp_data"], share=case.hyper["bc"]), rtol=1e-9)


@pytest.mark.parametrize("weight", ["unit", "balanced"])
def test_pairwise_nce_is_the_mean_over_pairs_and_critics(weight: str) -> None:
    given = logits(5, 5, 2)
    slow = 0.0
    for i in range(5):
        for j in range(5):
            for n in range(2):
                share = torch.sigmoid(given[i, j, n])
                w = 1.0 if i == j or weight == "unit" else 0.25
                slow -= w * float((share if i == j else 1 - share).log())
    found = pairwise_nce(given, negative_weight=weight)  # type: ignore[arg-type]
    assert float(found) == pytest.approx(slow / 50, rel=1e-12)


def test_gradients_are_those_of_the_formulas() -> None:
    square, other = logits(4, 4, 2).requires_grad_(), logits(4, 4, 2, seed=1).requires_grad_()
    wide = logits(4, 6, 2, seed=2).requires_grad_()
    fixed = logits(4, 6, 2, seed=3)
    checks = (
        (lambda x: pairwise_nce(x, negative_weight="balanced"), (square,)),
        (penalized_info_nce, (square,)),
        (lambda x: c_learning(x, other.detach(), discount=0.9), (square,)),
        (lambda x, y: td_info_nce(x, y, fixed, discount=0.9), (square, wide)),
        (picking, (square,)),
        (example_value, (wide,)),
    )
    for function, inputs in checks:
        assert torch.autograd.gradcheck(function, inputs)


def test_no_gradient_reaches_targets() -> None:
    target = logits(4, 4).requires_grad_()
    for loss in (
        c_learning(logits(4, 4).requires_grad_(), target, discount=0.9),
        td_info_nce(logits(4, 4).requires_grad_(), logits(4, 4, seed=5), target, discount=0.9),
    ):
        loss.backward()
        assert target.grad is None or not target.grad.any()


def test_one_critic_equals_two_that_agree_and_rows_may_be_permuted() -> None:
    one = logits(6, 6)
    two = torch.stack([one, one], -1)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(0))
    for loss in (pairwise_nce, penalized_info_nce):
        torch.testing.assert_close(loss(one), loss(two))
        torch.testing.assert_close(loss(one), loss(one[order][:, order]))
    torch.testing.assert_close(picking(one)[order], picking(one[order][:, order]))


def test_td_info_nce_without_a_future_is_cross_entropy_and_with_itself_as_target_entropy() -> None:
    given = logits(5, 5)
    torch.testing.assert_close(
        td_info_nce(given, given, given, discount=0.0), F.cross_entropy(given, torch.arange(5)), rtol=1e-12, atol=0
    )
    half = td_info_nce(given, given, given, discount=0.5)
    entropy = -(given.softmax(1) * given.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(half, 0.5 * F.cross_entropy(given, torch.arange(5)) + 0.5 * entropy)


def test_the_optimum_of_pairwise_nce_is_a_log_ratio() -> None:
    """With many rows drawn from a known joint, the minimiser is log p(g | x) - log p(g) - log(B - 1)."""
    rng = np.random.default_rng(0)
    joint = rng.dirichlet(np.ones(12)).reshape(3, 4)
    table = torch.zeros(3, 4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([table], lr=0.05)
    size = 16
    for _ in range(1500):
        flat = rng.choice(12, size=size, p=joint.ravel())
        x, g = torch.from_numpy(flat // 4), torch.from_numpy(flat % 4)
        optimizer.zero_grad()
        pairwise_nce(table[x][:, g]).backward()
        optimizer.step()
        for group in optimizer.param_groups:
            group["lr"] *= 0.998
    truth = np.log(joint / joint.sum(1, keepdims=True) / joint.sum(0, keepdims=True)) - np.log(size - 1)
    likely = joint > 0.04
    assert np.abs(table.detach().numpy() - truth)[likely].max() < 0.35


def test_extreme_scores_stay_finite() -> None:
    large = logits(4, 4, scale=300.0).float().requires_grad_()
    for loss in (pairwise_nce(large), penalized_info_nce(large), c_learning(large, large.detach(), discount=0.99)):
        (gradient,) = torch.autograd.grad(loss, large)
        assert torch.isfinite(loss)
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: pairwise_nce(logits(3, 4)), "logits must be square"),
        (lambda: pairwise_nce(logits(3, 3), negative_weight="half"), "negative_weight must be one of"),  # type: ignore[arg-type]
        (lambda: pairwise_nce(torch.ones(3, 3, dtype=torch.long)), "floating-point"),
        (lambda: penalized_info_nce(logits(3, 3), penalty=-1.0), "penalty must be at least 0"),
        (lambda: c_learning(logits(3, 3), logits(4, 4), discount=0.9), "target must be square"),
        (lambda: c_learning(logits(3, 3), logits(3, 3), discount=1.0), "discount must be below 1"),
        (lambda: td_info_nce(logits(3, 3), logits(3, 5), logits(3, 4), discount=0.9), "they must be equal"),
        (lambda: reaching(logits(3, 3), alpha=0.5), "alpha prices log_prob"),
        (lambda: cloning(logits(3), logits(3), share=2.0), "share must be in"),
        (lambda: example_value(logits(3, 4), aggregate="mean"), "aggregate must be one of"),
        (lambda: example_value(logits(3)), "must be scores"),
    ],
)
def test_wrong_arguments_get_one_sentence(call, sentence: str) -> None:
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()
