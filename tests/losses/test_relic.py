"""ReLIC: its modes, its measurement, its targets and its many crops."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

from nearfar import losses
from nearfar.losses.engine import proxy
from tests.losses.cases import ROWS, close

TAU = 0.1


def test_relic_without_invariance_is_the_baseline_to_the_bit(rows: list[Tensor]) -> None:
    o1, o2, t1, t2 = (x.float() for x in rows[:4])
    leaves = [x.clone().requires_grad_() for x in (o1, o2)]
    terms = losses.relic(*leaves, t1, t2, temperature=TAU, alpha=0.0)
    assert set(terms) == {"contrastive", "invariance"}
    assert terms["invariance"] == 0
    assert not terms["invariance"].requires_grad
    gradients = torch.autograd.grad(sum(terms.values()), leaves)
    expected = losses.info_nce(leaves[0], t2, temperature=TAU) + losses.info_nce(leaves[1], t1, temperature=TAU)
    assert torch.equal(terms["contrastive"], expected)
    assert all(map(torch.equal, gradients, torch.autograd.grad(expected, leaves)))


def test_relic_modes_have_one_value_and_three_gradients(rows: list[Tensor]) -> None:
    leaf = rows[0].requires_grad_()
    found = [
        losses.relic(leaf, *rows[1:4], temperature=TAU, alpha=1.0, kl_mode=mode)["invariance"]
        for mode in proxy.KL_MODES
    ]
    gradients = [torch.autograd.grad(value, leaf)[0] for value in found]
    assert found[0] > 0.01
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert (gradients[i] - gradients[j]).norm() > 0.01 * gradients[i].norm()


def test_relic_kl_measures_the_invariance_term(rows: list[Tensor]) -> None:
    o1, o2, t1, t2, _ = rows
    o1.requires_grad_()
    measured = losses.relic_kl(o1, o2, t1, t2, temperature=TAU)
    assert not measured.requires_grad
    close(2 * measured, losses.relic(o1, o2, t1, t2, temperature=TAU, alpha=1.0)["invariance"].detach())
    assert losses.relic_kl(o1, o1, t1, t1, temperature=TAU) == 0


@pytest.mark.parametrize("mode", proxy.KL_MODES)
@pytest.mark.parametrize("alpha", [0.0, 0.7])
def test_targets_get_no_gradient(rows: list[Tensor], mode: str, alpha: float) -> None:
    leaves = [x.requires_grad_() for x in rows[:4]]
    sum(losses.relic(*leaves, temperature=TAU, alpha=alpha, kl_mode=mode).values()).backward()
    losses.byol_regression(*leaves).backward()
    losses.negative_cosine(leaves[0], leaves[2]).backward()
    assert leaves[2].grad is None
    assert leaves[3].grad is None
    assert leaves[0].grad.any()


@pytest.mark.parametrize("mode", proxy.KL_MODES)
def test_multicrop_of_two_large_crops_is_half_of_relic(rows: list[Tensor], mode: str) -> None:
    o1, o2, t1, t2, _ = rows
    one = losses.relic(o1, o2, t1, t2, temperature=TAU, alpha=0.7, kl_mode=mode)
    many = losses.relic_multicrop([o1, o2], [t1, t2], temperature=TAU, alpha=0.7, kl_mode=mode, include_same_crop=False)
    for name in one:
        close(2 * many[name], one[name])


@pytest.mark.parametrize("mode", proxy.KL_MODES)
def test_multicrop_with_all_other_images_sampled_is_the_full_softmax(rows: list[Tensor], mode: str) -> None:
    o1, o2, small, t1, t2 = (x.requires_grad_() for x in rows)
    online = (o1, o2, small)
    loss = partial(losses.relic_multicrop, online, (t1, t2), temperature=TAU, alpha=0.7, kl_mode=mode)
    full, sampled = loss(), loss(num_negatives=ROWS - 1)
    for name in full:
        close(sampled[name], full[name])
    for term in full:
        for x, y in zip(
            torch.autograd.grad(full[term], online, retain_graph=True),
            torch.autograd.grad(sampled[term], online, retain_graph=True),
            strict=True,
        ):
            close(x, y)


def test_multicrop_draws_from_the_generator(rows: list[Tensor]) -> None:
    o1, o2, small, t1, t2 = rows

    def draw(seed: int) -> dict[str, Tensor]:
        return losses.relic_multicrop(
            [o1, o2, small],
            [t1, t2],
            temperature=TAU,
            alpha=1.0,
            num_negatives=3,
            generator=torch.Generator().manual_seed(seed),
        )

    assert draw(0) == draw(0)
    assert draw(0)["contrastive"] != draw(1)["contrastive"]
    full = losses.relic_multicrop([o1, o2, small], [t1, t2], temperature=TAU, alpha=1.0)
    assert 0 < draw(0)["contrastive"] < full["contrastive"]


def test_multicrop_without_invariance(rows: list[Tensor]) -> None:
    o1, o2, small, t1, t2 = rows
    views = [o1, o2, small], [t1, t2]
    plain = losses.relic_multicrop(*views, temperature=TAU, alpha=0.0)
    assert plain["invariance"] == 0
    close(plain["contrastive"], losses.relic_multicrop(*views, temperature=TAU, alpha=1.0)["contrastive"])
