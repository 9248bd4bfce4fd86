"""Losses of pictures, agents and series against released values: the forms and options beyond the founding ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from nearfar import losses
from nearfar.training.optimization import LARC, LARS
from tests.parity import ParityCase, assert_parity, parity

CLOSE: dict[str, Any] = {"rtol": 1e-7, "atol": 1e-9}


def total(terms: dict[str, Tensor]) -> Tensor:
    return torch.stack([*terms.values()]).sum()


def along_the_sphere(found: Tensor, expected: Tensor, rows: Tensor, **close: float) -> None:
    """Gradients, without the part along the rows, which are normalised inside here and not there."""
    unit = rows.detach() / rows.detach().norm(dim=-1, keepdim=True)
    for part in (found, expected):
        assert part.shape == unit.shape
    inside = [g - (g * unit).sum(-1, keepdim=True) * unit for g in (found, expected)]
    torch.testing.assert_close(*inside, **(close or CLOSE))


@pytest.mark.parametrize("case", parity("simclr", "multi_view_supcon_solo"))
def test_positives_inside_the_logarithm(case: ParityCase) -> None:
    """A row without another of its index has an infinite loss there, and here counts 0 or not at all."""
    a = case.load()
    z, index = a["in_z"], a["in_indexes"]
    each = losses.supcon(z, index, temperature=case.hyper["temperature"], inside=True, reduction="none")
    alone = torch.bincount(index)[index] == 1
    if not alone.any():
        assert_parity(case, a, each.mean())
        return
    assert a["out_loss"].isinf()
    assert not each[alone].any()
    skipped = losses.supcon(z, index, temperature=case.hyper["temperature"], inside=True, on_empty="skip")
    torch.testing.assert_close(skipped, each[~alone].mean(), **CLOSE)


@pytest.mark.parametrize("case", parity("amcl", "base_barlow"))
def test_correlation_by_unbiased_deviations(case: ParityCase) -> None:
    """This Barlow Twins divides by N - 1, as that of mixed pictures does."""
    a = case.load()
    z1, z2 = a["in_z1"], a["in_z2"]
    terms = losses.mixed_barlow_twins(
        z1, z2, z1.detach(), z2.detach(), 1.0, lambd=case.hyper["lambd"], weight=0.0, normalize=False
    )
    assert_parity(case, a, terms["barlow"])


@pytest.mark.parametrize("case", parity("amcl", "own_table_losses"))
def test_given_temperatures(case: ParityCase) -> None:
    """All four rows of AMCL's table, heads summed; the nearest negative is the given one."""
    a, h = case.load(), case.hyper
    heads = range(len(a["in_z"]))

    def contrast(candidates: str) -> Tensor:
        names = ("in_z", "in_zp", "in_zn", "in_tp", "in_tn")
        each = [
            losses.tempered_contrast(*(a[n][c] for n in names), beta=h["beta"], candidates=candidates) for c in heads
        ]
        return torch.stack(each).sum()

    def regression() -> Tensor:
        names = ("in_z", "in_zp", "in_h", "in_hp", "in_tp", "in_t2")
        return torch.stack([losses.tempered_regression(*(a[n][c] for n in names), beta=h["beta"]) for c in heads]).sum()

    def correlation() -> Tensor:
        both = [(a["in_corr"][c], a["in_td"][c]) for c in heads]
        return torch.stack([losses.tempered_correlation(*b, lambd=h["lambd"], beta=h["beta"]) for b in both]).sum()

    found = {
        "nt_xent": contrast("negatives"),
        "infonce": contrast("all"),
        "simsiam": regression(),
        "barlow": correlation(),
    }
    for name, value in found.items():
        torch.testing.assert_close(value, a[f"out_{name}"], **CLOSE)
        wanted = {n.removeprefix(f"grad_{name}_"): g for n, g in a.items() if n.startswith(f"grad_{name}_")}
        grads = torch.autograd.grad(value, [a[f"in_{n}"] for n in wanted])
        for grad, expected in zip(grads, wanted.values(), strict=True):
            torch.testing.assert_close(grad, expected, **CLOSE)


def test_given_temperatures_that_do_not_fit() -> None:
    z = torch.ones(3, 4)
    for tau, word in ((torch.zeros(3), "above 0, got 0.0"), (torch.ones(2), r"shape \(3,\), got \(2,\)")):
        with pytest.raises(ValueError, match=word):
            losses.tempered_regression(z, z, z, z, torch.ones(3), tau)
    with pytest.raises(ValueError, match="negatives must have shape"):
        losses.tempered_contrast(z, z, z, torch.ones(3), torch.ones(3, 1))
    with pytest.raises(ValueError, match="square"):
        losses.tempered_correlation(z, z, lambd=0.1)


@pytest.mark.parametrize("case", parity("cacr", "cacr_small_scale"))
def test_attraction_and_repulsion(case: ParityCase) -> None:
    """All the released forms, each half by itself."""
    a, h = case.load(), case.hyper
    weighted = {"full": True, "none": False, "without_w1": "repulsion", "without_w2": "attraction"}[h["choice"]]
    terms = losses.cacr(
        [*a["in_z"]], tau_pos=h["tau_pos"], tau_neg=h["tau_neg"], alpha=h["alpha"], beta=h["beta"],
        weighted=weighted, debias=h["tau_plus"] if h["debiased"] else 0.0,
    )  # fmt: skip
    torch.testing.assert_close(terms["attraction"], a["out_ca"], **CLOSE)
    torch.testing.assert_close(terms["repulsion"], a["out_cr"], **CLOSE)
    for value, name in ((terms["attraction"], "grad_ca_z"), (total(terms), "grad_z")):
        (found,) = torch.autograd.grad(value, a["in_z"], retain_graph=True)
        along_the_sphere(found, a[name], a["in_z"])


@pytest.mark.parametrize(("weighted", "debias"), [(True, 0.1), ("attraction", 0.0), ("repulsion", 0.2), (False, 0.3)])
def test_halves_and_the_debiased_form_are_their_formula(weighted: bool | str, debias: float) -> None:
    views = torch.nn.functional.normalize(
        torch.randn(3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2)), dim=2
    )
    terms = losses.cacr([*views], tau_pos=0.7, tau_neg=1.3, alpha=2.0, beta=0.5, weighted=weighted, debias=debias)
    first, second = ((weighted is True) or weighted == half for half in ("attraction", "repulsion"))
    attraction, repulsion = [], []
    for x in range(3):
        others = [y for y in range(3) if y != x]
        for i in range(4):
            costs = torch.stack([(views[x, i] - views[y, i]).square().sum() for y in others])
            attraction.append((torch.softmax(costs * (0.7 if first else 0.0), 0) * costs).sum())
    for x, y in ((0, 1), (0, 2), (1, 2)):
        for i in range(4):
            costs = torch.stack([(views[x, i] - views[y, j]).square().sum() for j in range(4) if j != i])
            pushed = -0.5 * (torch.softmax(costs * (-1.3 if second else 0.0), 0) * costs).sum()
            own = (views[x, i] - views[y, i]).square().sum()
            repulsion.append((-debias * own + pushed) / (1 - debias))
    torch.testing.assert_close(terms["attraction"], 2 * torch.stack(attraction).mean())
    torch.testing.assert_close(terms["repulsion"], torch.stack(repulsion).mean())


@pytest.mark.parametrize("case", parity("cacr", "cacr_moco_v2"))
def test_attraction_and_repulsion_with_a_queue(case: ParityCase) -> None:
    """The released loss as it is when its cache of the first view's products is cleared: each view its own."""
    a, h = case.load(), case.hyper
    with torch.no_grad():
        moved = [h["m"] * a[f"in_k_{n}"] + (1 - h["m"]) * a[f"in_q_{n}"] for n in ("weight", "bias")]
    queries = [x @ a["in_q_weight"].T + a["in_q_bias"] for x in a["in_x"]]
    keys = [x @ moved[0].T + moved[1] for x in a["in_x"].detach()]
    terms = losses.cacr_queue(
        queries, keys, a["in_queue"].detach().T, tau_pos=h["tau_pos"], tau_neg=h["tau_neg"],
        alpha=h["alpha"], beta=h["beta"], in_batch=h["intra_batch"],
    )  # fmt: skip
    torch.testing.assert_close(terms["attraction"], a["out_loss1"], **CLOSE)
    torch.testing.assert_close(terms["repulsion"], a["out_loss2_fixed"], **CLOSE)
    wanted = ("q_weight", "q_bias")
    found = torch.autograd.grad(total(terms), [a[f"in_{n}"] for n in wanted])
    for name, gradient in zip(wanted, found, strict=True):
        torch.testing.assert_close(gradient, a[f"grad_{name}"], **CLOSE)


@pytest.mark.parametrize("case", parity("cacr", "cacr_moco_v3"))
def test_attraction_and_repulsion_of_keys(case: ParityCase) -> None:
    a, h = case.load(), case.hyper
    queries, keys = [*a["in_q"]], [*a["in_k"]]
    value = losses.cacr_keys(queries, keys, temperature=h["T"], cost=h["cost"])
    torch.testing.assert_close(value, a["out_loss"], **CLOSE)
    one = losses.cacr_keys(queries, keys[:1], temperature=h["T"], cost=h["cost"])
    torch.testing.assert_close(one, a["out_one"], **CLOSE)
    (found,) = torch.autograd.grad(value, a["in_q"])
    torch.testing.assert_close(found, a["grad_q"], **CLOSE)


@pytest.mark.parametrize("case", parity("care", "equivariance_loss"))
def test_one_turn_for_a_group(case: ParityCase) -> None:
    """The released code takes rows as they are, and leaves those that fill no chunk out."""
    a = case.load()
    size = len(a["in_z1"]) // case.hyper["num_chunks"]
    used = size * case.hyper["num_chunks"]
    value = losses.rotational_equivariance(a["in_z1"][:used], a["in_z2"][:used], group_size=size, normalize=False)
    assert_parity(case, a, value)
    lengths = a["in_z1"].detach().norm(dim=1)
    if torch.allclose(lengths, torch.ones_like(lengths)):
        inside = losses.rotational_equivariance(a["in_z1"][:used], a["in_z2"][:used], group_size=size)
        torch.testing.assert_close(inside, a["out_loss"], **CLOSE)


@pytest.mark.parametrize("case", parity("er", "discrete"))
def test_entropies_of_assignments(case: ParityCase) -> None:
    a = case.load()
    p1, p2 = a["in_p1"], a["in_p2"]
    found = {
        "H": losses.discrete_entropy(p1),
        "H_average": losses.discrete_entropy(p1, estimator="average"),
        "rec": losses.discrete_reconstruction(p1, p2),
    }
    for name, value in found.items():
        torch.testing.assert_close(value, a[f"out_{name}"], **CLOSE)
        for rows, own in (("p1", p1), ("p2", p2)):
            if f"grad_{name}_{rows}" in a:
                (gradient,) = torch.autograd.grad(value, own, retain_graph=True)
                torch.testing.assert_close(gradient, a[f"grad_{name}_{rows}"], **CLOSE)


@pytest.mark.parametrize("case", parity("sy-con", "sycon_byol"))
def test_sycon_on_byol(case: ParityCase) -> None:
    """Two of our regressions: predictions meet the past of their own view, and leave that of the other."""
    a, h = case.load(), case.hyper
    p1, p2, f1, f2 = (a[f"in_{n}"] for n in ("p1", "p2", "f1", "f2"))
    positive = h["lamb"] * losses.byol_regression(p1, p2, f2, f1) / 2
    negative = h["negative_lamb"] * losses.byol_regression(p1, p2, f1, f2) / 2
    for name, value in (("positive", positive), ("negative", negative)):
        scale = h["lamb"] if name == "positive" else h["negative_lamb"]
        expected = a[f"out_{name}"]
        assert any(torch.allclose(s * value / scale, expected, rtol=1e-7) for s in (1.0, scale, -scale)), name
    loss = positive - negative
    torch.testing.assert_close(loss, a["out_total"], **CLOSE)
    for name, own in (("p1", p1), ("p2", p2)):
        (found,) = torch.autograd.grad(loss, own, retain_graph=True)
        torch.testing.assert_close(found, a[f"grad_{name}"], **CLOSE)


@pytest.mark.parametrize("case", parity("cpc", "cpc_rl"))
def test_the_codes_that_follow(case: ParityCase) -> None:
    """An InfoNCE of inner products for every offset, over the codes of all runs."""
    a = case.load()
    c, z = a["in_c"], a["in_z"]
    terms = []
    for number, offset in enumerate(case.hyper["offsets"]):
        predicted = c[:, : c.shape[1] - offset] @ a["in_W"][number].T + a["in_b"][number]
        codes = z[:, offset:].flatten(0, 1)
        terms.append(losses.info_nce(predicted.flatten(0, 1), codes, temperature=1.0, normalize=False))
    assert_parity(case, a, torch.stack(terms).sum())


@pytest.mark.parametrize("case", parity("cpc", "cpc_audio"))
def test_the_codes_that_follow_among_drawn_ones(case: ParityCase) -> None:
    """The released draws as each row's own negatives. Its way 0 draws among the targets of each offset; its way 1 once
    among all codes, of which row m of an offset has those of the last rows."""
    a, h = case.load(), case.hyper
    z, steps, width = a["in_z"], a["in_z"].shape[1], a["in_z"].shape[2]
    every = z.flatten(0, 1)
    terms = []
    for k in range(1, h["K"] + 1):
        predicted = a["in_Wc"][:, : steps - k, (k - 1) * width : k * width].flatten(0, 1)
        positives = z[:, k:].flatten(0, 1)
        rows = len(predicted)
        if h["method"] == 0:
            negatives = positives[a["in_neg_index"][k - 1, :, :rows].T]
        else:
            negatives = every[a["in_neg_index"][:, len(every) - rows :].T]
        value = losses.info_nce(
            predicted, positives, own_negatives=negatives, in_batch=False, temperature=1.0, normalize=False
        )
        terms.append(value)
    assert_parity(case, a, torch.stack(terms).mean())


@pytest.mark.parametrize("case", parity("r-mae", "region_loss"))
def test_regions_that_are_soft(case: ParityCase) -> None:
    a = case.load()
    value = losses.masked_regions(
        a["in_logits"], a["in_target"].detach(), a["in_mask"].detach().bool(), background=case.hyper["bg_loss_weight"]
    )
    a = {name: x for name, x in a.items() if name in ("in_logits", "out_loss", "grad_logits")}
    assert_parity(case, a, value)


def stepped(optimizer: Any, values: dict[str, Tensor], a: dict[str, Tensor]) -> None:
    """Two steps with the case's gradients, and the values after each."""
    for step in (1, 2):
        parts = a[f"in_g{step}"].detach().split([p.numel() for p in values.values()])
        for p, gradient in zip(values.values(), parts, strict=True):
            p.grad = gradient.view_as(p).clone()
        optimizer.step()
        for name, p in values.items():
            torch.testing.assert_close(p.detach(), a[f"out_{name}_{step}"], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("case", parity("barlow-twins", "lars_step"))
def test_lars_of_all_tensors(case: ParityCase) -> None:
    a, h = case.load(), case.hyper
    values = {name: a[f"in_{name}"].detach().clone().requires_grad_() for name in ("w", "b", "conv", "zero")}
    everything = not h["filters"]
    optimizer = LARS(
        values.values(), lr=h["lr"], momentum=h["momentum"], weight_decay=h["weight_decay"], trust=h["eta"],
        decay_all=everything, adapt_all=everything,
    )  # fmt: skip
    stepped(optimizer, values, a)


@pytest.mark.parametrize("case", parity("swav", "larc_step"))
def test_larc(case: ParityCase) -> None:
    a, h = case.load(), case.hyper
    values = {name: a[f"in_{name}"].detach().clone().requires_grad_() for name in ("w", "b", "zero")}
    optimizer = LARC(
        values.values(), lr=h["lr"], momentum=h["momentum"], weight_decay=h["weight_decay"], trust=h["trust"]
    )
    stepped(optimizer, values, a)
    assert optimizer.param_groups[0]["weight_decay"] == h["weight_decay"]


def test_inside_the_logarithm_is_its_formula() -> None:
    z = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    labels = torch.tensor([0, 0, 1, 1, 1, 2])
    unit = z / z.norm(dim=1, keepdim=True)
    rows = []
    for i in range(5):
        terms = {j: (unit[i] @ unit[j] / 0.3).exp() for j in range(6) if j != i}
        near = sum(terms[j] for j in terms if labels[j] == labels[i])
        rows.append(-torch.log(near / sum(terms.values())))
    each = losses.supcon(z, labels, temperature=0.3, inside=True, reduction="none")
    torch.testing.assert_close(each, torch.stack([*rows, torch.zeros((), dtype=torch.float64)]))
    same = losses.supcon(z, mask=labels[:, None] == labels, temperature=0.3, inside=True, reduction="none")
    torch.testing.assert_close(same, each)
    assert torch.autograd.gradcheck(lambda x: losses.supcon(x, labels, temperature=0.3, inside=True), z)
    with pytest.raises(ValueError, match="labels or a mask"):
        losses.supcon(z, weights=torch.rand(6, 6), temperature=0.3, inside=True)
