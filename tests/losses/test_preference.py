"""Losses of preferences: released values, the installed trl, slow forms, and the optima that papers prove."""

from __future__ import annotations

import collections
import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses import (
    copg_loss,
    cpl_loss,
    cpl_rank_loss,
    dpo_loss,
    implicit_reward,
    infonca_loss,
    ipo_loss,
    nca_loss,
    nca_pair_loss,
    online_kl_loss,
    reward_model_loss,
    sequence_logps,
    token_logps,
)
from tests.losses.registry import draw
from tests.parity import ParityCase, assert_parity, parity


def _four(arrays: dict[str, Tensor]) -> list[Tensor]:
    return [arrays[f"in_{name}"] for name in ("pc", "pr", "rc", "rr")]


@pytest.mark.parametrize("case", parity("dpo", "dpo_loss"))
def test_dpo_is_the_released_one(case: ParityCase) -> None:
    arrays = case.load()
    assert_parity(case, arrays, dpo_loss(*_four(arrays), **case.hyper))
    rows = dpo_loss(*_four(arrays), **case.hyper, reduction="none")
    torch.testing.assert_close(rows, arrays["out_losses"])
    rewards = implicit_reward(arrays["in_pc"], arrays["in_rc"], beta=case.hyper["beta"])
    torch.testing.assert_close(rewards.detach(), arrays["out_chosen_rewards"])


@pytest.mark.parametrize("case", parity("dpo", "sequence_logps"))
def test_sequence_logps_are_the_released_ones(case: ParityCase) -> None:
    arrays = case.load()
    found = sequence_logps(arrays["in_logits"], arrays["in_labels"], average=case.hyper["average"])
    torch.testing.assert_close(found, arrays["out_logps"])
    assert_parity(case, arrays, found.sum())


@pytest.mark.parametrize("case", parity("ipo"))
def test_ipo_is_the_released_one(case: ParityCase) -> None:
    arrays = case.load()
    lengths = {}
    if case.function == "ipo_mean":
        lengths = {f"{side}_lengths": arrays[f"in_{side}_mask"].detach().sum(1) for side in ("chosen", "rejected")}
    assert_parity(case, arrays, ipo_loss(*_four(arrays), **case.hyper, **lengths))


@pytest.mark.parametrize("case", parity("nca", "nca_and_infonca_k4"))
def test_nca_and_infonca_are_the_released_ones(case: ParityCase) -> None:
    arrays = case.load()
    loss = {"NCA": nca_loss, "InfoNCA": infonca_loss}[case.hyper["loss_type"]]
    scores = arrays["in_scores"] + torch.tensor([0.01, 0, 0, 0], dtype=torch.float64)  # the release's tie-break
    found = loss(arrays["in_policy"], arrays["in_ref"], scores, beta=case.hyper["beta"], temperature=case.hyper["t"])
    assert_parity(case, arrays, found)


@pytest.mark.parametrize("case", parity("nca", "pairwise"))
def test_the_pair_form_of_nca_is_the_released_one(case: ParityCase) -> None:
    arrays = case.load()
    form = {"NCA": "nca", "biasedNCA": "biased"}[case.hyper["loss_type"]]
    assert_parity(case, arrays, nca_pair_loss(*_four(arrays), beta=case.hyper["beta"], form=form))


@pytest.mark.parametrize("case", parity("cpl", "cpl_loss"))
def test_cpl_is_the_released_one(case: ParityCase) -> None:
    arrays = case.load()
    assert_parity(case, arrays, cpl_loss(arrays["in_lp1"], arrays["in_lp2"], arrays["in_label"].detach(), **case.hyper))


@pytest.mark.parametrize("case", parity("cpl", "cpl_rank_loss"))
def test_ranked_cpl_is_the_released_one(case: ParityCase) -> None:
    arrays = case.load()
    assert_parity(case, arrays, cpl_rank_loss(arrays["in_adv"], arrays["in_scores"].detach(), **case.hyper))


class _Trl:
    """What ``DPOTrainer._compute_loss`` asks of its trainer, and a model that gives log-probabilities as they are."""

    def __init__(self, loss_type: str, beta: float) -> None:
        whole = SimpleNamespace(device="cpu", gather=lambda x: x, gather_for_metrics=lambda x: x)
        self.model, self.accelerator = SimpleNamespace(training=True), whole
        self.aux_loss_enabled = self.use_weighting = False
        self.ld_alpha, self.precompute_ref_logps, self.f_divergence_type = None, True, "reverse_kl"
        self.loss_types, self.loss_weights, self.beta, self.label_smoothing = [loss_type], [1.0], beta, 0.0
        self._metrics = {"train": collections.defaultdict(list)}
        self._total_train_tokens, self._tp_size = 0, 1

    def loss(self, logps: Tensor, lengths: Tensor, reference: Tensor) -> Tensor:
        from trl import DPOTrainer

        width = int(lengths.max()) + 1
        mask = (torch.arange(width) >= width - lengths[:, None]).long()
        spread = torch.cat([torch.zeros(len(logps), width - 2, dtype=logps.dtype), logps[:, None]], 1)
        gone = torch.zeros(len(logps), width - 1)
        out = SimpleNamespace(log_probs=spread, entropy=gone, mean_logits=gone, is_top1=gone.bool())
        chosen, rejected = reference.chunk(2)
        inputs = {"input_ids": mask, "attention_mask": mask, "completion_mask": mask}
        inputs |= {"ref_chosen_logps": chosen, "ref_rejected_logps": rejected}
        return DPOTrainer._compute_loss(self, lambda **_: out, inputs, False)  # type: ignore[arg-type]


@pytest.mark.parametrize("loss_type", ["sigmoid", "ipo", "nca_pair"])
def test_values_and_gradients_equal_those_of_the_installed_trl(loss_type: str) -> None:
    pytest.importorskip("trl")
    logps, reference = -10 * draw(10).abs(), -10 * draw(10, seed=1).abs()
    lengths = torch.tensor([3, 5, 7, 2, 4, 6, 3, 3, 2, 9])
    own, theirs = logps.clone().requires_grad_(), logps.clone().requires_grad_()
    wanted = _Trl(loss_type, 0.2).loss(theirs, lengths, reference)
    four = (*own.chunk(2), *reference.chunk(2))
    if loss_type == "sigmoid":
        found = dpo_loss(*four, beta=0.2)
    elif loss_type == "ipo":
        found = ipo_loss(*four, tau=0.2, chosen_lengths=lengths[:5], rejected_lengths=lengths[5:])
    else:
        found = nca_pair_loss(*four, beta=0.2)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(torch.autograd.grad(found, own), torch.autograd.grad(wanted, theirs))


@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_token_logps_are_those_of_all_logits_at_once(chunk: int) -> None:
    states, weight = draw(9, 5).requires_grad_(), draw(7, 5, seed=1).requires_grad_()
    tokens = torch.randint(7, (9,), generator=torch.Generator().manual_seed(2))
    found = token_logps(states, weight, tokens, chunk=chunk)
    wanted = -F.cross_entropy(states @ weight.T, tokens, reduction="none")
    torch.testing.assert_close(found, wanted)
    scale = draw(9, seed=3)
    own = torch.autograd.grad((found * scale).sum(), (states, weight))
    torch.testing.assert_close(own, torch.autograd.grad((wanted * scale).sum(), (states, weight)))
    assert torch.autograd.gradcheck(lambda s, w: token_logps(s, w, tokens, chunk=chunk), (states, weight))


def test_token_logps_of_half_precision_sum_in_full() -> None:
    states, weight = draw(6, 16).bfloat16(), draw(4000, 16, seed=1).bfloat16()
    tokens = torch.arange(6)
    found = token_logps(states, weight, tokens)
    assert found.dtype == torch.float32
    wanted = (states @ weight.T).float().log_softmax(-1)[tokens, tokens]
    torch.testing.assert_close(found, wanted)


def test_infonca_of_two_replies_is_dpo_and_nca_its_pair_form() -> None:
    policy, reference = draw(6, 2), draw(6, 2, seed=1)
    rewards = torch.tensor([[1.0, 0.0]], dtype=torch.float64).expand(6, 2)
    four = (policy[:, 0], policy[:, 1], reference[:, 0], reference[:, 1])
    torch.testing.assert_close(infonca_loss(policy, reference, rewards, beta=0.3), dpo_loss(*four, beta=0.3))
    torch.testing.assert_close(nca_loss(policy, reference, rewards, beta=0.3), nca_pair_loss(*four, beta=0.3))


def test_nca_and_infonca_are_least_where_the_paper_says() -> None:
    rewards = draw(3, 4)
    q = rewards.softmax(-1)
    for loss, g in ((infonca_loss, q.log()), (nca_loss, (4 * q).log())):
        policy = g.clone().requires_grad_()
        value = loss(policy, torch.zeros_like(g), rewards, beta=1.0, temperature=1.0)
        (slope,) = torch.autograd.grad(value, policy)
        assert float(slope.abs().max()) < 1e-12, loss.__name__


def test_copg_is_the_sum_over_pairs_contains_ipo_and_the_leave_one_out_gradient() -> None:
    policy, reference, rewards = draw(5, 4).requires_grad_(), draw(5, 4, seed=1), draw(5, 4, seed=2)
    beta = 0.3
    r = rewards - beta * (policy - reference)
    slow = sum((r[:, i] - r[:, j]) ** 2 for i in range(4) for j in range(i)) / 3
    found = copg_loss(policy, reference, rewards, beta=beta, scale="raw")
    torch.testing.assert_close(found, slow.mean())
    (slope,) = torch.autograd.grad(copg_loss(policy, reference, rewards, beta=beta), policy)
    left = r.detach() - (r.detach().sum(1, keepdim=True) - r.detach()) / 3
    torch.testing.assert_close(-slope * 5, left)
    good, bad, *refs = policy[:, 0], policy[:, 1], reference[:, 0], reference[:, 1]
    binary = torch.tensor([[0.25, -0.25]], dtype=torch.float64).expand(5, 2)
    copg = copg_loss(policy[:, :2], reference[:, :2], binary, beta=beta, scale="raw")
    torch.testing.assert_close(copg, beta**2 * ipo_loss(good, bad, *refs, tau=beta))


def test_the_online_term_has_the_gradient_of_the_divergence() -> None:
    logits, reference = draw(6).requires_grad_(), draw(6, seed=1).log_softmax(-1)
    logp = logits.log_softmax(-1)
    (wanted,) = torch.autograd.grad((logp.exp() * (logp - reference)).sum(), logits)
    logp = logits.log_softmax(-1)
    each = torch.stack([online_kl_loss(logp[i : i + 1, None], reference[i : i + 1, None]) for i in range(6)])
    (found,) = torch.autograd.grad((logp.detach().exp() * each).sum(), logits)
    torch.testing.assert_close(found, wanted)
    two, ref = draw(3, 2), draw(3, 2, seed=4)
    k = two - ref
    slow = ((k[:, 0] - k[:, 1]) * two[:, 0] + (k[:, 1] - k[:, 0]) * two[:, 1]) / 2
    torch.testing.assert_close(online_kl_loss(two, ref, baseline="loo"), slow.mean())


def test_cpl_of_one_step_with_a_reference_is_dpo_and_discounts_later_steps() -> None:
    first, second, r1, r2 = (draw(4, 1, seed=s) for s in range(4))
    found = cpl_loss(first, second, torch.zeros(4), r1, r2, alpha=0.2, lam=1.0)
    torch.testing.assert_close(found, dpo_loss(first[:, 0], second[:, 0], r1[:, 0], r2[:, 0], beta=0.2))
    long, other = draw(4, 3), draw(4, 3, seed=5)
    weights = torch.tensor([1.0, 0.5, 0.25], dtype=torch.float64)
    same = cpl_loss(long * weights, other * weights, torch.ones(4))
    torch.testing.assert_close(cpl_loss(long, other, torch.ones(4), discount=0.5), same)


def test_a_pair_that_is_learnt_costs_nothing_and_large_margins_stay_finite() -> None:
    far = torch.tensor([1e4])
    assert float(dpo_loss(far, -far, None, None, beta=1.0)) == 0
    assert float(dpo_loss(-far, far, None, None, beta=1.0)) == pytest.approx(2e4)
    assert float(reward_model_loss(torch.tensor([0.0]), torch.tensor([0.0]))) == pytest.approx(math.log(2))


def test_what_does_not_fit_is_named() -> None:
    x = torch.zeros(3)
    with pytest.raises(ValueError, match="the reference is missing for one side"):
        dpo_loss(x, x, x, None)
    with pytest.raises(ValueError, match="rejected has shape"):
        dpo_loss(x, x[:2], x, x)
    with pytest.raises(ValueError, match="label_smoothing must be in"):
        dpo_loss(x, x, x, x, label_smoothing=0.5)
    with pytest.raises(ValueError, match="lengths of the chosen and of the rejected"):
        ipo_loss(x, x, x, x, chosen_lengths=x)
    with pytest.raises(ValueError, match="K at least 2"):
        copg_loss(x[:, None], x[:, None], x[:, None])
    with pytest.raises(ValueError, match="two or more are needed"):
        online_kl_loss(x[:, None], x[:, None], baseline="loo")
    with pytest.raises(ValueError, match="lam must be in"):
        cpl_loss(x[:, None], x[:, None], x, lam=1.5)
    with pytest.raises(ValueError, match="labels"):
        sequence_logps(torch.zeros(2, 3, 4), torch.zeros(2, 4, dtype=torch.long))
