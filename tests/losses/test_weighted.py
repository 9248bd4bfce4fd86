"""The weighted kernel: what it is at its corners, its errors, and the released losses that are cases of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from nearfar import losses
from tests.losses.cases import LABELS, ROWS, close
from tests.parity import ParityCase, assert_parity, parity

TAU = 0.3
SAME = LABELS.unsqueeze(1) == LABELS
LABEL_BASE = 0.07


def test_labels_are_a_mask_and_a_mask_is_weights(rows: list[Tensor]) -> None:
    x = rows[0]
    by_labels = losses.supcon(x, LABELS, temperature=TAU)
    close(losses.supcon(x, mask=SAME, temperature=TAU), by_labels)
    close(losses.supcon(x, weights=SAME * 0.3, temperature=TAU), by_labels)
    others = ~torch.eye(ROWS, dtype=torch.bool)
    kernel = losses.weighted_supcon(x, x, SAME & others, temperature=TAU, denominator=others)
    close(kernel, by_labels)
    close(losses.supcon(x, LABELS, denominator=others, temperature=TAU), by_labels)


def test_a_twin_as_the_only_positive_is_nt_xent(rows: list[Tensor]) -> None:
    a, b = rows[:2]
    twin = torch.eye(ROWS, dtype=torch.bool).repeat(2, 2)
    for decoupled in (False, True):
        expected = losses.nt_xent(a, b, temperature=TAU, decoupled=decoupled)
        below = ~torch.eye(2 * ROWS, dtype=torch.bool) if not decoupled else ~twin
        close(losses.supcon(torch.cat((a, b)), mask=twin, denominator=below, temperature=TAU), expected)


def test_temperatures_and_weights_of_anchors(rows: list[Tensor]) -> None:
    x, y = rows[:2]
    weights = torch.rand(ROWS, ROWS)
    tau = torch.linspace(0.1, 0.9, ROWS, dtype=torch.float64, requires_grad=True)
    each = losses.weighted_supcon(x, y, weights, temperature=tau, reduction="none")
    for i in (0, 7, 12):
        one = losses.weighted_supcon(x[i : i + 1], y, weights[i : i + 1], temperature=float(tau[i].detach()))
        close(each[i].detach(), one)
    share = torch.rand(ROWS, dtype=torch.float64)
    close(losses.weighted_supcon(x, y, weights, temperature=tau, anchor_weights=share), (each * share).mean())
    assert torch.autograd.gradcheck(lambda t: losses.weighted_supcon(x, y, weights, temperature=t), tau)


def test_anchors_with_nothing_to_say_count_as_zero(rows: list[Tensor]) -> None:
    x = rows[0].clone().requires_grad_()
    nothing = torch.zeros(ROWS, ROWS, dtype=torch.bool)
    for options in ({"mask": nothing}, {"mask": SAME, "denominator": nothing}):
        for on_empty in ("zero", "skip"):
            loss = losses.supcon(x, temperature=TAU, on_empty=on_empty, **options)  # type: ignore[arg-type]
            (gradient,) = torch.autograd.grad(loss, x)
            assert loss == 0
            assert not gradient.any()
    assert losses.supcon(x[:1], mask=nothing[:1, :1], temperature=TAU) == 0


def test_a_target_is_a_row_of_the_bank(rows: list[Tensor]) -> None:
    q, k = rows[:2]
    order = torch.randperm(ROWS)
    plain = losses.info_nce(q, k, temperature=TAU, reduction="none")
    close(losses.info_nce(q, k[order], target=order.argsort(), temperature=TAU, reduction="none"), plain)
    hot = torch.nn.functional.one_hot(order.argsort())
    close(losses.info_nce(q, k[order], soft_targets=hot, temperature=TAU, reduction="none"), plain)
    own = k.repeat(ROWS, 1, 1)[~torch.eye(ROWS, dtype=torch.bool)].view(ROWS, ROWS - 1, -1)
    close(losses.info_nce(q, k, own_negatives=own, in_batch=False, temperature=TAU, reduction="none"), plain)
    three = losses.info_nce(q[:2], k[:3], target=torch.tensor([2, 2]), temperature=TAU)
    close(three, losses.info_nce(q[:2], k[[2, 2]], negatives=k[:2], in_batch=False, temperature=TAU))


X, Y = torch.randn(2, 6, 4)
MASK = torch.ones(6, 6, dtype=torch.bool)


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({}, ValueError, "exactly one of labels, mask and weights, got none"),
        ({"mask": MASK, "weights": MASK}, ValueError, "got mask and weights"),
        ({"mask": MASK.float()}, TypeError, "mask must be a boolean tensor, got torch.float32; numbers are weights"),
        ({"weights": MASK[:3]}, ValueError, r"weights must have shape \(6, 6\) on cpu"),
        ({"weights": -MASK.float()}, ValueError, "weights must be at least 0, got -1"),
        ({"weights": MASK * float("nan")}, ValueError, "weights must be at least 0, got nan"),
        ({"weights": [[1]]}, TypeError, "weights must be a torch.Tensor, got list"),
        ({"mask": MASK, "denominator": MASK.float()}, TypeError, "denominator must be a boolean tensor"),
        ({"mask": MASK, "denominator": MASK[0]}, ValueError, r"denominator must have shape \(6, 6\)"),
        ({"mask": MASK, "anchor_weights": MASK.float()}, ValueError, r"anchor_weights must have shape \(6,\)"),
        ({"mask": MASK, "anchor_weights": 2.0}, TypeError, "anchor_weights must be a torch.Tensor, got float"),
        ({"mask": MASK, "reduction": "sum"}, ValueError, "reduction must be one of"),
    ],
)
def test_bad_arguments_of_supcon(options: dict[str, Any], error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        losses.supcon(X, temperature=TAU, **options)


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"target": torch.tensor([0, 1, 2, 3, 4, 6])}, ValueError, r"target must lie in \[0, 6\).* got 0 to 6"),
        ({"target": torch.zeros(6)}, TypeError, "target must be a tensor of integers, got torch.float32"),
        ({"target": torch.tensor([1])}, ValueError, r"target must have shape \(6,\)"),
        ({"target": torch.arange(6), "symmetric": True}, ValueError, "exclude each other, symmetric=True"),
        ({"soft_targets": MASK[:, :2]}, ValueError, r"soft_targets must have shape \(6, 6\)"),
        ({"soft_targets": MASK, "decoupled": True}, ValueError, "soft_targets have none"),
        ({"own_negatives": Y}, ValueError, r"own_negatives must have shape \(N, K, D\) = \(6, K, 4\), got \(6, 4\)"),
        ({"own_negatives": torch.ones(6, 2, 4, dtype=torch.long)}, TypeError, "own_negatives must have a floating"),
    ],
)
def test_bad_arguments_of_info_nce(options: dict[str, Any], error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        losses.info_nce(X, Y, temperature=TAU, **options)


def test_other_bad_arguments() -> None:
    with pytest.raises(ValueError, match="needs at least one negative, got one pair"):
        losses.nt_xent(X[:1], Y[:1], temperature=TAU, decoupled=True)
    with pytest.raises(ValueError, match="needs at least one negative, got one key"):
        losses.info_nce(X[:1], Y[:1], temperature=TAU, decoupled=True)
    with pytest.raises(ValueError, match="a row of contrast for each anchor, got 3 for 6"):
        losses.weighted_supcon(X, Y[:3], MASK[:, :3], temperature=TAU, exclude_self=True)
    with pytest.raises(ValueError, match="divide_by must be one of 'weight', 'count', 'none', got 'sum'"):
        losses.weighted_supcon(X, Y, MASK, temperature=TAU, divide_by="sum")
    with pytest.raises(ValueError, match=r"or \(6,\) floating-point numbers, one for each anchor"):
        losses.weighted_supcon(X, Y, MASK, temperature=torch.ones(3))
    with pytest.raises(ValueError, match="temperature must be greater than 0, got -1"):
        losses.weighted_supcon(X, Y, MASK, temperature=-torch.ones(6))


# Released code. "Plain" cases leave out the factor temperature / 0.07 that the release multiplies by.


def stacked(features: Tensor) -> Tensor:
    """(B, V, D) as the releases stack it, view after view."""
    return features.transpose(0, 1).flatten(0, 1)


@pytest.mark.parametrize("case", parity("supcon", "supcon_loss"))
def test_supcon_of_the_release(case: ParityCase) -> None:
    arrays = case.load()
    labels = arrays["in_labels"].repeat(arrays["in_features"].shape[1])
    tau, base = case.hyper["temperature"], case.hyper["base_temperature"]
    loss = losses.supcon(stacked(arrays["in_features"]), labels, temperature=tau, base_temperature=base)
    assert_parity(case, {**arrays, "grad_features": along_the_sphere(arrays)}, loss)
    plain = losses.supcon(stacked(arrays["in_features"]), labels, temperature=tau)
    close(plain.detach(), arrays["out_loss_plain"])


def along_the_sphere(arrays: dict[str, Tensor], name: str = "grad_features") -> Tensor:
    """The part of a gradient at normalised rows that the normalisation inside lets through."""
    x, gradient = arrays["in_features"].detach(), arrays[name]
    return gradient - (gradient * x).sum(-1, keepdim=True) * x / x.square().sum(-1, keepdim=True)


@pytest.mark.parametrize("case", parity("sbcl", "sbcl_loss"))
@pytest.mark.parametrize("rule", ["rank", "ccl"])
def test_sbcl_of_the_release(case: ParityCase, rule: str) -> None:
    arrays = case.load()
    x, tau, factor = stacked(arrays["in_features"]), case.hyper["temperature"], case.hyper["temperature"] / LABEL_BASE
    y, sub = (arrays[f"in_{name}"].repeat(2) for name in ("labels", "subclass"))
    twin = torch.eye(len(y) // 2, dtype=torch.bool).repeat(2, 2)
    first = losses.supcon(x, sub, temperature=tau) * factor
    if rule == "ccl":
        second = losses.supcon(x, y, temperature=tau)
    else:
        other = sub.unsqueeze(1) != sub
        per_class = arrays["in_class_temperature"].detach()[y]
        second = losses.weighted_supcon(
            x, x, ((y.unsqueeze(1) == y) & other) | twin, temperature=per_class, denominator=other | twin,
            exclude_self=True,
        )  # fmt: skip
    gradient = along_the_sphere(arrays, f"grad_features_{rule}")
    only = {"in_features": arrays["in_features"], "grad_features": gradient, "out_loss": arrays[f"out_loss_{rule}"]}
    assert_parity(case, only, first + case.hyper["weight"] * second)


@pytest.mark.parametrize("case", parity("wsp", "wsp_loss"))
@pytest.mark.parametrize("normalise", ["column", "row"])
def test_wsp_of_the_release(case: ParityCase, normalise: str) -> None:
    arrays = case.load()
    y, d = arrays["in_labels"].repeat(2), arrays["in_position"].detach().repeat(2, 1)
    gap = d.unsqueeze(1) - d
    distance = gap.abs().sum(2) if case.hyper["kernel"] == "laplacian" else gap.square().sum(2)
    weights = torch.exp(-distance / (2 * case.hyper["sigma"] ** 2)) * (y.unsqueeze(1) == y)
    weights = weights * (1 - torch.eye(len(y)))
    if normalise == "column":
        weights = weights / weights.sum(1).clamp_min(1e-30)
    z = torch.cat((arrays["in_z1"], arrays["in_z2"]))
    loss = 2 * losses.weighted_supcon(  # the release divides by N, and this by the 2 N anchors
        z, z, weights, temperature=case.hyper["temperature"], exclude_self=True,
        divide_by="none" if normalise == "column" else "weight",
    )  # fmt: skip
    only = {name: arrays[name] for name in ("in_z1", "in_z2")}
    only |= {f"grad_z{i}": arrays[f"grad_z{i}_{normalise}"] for i in (1, 2)}
    assert_parity(case, {**only, "out_loss": arrays[f"out_loss_{normalise}"]}, loss)


@pytest.mark.parametrize("case", parity("gcd", "gcd_loss"))
def test_gcd_of_the_release(case: ParityCase) -> None:
    arrays = case.load()
    z, n = arrays["in_z"], len(arrays["in_labels"])
    labelled = arrays["in_labelled"].repeat(2)
    free = losses.nt_xent(z[:n], z[n:], temperature=case.hyper["tau_unsup"])
    taught = losses.supcon(z[labelled], arrays["in_labels"].repeat(2)[labelled], temperature=case.hyper["tau_sup"])
    close(taught.detach(), arrays["out_sup"])
    share = case.hyper["weight_sup"]
    assert_parity(case, arrays, (1 - share) * free + share * taught)


@pytest.mark.parametrize("case", parity("semicon", "semicon_loss"))
def test_semicon_of_the_release(case: ParityCase) -> None:
    arrays = case.load()
    memory, n = arrays["in_memory_labels"], len(arrays["in_features"])
    labels = torch.cat((memory, 1000 + torch.arange(n - len(memory)))).repeat(2)
    share = arrays["in_input_weights"].detach().repeat(2)
    x = stacked(arrays["in_features"])
    loss = losses.supcon(x, labels, anchor_weights=share, temperature=case.hyper["temperature"])
    only = {name: arrays[name] for name in ("in_features", "out_loss")}
    assert_parity(case, {**only, "grad_features": along_the_sphere(arrays)}, loss)


@pytest.mark.parametrize("case", parity("ce-gzsl", "instance_loss"))
def test_ce_gzsl_of_the_release(case: ParityCase) -> None:
    arrays = case.load()
    options = {"temperature": case.hyper["temperature"], "on_empty": "skip", "normalize": False}
    assert_parity(case, arrays, losses.supcon(arrays["in_z"], arrays["in_labels"], **options))


@pytest.mark.parametrize("case", parity("hmlc", "hmlc_loss"))
def test_hmlc_of_the_release(case: ParityCase) -> None:
    arrays = case.load()
    x, labels, tau = arrays["in_features"], arrays["in_labels"], case.hyper["temperature"]
    levels = labels.shape[1]
    kept, total, worst = torch.arange(len(x)), x.sum() * 0, torch.tensor(-torch.inf, dtype=x.dtype)
    for level in range(1, levels):
        shown = labels[kept][:, : levels - level]
        same = (shown.unsqueeze(1) == shown).all(2).repeat(2, 2)
        layer = losses.supcon(stacked(x[kept]), mask=same, temperature=tau, base_temperature=LABEL_BASE)
        worst = torch.maximum(worst, layer)
        total = total + (torch.exp(torch.tensor(1 / level)) * worst if case.hyper["kind"] == "hmce" else worst)
        _, where = torch.unique(shown, dim=0, return_inverse=True)
        kept = kept[torch.stack([(where == g).nonzero()[0, 0] for g in range(int(where.max()) + 1)])]
    assert_parity(case, {**arrays, "grad_features": along_the_sphere(arrays)}, total / levels)


@pytest.mark.parametrize("case", parity("sy-con", "sycon_moco"))
def test_two_queues_of_the_release(case: ParityCase) -> None:
    arrays = case.load()
    total = torch.zeros((), dtype=torch.float64)
    for v, other in ((1, 2), (2, 1)):
        bank = torch.cat([arrays[name].detach()[other - 1].t() for name in ("in_queue", "in_queue_frozen")])
        for query, key, tau in (("q", f"k{other}", "temperature"), ("p", f"f{v}", "distill_temperature")):
            total = total + losses.info_nce(
                arrays[f"in_{query}{v}"], arrays[f"in_{key}"].detach(), negatives=bank, in_batch=False,
                temperature=case.hyper[tau], normalize=False,
            ) / 2  # fmt: skip
    assert_parity(case, arrays, total)
