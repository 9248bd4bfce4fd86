"""What must hold whatever the numbers are: invariances, identities between losses, edges."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

from nearfar import losses
from nearfar.losses.engine import proxy
from tests.losses.cases import LABELS, PLAIN, ROWS, SOFTMAX, WIDTH, Case, close, total

TAU = 0.1
EVERY = [*SOFTMAX, *PLAIN]
STATISTICS = ("barlow_twins", "vicreg", "mixed_barlow_twins")
WITH_SCORES = ("amcl max", "amcl logsumexp")  # whose length means something
ANGULAR = [case for case in EVERY if not case.name.endswith(" raw") and case.name not in (*STATISTICS, *WITH_SCORES)]
VIEWS = [
    "info_nce symmetric",
    "symmetric_info_nce",
    "nt_xent",
    "grace",
    "grace inter",
    "sigmoid_pair_loss",
    "barlow_twins",
    "vicreg",
]


# Their weights belong to places, not to rows.
PLACED = ("info_nce soft", "supcon raw", "supcon mask", "supcon weights", "weighted_supcon")


def evaluate(case: Case, inputs: list[Tensor]) -> Tensor:
    return total(case.loss(*inputs, **({"temperature": TAU} if case in SOFTMAX else {})))


@pytest.mark.parametrize("case", [case for case in EVERY if case.name not in PLACED], ids=str)
@pytest.mark.usefixtures("tiny_tiles")
def test_row_permutation(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = case.data(torch.float64)
    before = evaluate(case, inputs)
    order = torch.randperm(ROWS, generator=torch.Generator().manual_seed(1))
    monkeypatch.setattr("tests.losses.cases.LABELS", LABELS[order])
    close(evaluate(case, [x[order] if len(x) == ROWS else x for x in inputs]), before)


@pytest.mark.parametrize("case", ANGULAR, ids=str)
def test_rotation_and_row_length(case: Case) -> None:
    inputs = case.data(torch.float64)
    rotation = torch.linalg.qr(torch.randn(WIDTH, WIDTH, dtype=torch.float64)).Q
    before = evaluate(case, inputs)
    close(evaluate(case, [x @ rotation for x in inputs]), before)
    lengths = torch.rand(ROWS + 4, 1, dtype=torch.float64) * 100 + 1e-3
    close(evaluate(case, [x * lengths[: len(x)] for x in inputs]), before)


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.usefixtures("tiny_tiles")
def test_swapped_views(name: str) -> None:
    case = next(c for c in EVERY if c.name == name)
    a, b = case.data(torch.float64)
    close(evaluate(case, [b, a]), evaluate(case, [a, b]))


@pytest.mark.parametrize("mode", proxy.KL_MODES)
def test_swapped_views_of_relic_and_byol(rows: list[Tensor], mode: str) -> None:
    o1, o2, t1, t2, _ = rows
    for loss in (partial(losses.relic, temperature=TAU, alpha=2.0, kl_mode=mode), losses.byol_regression):
        close(total(loss(o2, o1, t2, t1)), total(loss(o1, o2, t1, t2)))


@pytest.mark.parametrize("case", EVERY, ids=str)
@pytest.mark.usefixtures("tiny_tiles")
def test_zero_rows_and_equal_rows_stay_finite_in_tiles(case: Case) -> None:
    with_zeros = [x.detach().clone() for x in case.data()]
    for x in with_zeros:
        x[2:4] = 0
    for inputs in (with_zeros, [torch.ones_like(x) for x in with_zeros]):
        leaves = [x.clone().requires_grad_() for x in inputs]
        value = evaluate(case, leaves)
        assert value.isfinite()
        value.backward()
        assert all(x.grad is None or x.grad.isfinite().all() for x in leaves)


@pytest.mark.parametrize("case", SOFTMAX, ids=str)
@pytest.mark.usefixtures("tiny_tiles")
def test_a_nan_is_not_hidden_in_tiles(case: Case) -> None:
    inputs = [x.detach().clone() for x in case.data()]
    inputs[0][4, 3] = float("nan")
    assert evaluate(case, inputs).isnan()


@pytest.mark.parametrize("case", EVERY, ids=str)
def test_the_inputs_are_left_alone(case: Case) -> None:
    inputs = case.data()
    copies = [x.detach().clone() for x in inputs]
    evaluate(case, inputs).backward()
    assert all(torch.equal(x, copy) for x, copy in zip(inputs, copies, strict=True))


def test_second_backward_over_a_kept_graph_is_the_same(rows: list[Tensor]) -> None:
    a, b = (x.requires_grad_() for x in rows[:2])
    for loss in (losses.nt_xent, losses.symmetric_info_nce, losses.info_nce):
        for temperature in (0.005, 0.1):
            value = loss(a, b, temperature=temperature)
            first = torch.autograd.grad(value, (a, b), retain_graph=True)
            assert all(map(torch.equal, first, torch.autograd.grad(value, (a, b))))


# Identities


def test_grace_is_nt_xent_over_both_copies(rows: list[Tensor]) -> None:
    u, v = rows[:2]
    close(losses.grace(u, v, temperature=0.4), losses.nt_xent(u, v, temperature=0.4))


def test_supcon_with_one_label_per_pair_is_nt_xent(rows: list[Tensor]) -> None:
    a, b = rows[:2]
    labels = torch.arange(ROWS).repeat(2)
    close(losses.supcon(torch.cat((a, b)), labels, temperature=TAU), losses.nt_xent(a, b, temperature=TAU))


def test_supcon_anchors_without_positives(rows: list[Tensor]) -> None:
    x, lonely = rows[0], torch.arange(ROWS)
    for on_empty in ("zero", "skip"):
        leaf = x.clone().requires_grad_()
        loss = losses.supcon(leaf, lonely, temperature=TAU, on_empty=on_empty)
        loss.backward()
        assert loss == 0
        assert torch.equal(leaf.grad, torch.zeros_like(x))
    assert losses.supcon(x[:1], lonely[:1], temperature=TAU) == 0
    counted = losses.supcon(x, LABELS, temperature=TAU, on_empty="zero") * ROWS
    alone = sum(int((label == LABELS).sum()) == 1 for label in LABELS)
    close(losses.supcon(x, LABELS, temperature=TAU, on_empty="skip") * (ROWS - alone), counted)


def test_reduction_none(rows: list[Tensor]) -> None:
    a, b = rows[:2]
    for loss, count in ((losses.nt_xent, 2 * ROWS), (losses.info_nce, ROWS)):
        each = loss(a, b, temperature=TAU, reduction="none")
        assert each.shape == (count,)
        close(each.mean(), loss(a, b, temperature=TAU))
    by_view = losses.nt_xent(a, b, temperature=TAU, reduction="none").view(2, -1)
    swapped = losses.nt_xent(b, a, temperature=TAU, reduction="none").view(2, -1)
    close(by_view, swapped.flip(0))


def test_queue_replaces_the_batch(rows: list[Tensor]) -> None:
    q, k, old = rows[:3]
    with_both = losses.info_nce(q, k, negatives=old, temperature=TAU)
    assert with_both > losses.info_nce(q, k, negatives=old, in_batch=False, temperature=TAU)
    one = losses.info_nce(q[:1], k[:1], negatives=k[1:], in_batch=False, temperature=TAU)
    close(one, losses.info_nce(q, k, temperature=TAU, reduction="none")[0])


def test_hard_negative_bias_touches_only_the_own_column(rows: list[Tensor]) -> None:
    q, k, hard = rows[:3]
    plain = losses.info_nce(q, k, negatives=hard, temperature=TAU, reduction="none")
    close(losses.info_nce(q, k, hard_negatives=hard, temperature=TAU, reduction="none"), plain)
    removed = losses.info_nce(q, k, hard_negatives=hard, hard_negative_bias=-1e4, temperature=TAU, reduction="none")
    others = torch.cat((hard[1:], hard[:0]))
    close(removed[0], losses.info_nce(q, k, negatives=others, temperature=TAU, reduction="none")[0])
    assert (removed < plain).all()


@pytest.mark.parametrize("loss", [losses.nt_xent, losses.info_nce, losses.symmetric_info_nce])
@pytest.mark.parametrize("temperature", [0.005, 0.1])
def test_a_batch_of_one_has_nothing_to_tell_apart(loss, temperature: float) -> None:
    a, b = (torch.randn(1, 4, requires_grad=True) for _ in range(2))
    value = loss(a, b, temperature=temperature)
    value.backward()
    assert value == 0
    assert not a.grad.any()
    assert not b.grad.any()


# Losses without negatives


def test_byol_floors_the_sum_of_squares() -> None:
    p, t = torch.zeros(1, 4, requires_grad=True), torch.ones(1, 4)
    half = losses.byol_regression(p, t, t, t)
    assert half == 1
    half.backward()
    assert 1e5 < p.grad.norm() < 1e7


def test_ranges_of_the_regressions(rows: list[Tensor]) -> None:
    x = rows[0]
    close(losses.negative_cosine(x, 3 * x), torch.tensor(-1.0, dtype=torch.float64))
    close(losses.byol_regression(x, x, -x, -x), torch.tensor(8.0, dtype=torch.float64))


def test_barlow_twins_of_white_equal_views_is_zero() -> None:
    x = torch.linalg.qr(torch.randn(40, 8, dtype=torch.float64)).Q
    x = torch.linalg.qr(x - x.mean(0)).Q * 40**0.5
    assert losses.barlow_twins(x, x, lambd=1.0) < 1e-8
    assert losses.barlow_twins(x, -x, lambd=1.0) > 8


def test_vicreg_terms(rows: list[Tensor]) -> None:
    x = rows[0]
    same = losses.vicreg(x, x)
    assert same["invariance"] == 0
    collapsed = losses.vicreg(torch.ones_like(x), torch.ones_like(x))
    close(collapsed["variance"], torch.tensor(25 * (1 - 1e-2), dtype=torch.float64))
    assert collapsed["covariance"] == 0


# Dense maps


@pytest.mark.parametrize("metric", ["cosine", "l2", "mmd"])
def test_feature_distance_edges(metric: str) -> None:
    a, b = torch.randn(2, 2, 6, 5, 4)
    nothing = torch.zeros(2, 5, 4, dtype=torch.bool)
    assert losses.feature_distance(a, b, metric, nothing) == 0
    assert losses.feature_distance(a, a, metric).abs() < 1e-6
    assert losses.feature_distance(a, b + 1, metric) > 0.01
    flat = torch.ones(2, 6, 5, 4, requires_grad=True)
    losses.feature_distance(flat, flat.detach(), metric).backward()
    assert flat.grad.isfinite().all()


def test_mmd_compares_sets_and_draws_positions() -> None:
    a, b = torch.randn(2, 1, 4, 20, 20)
    shuffled = b.flatten(2)[:, :, torch.randperm(400)].view_as(b)
    generator = torch.Generator().manual_seed(0)
    first = losses.feature_distance(a, b + 1, "mmd", generator=generator)
    assert first != losses.feature_distance(a, b + 1, "mmd", generator=generator)
    assert first == losses.feature_distance(a, b + 1, "mmd", generator=generator.manual_seed(0))
    small = (slice(None), slice(None), slice(0, 5), slice(0, 5))
    whole = losses.feature_distance(a[small], b[small], "mmd")
    reordered = b[small].flatten(2).flip(2).view_as(b[small])
    torch.testing.assert_close(losses.feature_distance(a[small], reordered, "mmd"), whole)
    assert losses.feature_distance(a, shuffled, "cosine") != losses.feature_distance(a, b, "cosine")


@pytest.mark.parametrize("bias", [0.0, 0.7])
def test_a_batch_of_one_with_a_hard_negative_has_a_gradient(bias: float) -> None:
    q, k, hard = (torch.randn(1, 4, requires_grad=True) for _ in range(3))
    losses.info_nce(q, k, hard_negatives=hard, hard_negative_bias=bias, temperature=TAU).backward()
    assert all(x.grad.isfinite().all() for x in (q, k, hard))
