"""Losses of embeddings, one row for each example: contrast, alignment and assignments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from nearfar import losses
from nearfar.losses.alignment.entropy import ESTIMATORS
from nearfar.losses.contrast.adaptive import NEGATIVES
from nearfar.losses.contrast.polyview import VARIANTS
from nearfar.losses.engine import proxy
from tests.losses import reference, reference_views
from tests.losses.registry import ROWS, WIDTH, Case, draw, total, value_and_gradients

__all__ = [
    "BLOCKED", "CASES", "LABELS", "PLAIN", "ROWS", "SOFTMAX", "WIDTH", "Case", "close", "total", "value_and_gradients",
]  # fmt: skip

RANDOM = torch.rand(ROWS, ROWS, generator=torch.Generator().manual_seed(4))
LABELS = torch.tensor([3, 3, -1, 7, 3, 7, 7, 0, 0, 3, 0, 7, 12])


def case(name: str, loss: Callable, slow: Callable, inputs: int, spare: int = 0, **options: object) -> Case:
    return Case(name, partial(loss, **options), partial(slow, **options), inputs, spare)


def queue(loss: Callable) -> Callable:
    return lambda q, k, negatives, **options: loss(q, k, negatives=negatives, **options)


def everything(loss: Callable) -> Callable:
    return lambda q, k, hard, negatives, **options: loss(q, k, hard_negatives=hard, negatives=negatives, **options)


def labelled(loss: Callable) -> Callable:
    return lambda features, **options: loss(features, LABELS, **options)


def own_negatives(loss: Callable) -> Callable:
    return lambda q, k, first, second, **options: loss(q, k, own_negatives=torch.stack([first, second], 1), **options)


def crops(loss: Callable) -> Callable:
    return lambda o1, o2, small, t1, t2, **options: loss([o1, o2, small], [t1, t2], **options)


def many(loss: Callable) -> Callable:
    return lambda *views, **options: loss(views, **options)


def on_keys(loss: Callable) -> Callable:
    return lambda q1, q2, k1, k2, *queue, **options: loss([q1, q2], [k1, k2], *queue, **options)


def pair(name: str, inputs: int, spare: int = 0, wrap: Callable = lambda f: f, fn: str = "", **options: object) -> Case:
    """A loss whose slow version has the same name."""
    fn = fn or name
    return case(name, wrap(getattr(losses, fn)), wrap(getattr(reference, fn)), inputs, spare, **options)


def more(name: str, inputs: int, wrap: Callable = lambda f: f, **options: object) -> Case:
    """The same for the slow versions of many views, mixtures and hard pairs."""
    fn = name.split()[0]
    return case(name, wrap(getattr(losses, fn)), wrap(getattr(reference_views, fn)), inputs, **options)


# Losses with a temperature.
SOFTMAX = [
    pair("info_nce", 2),
    pair("info_nce symmetric", 2, fn="info_nce", symmetric=True),
    pair("info_nce raw", 2, fn="info_nce", normalize=False),
    pair("info_nce queue", 2, 1, queue, "info_nce", in_batch=False),
    pair("info_nce everything", 3, 1, everything, "info_nce", hard_negative_bias=-1.5, symmetric=True),
    pair("symmetric_info_nce", 2),
    pair("nt_xent", 2),
    pair("grace", 2),
    pair("grace inter", 2, fn="grace", intra=False),
    pair("supcon", 1, wrap=labelled),
    pair("supcon skip", 1, wrap=labelled, fn="supcon", on_empty="skip", base_temperature=0.07),
    pair("sigmoid_pair_loss", 2, bias=-3.0),
    *(pair(f"relic {mode}", 4, fn="relic", alpha=0.7, kl_mode=mode) for mode in proxy.KL_MODES),
    pair("relic alpha 0", 4, fn="relic", alpha=0),
    *(
        pair(f"relic_multicrop {mode}", 5, wrap=crops, fn="relic_multicrop", alpha=0.7, kl_mode=mode)
        for mode in proxy.KL_MODES
    ),
    *(more(f"poly_view {v}", 4, many, variant=v) for v in VARIANTS),
    pair("relic_multicrop others", 5, wrap=crops, fn="relic_multicrop", alpha=2.0, include_same_crop=False),
    pair("nt_xent raw", 2, fn="nt_xent", normalize=False),
    pair("nt_xent decoupled", 2, fn="nt_xent", decoupled=True),
    pair("symmetric_info_nce raw", 2, normalize=False, fn="symmetric_info_nce"),
    pair("symmetric_info_nce decoupled", 2, fn="symmetric_info_nce", decoupled=True),
    pair("info_nce own", 4, wrap=own_negatives, fn="info_nce"),
    pair("info_nce soft", 1, 1, fn="info_nce", soft_targets=draw(ROWS, 17).softmax(1)),
    pair("sigmoid_pair_loss raw", 2, fn="sigmoid_pair_loss", bias=-3.0, normalize=False),
    pair("supcon raw", 1, wrap=labelled, fn="supcon", normalize=False, anchor_weights=RANDOM[0]),
    pair("supcon mask", 1, fn="supcon", mask=RANDOM > 0.7, base_temperature=0.2),
    pair("supcon weights", 1, fn="supcon", weights=RANDOM * (RANDOM > 0.5), on_empty="skip"),
    pair("weighted_supcon", 1, 1, weights=draw(ROWS, 17, seed=6).abs(), divide_by="count"),
]
# The same of rows in blocks: no part of them comes from tiles.
BLOCKED = [
    pair("info_nce decoupled own", 4, wrap=own_negatives, fn="info_nce", in_batch=False, decoupled=True),
    pair("info_nce target", 1, 1, fn="info_nce", target=torch.arange(ROWS) % 5),
    pair("info_nce decoupled target", 1, 1, fn="info_nce", target=torch.arange(ROWS) % 5, decoupled=True),
    pair("supcon denominator", 1, wrap=labelled, fn="supcon", denominator=RANDOM > 0.2),
    pair(
        "weighted_supcon denominator",
        1,
        1,
        fn="weighted_supcon",
        weights=draw(ROWS, 17, seed=6) > 0.5,
        denominator=draw(ROWS, 17, seed=5) > -0.5,
        divide_by="none",
        anchor_weights=RANDOM[1],
    ),
]
# Losses without one.
PLAIN = [
    pair("negative_cosine", 2),
    pair("byol_regression", 4),
    pair("barlow_twins", 2, lambd=0.01),
    pair("vicreg", 2, invariance=2.0, variance=3.0, covariance=0.5),
    more("mixed_barlow_twins", 4, share=0.3, lambd=0.05, weight=2.0),
    more("cacr", 3, many, tau_pos=2.0, tau_neg=3.0, alpha=0.7, beta=1.3),
    case(
        "cacr_queue",
        on_keys(losses.cacr_queue),
        on_keys(reference_views.cacr_queue),
        4,
        1,
        tau_pos=1.2,
        tau_neg=0.8,
        alpha=0.7,
        beta=1.3,
    ),
    *(more(f"cacr_keys {cost}", 4, on_keys, temperature=0.4, cost=cost) for cost in ("rbf", "euclidean")),
    *(more(f"amcl {how}", 4, low=0.2, high=1.5, beta=0.3, negatives=how) for how in NEGATIVES),
    *(more(f"vmf_entropy {how}", 1, kappa=2.0, estimator=how) for how in ESTIMATORS),
    more("vmf_reconstruction", 2, kappa=7.0),
    more("mixed_barlow_twins raw", 4, share=0.8, lambd=0.05, weight=2.0, normalize=False),
]


def close(a: Tensor, b: Tensor) -> None:
    """Equal up to float64 rounding."""
    torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def distributions(loss: Callable) -> Callable:
    return lambda *rows: loss(*(x.softmax(1) for x in rows))


def predicted_codes(loss: Callable) -> Callable:
    codes = [draw(ROWS, WIDTH, seed=seed).softmax(1) for seed in (1, 2)]
    return lambda *scores: loss(scores, codes, temperature=0.3)


# Losses of other rows than embeddings, and measurements.
OTHERS = [
    case(
        "rotational_equivariance",
        losses.rotational_equivariance,
        reference_views.rotational_equivariance,
        2,
        group_size=ROWS,
    ),
    Case(
        "discrete_entropy", distributions(losses.discrete_entropy), distributions(reference_views.discrete_entropy), 1
    ),
    Case(
        "discrete_reconstruction",
        distributions(losses.discrete_reconstruction),
        distributions(reference_views.discrete_reconstruction),
        2,
    ),
    Case(
        "bag_divergence",
        lambda x, y: losses.bag_divergence(x, y.detach().softmax(1)),
        lambda x, y: reference_views.bag_divergence(x, y.detach().softmax(1)),
        2,
    ),
    Case(
        "swapped_prediction",
        predicted_codes(losses.swapped_prediction),
        predicted_codes(reference_views.swapped_prediction),
        3,
    ),
    case("sinkhorn", losses.sinkhorn, reference_views.sinkhorn, 1, epsilon=0.5),
    case("relic_kl", losses.relic_kl, reference_views.relic_kl, 4, temperature=0.3),
]
CASES = (*(replace(case, tempered=True) for case in (*SOFTMAX, *BLOCKED)), *PLAIN, *OTHERS)
