"""Losses on labels that are rare, hierarchical, weak, incomplete or of the past: released values and limits."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses import (
    adaptive_pseudo_labels,
    class_scores,
    gcd,
    gml,
    hmlc,
    marginal_entropy_gap,
    masked_hmlc,
    mixed_cross_entropy,
    nt_xent,
    position_weights,
    prior_cross_entropy,
    prototype_separation,
    sbcl,
    semicon,
    supcon,
    sycon,
    sycon_batch,
    vicinal_contrast,
    wsp,
)
from tests.labels.learning import assert_same_on_the_sphere
from tests.parity import ParityCase, assert_parity, parity


def rows(*shape: int, seed: int = 0) -> Tensor:
    found = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return found.requires_grad_()


def total(terms: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(terms.values())).sum()


@pytest.mark.parametrize("case", parity("gml", "gml_loss"))
def test_gml_is_the_released_loss(case: ParityCase) -> None:
    a, hyper = case.load(), case.hyper
    log_temperature = torch.tensor([math.log(hyper["temperature_init"])], dtype=torch.float64, requires_grad=True)
    prior = a["in_cls_num"].double() / a["in_cls_num"].sum()
    own = a["in_q_idx"][:, None] == a["in_k_idx"]
    scores = class_scores(
        a["in_query"], a["in_key"], a["in_k_labels"], len(prior), temperature=hyper["temperature_init"]
    )
    terms = gml(
        a["in_query"],
        a["in_q_labels"],
        a["in_key"],
        a["in_k_labels"],
        prior,
        log_temperature=log_temperature,
        own=own,
    )
    if case.name == "class_without_key":
        assert not torch.isfinite(a["out_loss"])
        value = total(terms)
        assert torch.isfinite(value), "the departure: a class without a key leaves the mean"
        grads = torch.autograd.grad(value, [a["in_query"], a["in_key"], log_temperature])
        assert all(torch.isfinite(g).all() for g in grads)
        return
    unit = bool((a["in_query"].norm(dim=1) - 1).abs().max() < 1e-6)
    assert unit, "the released code takes unit rows"
    torch.testing.assert_close(scores, a["out_class_scores"])
    supervised = prior_cross_entropy(30 * a["in_sup_logits"], a["in_q_labels"], prior)
    value = hyper["gamma"] * supervised + hyper["beta"] * total(terms)
    if hyper["alpha"]:
        student, teacher = (torch.log_softmax(30 * a[f"in_{n}_logits"] / 4, 1) for n in ("sup", "t"))
        value = value + hyper["alpha"] * 16 * F.kl_div(student, teacher, log_target=True, reduction="batchmean")
    torch.testing.assert_close(value, a["out_loss"])
    assert_same_on_the_sphere(value, a["in_query"], a["grad_query"])
    assert_same_on_the_sphere(value, a["in_key"], a["grad_key"])
    for x, name in ((a["in_sup_logits"], "grad_sup_logits"), (log_temperature, "grad_log_T")):
        torch.testing.assert_close(torch.autograd.grad(value, x, retain_graph=True)[0], a[name])


def test_the_number_of_keys_of_a_class_does_not_matter() -> None:
    q, k = rows(5, 4), rows(6, 4, seed=1)
    y = torch.tensor([0, 0, 1, 1, 2, 2])
    once = class_scores(q, k, y, 3, temperature=0.3)
    doubled = torch.cat([k, k[y == 1]]), torch.cat([y, torch.tensor([1, 1])])
    torch.testing.assert_close(class_scores(q, *doubled, 3, temperature=0.3), once)
    one_each = class_scores(q, k[::2], torch.arange(3), 3, temperature=0.3)
    cosines = F.normalize(q, dim=1) @ F.normalize(k[::2], dim=1).T
    torch.testing.assert_close(one_each, cosines / 0.3)


@pytest.mark.parametrize("case", parity("sbcl", "sbcl_loss"))
@pytest.mark.parametrize("rule", ["rank", "ccl"])
def test_sbcl_is_the_released_loss(case: ParityCase, rule: str) -> None:
    a, hyper = case.load(), case.hyper
    f = a["in_features"]
    terms = sbcl(
        f[:, 0],
        f[:, 1],
        a["in_labels"],
        a["in_subclass"],
        a["in_class_temperature"].detach(),
        temperature=hyper["temperature"],
        weight=hyper["weight"],
        first_scale=hyper["temperature"] / hyper["base_temperature"],
        rule=rule,
    )
    value = total(terms)
    torch.testing.assert_close(value, a[f"out_loss_{rule}"])
    assert_same_on_the_sphere(value, f, a[f"grad_features_{rule}"])


@pytest.mark.parametrize("case", parity("hmlc", "hmlc_loss"))
def test_hmlc_is_the_released_loss(case: ParityCase) -> None:
    a, hyper = case.load(), case.hyper
    f = a["in_features"]
    value = hmlc(f[:, 0], f[:, 1], a["in_labels"], base_temperature=0.07, **hyper)
    torch.testing.assert_close(value, a["out_loss"])
    assert_same_on_the_sphere(value, f, a["grad_features"])


def test_masks_of_ones_are_one_supcon_per_level() -> None:
    z1, z2 = rows(6, 4), rows(6, 4, seed=1)
    levels = torch.tensor([[0, 0], [0, 1], [0, 1], [1, 2], [1, 2], [1, 3]])
    ones = torch.ones(4, dtype=torch.float64)
    value = masked_hmlc(z1, z2, levels, [(ones, ones)] * 2)
    expected = [supcon(torch.cat([z1, z2]), y.repeat(2), temperature=0.1) for y in levels.unbind(1)]
    torch.testing.assert_close(value, torch.stack(expected).mean())
    half = torch.tensor([1.0, 1.0, 0.0, 0.0], dtype=torch.float64)
    alone = masked_hmlc(z1, z2, levels, [(half, half), (1 - half, 1 - half)])
    grads = torch.autograd.grad(alone, z1)[0]
    assert grads[:, :2].abs().min() > 0
    assert torch.isfinite(masked_hmlc(z1, z2, levels, [(half, half)] * 2, balance=True))
    with pytest.raises(ValueError, match="masks must be 2"):
        masked_hmlc(z1, z2, levels, [(ones, ones)])
    with pytest.raises(ValueError, match="L at least 2"):
        hmlc(z1, z2, levels[:, :1])


@pytest.mark.parametrize("case", parity("wsp", "wsp_loss"))
@pytest.mark.parametrize("normalise", ["row", "column"])
def test_wsp_is_the_released_loss(case: ParityCase, normalise: str) -> None:
    a = case.load()
    hyper = {name: case.hyper[name] for name in ("sigma", "temperature", "kernel")}
    value = wsp(a["in_z1"], a["in_z2"], a["in_labels"], a["in_position"].detach(), normalise=normalise, **hyper)
    torch.testing.assert_close(value, a[f"out_loss_{normalise}"])
    found = torch.autograd.grad(value, [a["in_z1"], a["in_z2"]])
    for own, name in zip(found, ("z1", "z2"), strict=True):
        torch.testing.assert_close(own, a[f"grad_{name}_{normalise}"])


def test_wsp_has_supcon_and_simclr_as_limits() -> None:
    z1, z2, d = rows(6, 4), rows(6, 4, seed=1), rows(6, 1, seed=2).detach()
    y = torch.tensor([0, 0, 1, 1, 1, 2])
    wide = wsp(z1, z2, y, d, sigma=1e6)
    torch.testing.assert_close(wide, 2 * supcon(torch.cat([z1, z2]), y.repeat(2), temperature=0.1))
    torch.testing.assert_close(wsp(z1, z2, torch.arange(6), d, sigma=0.5), 2 * nt_xent(z1, z2, temperature=0.1))
    assert position_weights(y, d, sigma=0.5).diagonal().tolist() == [1.0] * 6
    with pytest.raises(ValueError, match="sigma"):
        wsp(z1, z2, y, d, sigma=0.0)


@pytest.mark.parametrize("case", parity("gcd", "gcd_loss"))
def test_gcd_is_the_released_loss(case: ParityCase) -> None:
    a, hyper = case.load(), case.hyper
    z1, z2 = a["in_z"].chunk(2)
    labels = torch.where(a["in_labelled"], a["in_labels"], -1)
    terms = gcd(
        z1,
        z2,
        labels,
        weight_labelled=hyper["weight_sup"],
        temperature=hyper["tau_unsup"],
        temperature_labelled=hyper["tau_sup"],
    )
    torch.testing.assert_close(terms["views"], (1 - hyper["weight_sup"]) * a["out_unsup"])
    torch.testing.assert_close(terms["classes"], hyper["weight_sup"] * a["out_sup"])
    assert_parity(case, a, total(terms), rtol=1e-7)
    blind = gcd(z1, z2, torch.full_like(labels, -1))
    assert float(blind["classes"]) == 0.0


@pytest.mark.parametrize("case", parity("semicon", "semicon_loss"))
def test_semicon_is_the_released_loss(case: ParityCase) -> None:
    a = case.load()
    f, memory = a["in_features"], a["in_memory_labels"]
    labels = torch.cat([memory, torch.full((len(f) - len(memory),), -1)])
    value = semicon(f[:, 0], f[:, 1], labels, alpha=case.hyper["alpha"], temperature=case.hyper["temperature"])
    torch.testing.assert_close(value, a["out_loss"])
    assert_same_on_the_sphere(value, f, a["grad_features"])


@pytest.mark.parametrize("case", parity("protogcd", "adaptive_pseudo_label"))
def test_adaptive_pseudo_labels_are_the_released_ones(case: ParityCase) -> None:
    a = case.load()
    share = float(a["out_ratio"])
    value = adaptive_pseudo_labels(*a["in_logits"].chunk(2), share=share)
    assert_parity(case, a, value, rtol=1e-7)


@pytest.mark.parametrize("case", parity("protogcd", "entropy_and_separation"))
def test_entropy_and_separation_are_the_released_ones(case: ParityCase) -> None:
    a = case.load()
    gap = marginal_entropy_gap(a["in_logits"])
    torch.testing.assert_close(gap, a["out_entropy_loss"], rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(torch.autograd.grad(gap, a["in_logits"])[0], a["grad_logits"], rtol=1e-5, atol=1e-7)
    apart = prototype_separation(a["in_prototypes"])
    torch.testing.assert_close(apart, a["out_separation_loss"])
    assert_same_on_the_sphere(apart, a["in_prototypes"], a["grad_prototypes"])
    used_alike = torch.eye(4, dtype=torch.float64) * 50
    assert float(marginal_entropy_gap(used_alike)) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("case", parity("sy-con", "sycon_moco"))
def test_sycon_with_queues_is_the_released_loss(case: ParityCase) -> None:
    a, hyper = case.load(), case.hyper
    found: dict[str, list[Tensor]] = {"plasticity": [], "stability": []}
    for own, other in ((1, 2), (2, 1)):
        negatives = torch.cat([a["in_queue"][other - 1].T, a["in_queue_frozen"][other - 1].T])
        keys = a[f"in_k{other}"].detach()
        terms = sycon(
            a[f"in_q{own}"],
            keys,
            a[f"in_p{own}"],
            a[f"in_f{own}"].detach(),
            negatives.detach(),
            temperature=hyper["temperature"],
            former_temperature=hyper["distill_temperature"],
        )
        for name, value in terms.items():
            found[name].append(value)
    sums = {name: torch.stack(values).mean() for name, values in found.items()}
    for name, value in sums.items():
        torch.testing.assert_close(value, a[f"out_{name}"])
    value = total(sums)
    torch.testing.assert_close(value, a["out_loss"])
    for name in ("q1", "q2", "p1", "p2"):
        assert_same_on_the_sphere(value, a[f"in_{name}"], a[f"grad_{name}"])


@pytest.mark.parametrize("case", parity("sy-con", "sycon_simclr"))
def test_sycon_in_the_batch_is_the_released_loss(case: ParityCase) -> None:
    a = case.load()
    pairs = [(a[f"in_{n}1"], a[f"in_{n}2"]) for n in ("z", "p", "f")]
    value = total(sycon_batch(*pairs, temperature=case.hyper["temperature"]))
    assert_parity(case, a, value, rtol=1e-7)


@pytest.mark.parametrize("case", parity("covi", "covi_step"))
def test_covi_is_the_released_step(case: ParityCase) -> None:
    a = case.load()
    w, b, xs, xt, ys = (a[f"in_{n}"] for n in ("weight", "bias", "x_s", "x_t", "y_s"))

    def f(share: Tensor | float, target: Tensor = xt) -> Tensor:
        return (share * xs + (1 - share) * target) @ w.T + b

    yt = f(0.0).argmax(1)
    r = a["out_ratio"].detach()
    balanced = mixed_cross_entropy(f(r[:, None]), ys, yt, r).mean()
    torch.testing.assert_close(balanced, a["out_emp"], rtol=1e-5, atol=1e-6)
    value = balanced
    kept = a["out_kept"]
    if kept.any():
        up, low = r + 0.1, r - 0.1
        value = value + vicinal_contrast(
            f(up[:, None])[kept], f(low[:, None])[kept], ys[kept], yt[kept], (up[kept], low[kept])
        )
    agreed = [F.cross_entropy(f(0.9, x), ys) for x in (xt, xt[a["in_perm"]])]
    torch.testing.assert_close(torch.stack(agreed).mean(), a["out_consensus"], rtol=1e-5, atol=1e-6)
    value = value + torch.stack(agreed).mean()
    assert float(value) == pytest.approx(float(a["out_total"]), rel=1e-5)
    for x, name in ((w, "grad_weight"), (b, "grad_bias")):
        torch.testing.assert_close(torch.autograd.grad(value, x, retain_graph=True)[0], a[name], rtol=1e-4, atol=1e-5)


LOSSES = {
    "gml": lambda z1, z2, y: gml(
        z1,
        y,
        z2,
        y.roll(1),
        torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64),
        log_temperature=torch.tensor(-1.0, dtype=torch.float64),
    )["contrast"],
    "sbcl": lambda z1, z2, y: total(
        sbcl(z1, z2, y, torch.tensor([0, 1, 2, 2, 3, 4]), torch.tensor([0.1, 0.2, 0.3]), temperature=0.5)
    ),
    "hmlc": lambda z1, z2, y: hmlc(z1, z2, torch.stack([y // 2, y], 1), temperature=0.5, kind="hmc"),
    "wsp": lambda z1, z2, y: wsp(z1, z2, y, torch.arange(6.0)[:, None], sigma=2.0, temperature=0.5),
    "semicon": lambda z1, z2, y: semicon(z1, z2, torch.where(y > 1, -1, y), alpha=0.5, temperature=0.5),
    "gcd": lambda z1, z2, y: total(gcd(z1, z2, torch.where(y > 1, -1, y), temperature_labelled=0.5)),
    "separation": lambda z1, z2, y: prototype_separation(torch.cat([z1, z2]), temperature=0.5),
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_finite_differences_and_scale_does_not_matter(name: str) -> None:
    loss, y = LOSSES[name], torch.tensor([0, 0, 1, 1, 2, 2])
    z1, z2 = rows(6, 3), rows(6, 3, seed=1)
    assert torch.autograd.gradcheck(lambda a, b: loss(a, b, y), (z1, z2))
    torch.testing.assert_close(loss(3 * z1, 0.5 * z2, y), loss(z1, z2, y))
    turn = torch.linalg.qr(rows(3, 3, seed=2).detach())[0]
    torch.testing.assert_close(loss(z1 @ turn, z2 @ turn, y), loss(z1, z2, y))
