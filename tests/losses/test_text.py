"""Losses of sentences: the released values and gradients, the formulas written out, what they do not depend on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from nearfar import losses
from nearfar.text.methods.sentence_bert import compared, ranking
from tests.losses.registry import draw
from tests.parity import ParityCase, assert_parity, parity

DISTANCES = {"COSINE_DISTANCE": "cosine", "EUCLIDEAN": "euclidean", "MANHATTAN": "manhattan"}


@pytest.mark.parametrize("case", parity("sentence-bert", "mnr", "mnr_symmetric"))
def test_multiple_negatives_as_released(case: ParityCase) -> None:
    a = case.load()
    negatives = [a[name] for name in ("in_n1", "in_n2") if name in a]
    value = ranking(a["in_a"], a["in_p"], negatives, case.hyper["scale"], case.function == "mnr_symmetric")
    assert_parity(case, a, value)


@pytest.mark.parametrize("case", parity("sentence-bert", "cosine_regression", "cosent"))
def test_judged_pairs_as_released(case: ParityCase) -> None:
    a = case.load()
    loss = losses.cosent if case.function == "cosent" else losses.cosine_regression
    assert_parity(case, a, loss(a["in_u"], a["in_v"], a["in_y"].detach(), **case.hyper))


@pytest.mark.parametrize("case", parity("sentence-bert", "contrastive", "online_contrastive"))
def test_pair_margins_as_released(case: ParityCase) -> None:
    a = case.load()
    loss = losses.pair_margin if case.function == "contrastive" else losses.online_pair_margin
    how = {"margin": case.hyper["margin"], "distance": DISTANCES[case.hyper["metric"]]}
    assert_parity(case, a, loss(a["in_u"], a["in_v"], a["in_y"], **how))


@pytest.mark.parametrize("case", parity("sentence-bert", "triplet"))
def test_triplets_have_the_right_sign(case: ParityCase) -> None:
    """The release at that commit had it wrong; its values with positives and negatives exchanged are the formula's."""
    a = case.load()
    rows = [a[f"in_{name}"] for name in "apn"]
    value = losses.triplet_margin(*rows, margin=case.hyper["margin"], distance=DISTANCES[case.hyper["metric"]])
    torch.testing.assert_close(value, a["out_loss_correct_sign"], rtol=1e-9, atol=1e-10)
    for name, found in zip("apn", torch.autograd.grad(value, rows), strict=True):
        torch.testing.assert_close(found, a[f"grad_{name}_correct"], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("case", parity("sentence-bert", "softmax_pair"))
def test_classes_of_pairs_as_released(case: ParityCase) -> None:
    a = case.load()
    logits = compared(a["in_u"], a["in_v"]) @ a["in_W"].t() + a["in_b"]
    assert_parity(case, a, torch.nn.functional.cross_entropy(logits, a["in_y"]))


def slow_cosent(u: Tensor, v: Tensor, gold: Tensor) -> Tensor:
    cosines = torch.nn.functional.cosine_similarity(u, v)
    terms = [torch.exp(20 * (cosines[i] - cosines[j])) for i in range(6) for j in range(6) if gold[i] < gold[j]]
    return torch.log(1 + sum(terms))


GOLD = torch.tensor([0.0, 0.5, 0.5, 1.0, 0.2, 1.0])
ALIKE = torch.tensor([1, 0, 0, 1, 0, 1])


def test_cosent_is_its_formula_and_knows_only_the_order() -> None:
    u, v = draw(6, 4), draw(6, 4, seed=1)
    torch.testing.assert_close(losses.cosent(u, v, GOLD), slow_cosent(u, v, GOLD))
    assert torch.equal(losses.cosent(u, v, GOLD), losses.cosent(u, v, GOLD.exp() * 7))
    assert losses.cosent(u, v, torch.ones(6)) == 0
    close = losses.cosent(u.float(), v.float(), GOLD, scale=1e4)
    assert torch.isfinite(close)


@pytest.mark.parametrize(
    "loss",
    [
        lambda u, v, w: losses.cosine_regression(u, v, GOLD),
        lambda u, v, w: losses.cosent(u, v, GOLD),
        lambda u, v, w: losses.pair_margin(u, v, ALIKE, margin=1.5),
        lambda u, v, w: losses.online_pair_margin(u, v, ALIKE, distance="manhattan", margin=9.0),
        lambda u, v, w: losses.triplet_margin(u, v, w),
        lambda u, v, w: losses.triplet_margin(u, v, w, distance="cosine", margin=2.0),
    ],
)
def test_gradients_and_half_precision(loss: Callable[..., Tensor]) -> None:
    rows = [draw(6, 4, seed=seed).requires_grad_() for seed in range(3)]
    assert torch.autograd.gradcheck(loss, rows)
    half = [row.detach().bfloat16() for row in rows]
    value = loss(*half)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value.double(), loss(*(row.double() for row in half)), rtol=1e-5, atol=1e-5)


def test_equal_sentences_have_finite_gradients() -> None:
    x = draw(6, 4).requires_grad_()
    for value in (losses.triplet_margin(x, x, x), losses.pair_margin(x, x, ALIKE, distance="euclidean")):
        assert torch.isfinite(torch.autograd.grad(value, x)[0]).all()


def test_wrong_arguments_are_named() -> None:
    x = draw(6, 4)
    with pytest.raises(ValueError, match=r"gold must have shape \(6,\) .* got \(5,\)"):
        losses.cosent(x, x, GOLD[:5])
    with pytest.raises(TypeError, match="gold must be a tensor of numbers, got list"):
        losses.cosine_regression(x, x, [1.0] * 6)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="alike must be 0 or 1 for each pair, got 0 to 5"):
        losses.pair_margin(x, x, ALIKE * 5)
    with pytest.raises(ValueError, match="distance must be one of 'cosine', 'euclidean', 'manhattan', got 'dot'"):
        losses.triplet_margin(x, x, x, distance="dot")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="scale must be greater than 0"):
        losses.cosent(x, x, GOLD, scale=0.0)
