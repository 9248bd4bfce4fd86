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


@pytest.mark.parametrize("case", parity("promcse"))
def test_contrast_with_energy_hinge_as_released(case: ParityCase) -> None:
    a, h = case.load(), case.hyper
    rows = [a[f"in_z{number}"] for number in (1, 2, 3)]
    hinge = losses.energy_hinge(*rows, margin=h["margin"])
    torch.testing.assert_close(hinge, a["out_eh"], rtol=1e-7, atol=1e-9)
    contrast = losses.info_nce(
        *rows[:2],
        temperature=h["temperature"],
        hard_negatives=rows[2],
        hard_negative_bias=h["hard_negative_weight"],
    )
    assert_parity(case, a, contrast + h["eh_weight"] * hinge)


@pytest.mark.usefixtures("tiny_tiles")
def test_the_nearest_wrong_sentence_is_found_in_blocks() -> None:
    a, p, n = (draw(13, 5, seed=seed).requires_grad_() for seed in range(3))
    s = torch.nn.functional.normalize(a) @ torch.nn.functional.normalize(torch.cat([p, n])).t()
    wrong = torch.stack([torch.cat([s[i, :i], s[i, i + 1 :]]).max() for i in range(13)])
    expected = (0.3 - s.diagonal() + wrong).clamp_min(0).mean()
    value = losses.energy_hinge(a, p, n, margin=0.3)
    torch.testing.assert_close(value, expected)
    for found, right in zip(*(torch.autograd.grad(x, [a, p, n]) for x in (value, expected)), strict=True):
        torch.testing.assert_close(found, right)
    with pytest.raises(ValueError, match="energy_hinge needs a wrong sentence"):
        losses.energy_hinge(a[:1], p[:1])


@pytest.mark.parametrize("case", parity("micse"))
def test_attention_of_two_views_as_released(case: ParityCase) -> None:
    a, h = case.load(), case.hyper
    layers, both, heads, t, _ = a["in_attentions"].shape
    views = a["in_attentions"].view(layers, both // 2, 2, heads, t, t).permute(2, 1, 0, 3, 4, 5)
    keys = None
    if h["n"]:
        keys = torch.full((h["rows_total"], layers // 2 * t * t), 0.1).scatter(1, a["in_select"], 1.0)
    value = losses.attention_mutual_information(*views, samples=h["num_samples"], keys=keys)
    torch.testing.assert_close(-value.detach(), a["out_ami_loss"].double(), rtol=1e-6, atol=1e-9)
    contrast = losses.info_nce(a["in_z1"], a["in_z2"], temperature=h["temperature"])
    assert_parity(case, a, h["alpha"] * contrast - h["lam"] * value, rtol=1e-6)


def test_equal_attention_is_finite_and_short_rows_are_left_out() -> None:
    x = draw(2, 2, 3, 5, 5).softmax(-1)
    assert 0 < losses.attention_mutual_information(x, x, samples=20) < 7
    hidden = x.clone()
    hidden[0, :, :, 2:] = 0
    only = losses.attention_mutual_information(x[1:], draw(2, 2, 3, 5, 5, seed=1).softmax(-1)[1:], samples=25)
    both = losses.attention_mutual_information(hidden, draw(2, 2, 3, 5, 5, seed=1).softmax(-1), samples=25)
    torch.testing.assert_close(only, both)
    with pytest.raises(ValueError, match="groups divide 2 layers, got 150 and 3"):
        losses.attention_mutual_information(x, x, groups=3)


@pytest.mark.parametrize("case", parity("listconranker"))
def test_circles_of_lists_as_released(case: ParityCase) -> None:
    a = case.load()
    value = losses.circle_loss(
        a["in_scores"], a["in_positive"], a["in_negative"], margin=case.hyper["m"], scale=case.hyper["gamma"]
    )
    assert_parity(case, a, value, out="mean_valid")


def test_lists_without_a_choice_have_no_loss() -> None:
    s = draw(2, 3).requires_grad_()
    right = torch.tensor([[True, True, True], [False, False, False]])
    value = losses.circle_loss(s, right, ~right, margin=0.25, scale=32.0)
    assert value == 0
    assert not torch.autograd.grad(value, s)[0].any()
    with pytest.raises(TypeError, match=r"positive must be a boolean tensor, got torch\.int64"):
        losses.circle_loss(s, right.long(), ~right, margin=0.25, scale=32.0)


@pytest.mark.parametrize("case", parity("claif"))
def test_weighted_contrast_of_clhaif_is_soft_targets(case: ParityCase) -> None:
    """The release fills a row whose score is 0 with the share of the others, its own positive included: a slip."""
    a, (h, scores) = case.load(), (case.hyper, case.load()["in_scores"][:, 0].detach())
    n = len(scores)
    if h["smooth"] == "no_smooth":
        target = torch.eye(n, 2 * n, dtype=torch.float64)
    else:
        target = torch.diag(scores) @ torch.eye(n, 2 * n, dtype=torch.float64)
        if h["smooth"] == "smooth_all":
            target = torch.where(target == 0, (1 - scores).unsqueeze(1) / (2 * n - 1), target)
    value = losses.info_nce(
        a["in_z1"], torch.cat([a["in_z2"], a["in_z3"]]), soft_targets=target, temperature=h["temperature"]
    )
    assert_parity(case, a, value)


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
        losses.energy_hinge,
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
