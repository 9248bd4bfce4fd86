"""A wrong argument is named, with its value and with what is accepted."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from nearfar import losses
from tests.losses.registry import total

X, Y = torch.randn(2, 6, 4)
WIDE = torch.randn(6, 5)
LABELS = torch.arange(6) // 2
MAPS = torch.randn(2, 2, 3, 4, 4)

PAIRED: list[tuple[str, Callable]] = [
    ("z1 z2", lambda a, b: losses.nt_xent(a, b, temperature=0.1)),
    ("queries keys", lambda a, b: losses.info_nce(a, b, temperature=0.1)),
    ("queries keys", lambda a, b: losses.symmetric_info_nce(a, b, temperature=0.1)),
    ("u v", lambda a, b: losses.grace(a, b, temperature=0.1)),
    ("online1 online2", lambda a, b: losses.relic(a, b, a, a, temperature=0.1, alpha=1.0)),
    ("online1 online2", lambda a, b: losses.relic_kl(a, b, a, a, temperature=0.1)),
    ("a b", lambda a, b: losses.sigmoid_pair_loss(a, b, temperature=0.1, bias=0.0)),
    ("p z", losses.negative_cosine),
    ("p1 p2", lambda a, b: losses.byol_regression(a, b, a, a)),
    ("z1 z2", lambda a, b: losses.barlow_twins(a, b, lambd=0.1)),
    ("z1 z2", losses.vicreg),
]
TEMPERED: list[Callable] = [
    lambda t: losses.nt_xent(X, Y, temperature=t),
    lambda t: losses.info_nce(X, Y, temperature=t),
    lambda t: losses.grace(X, Y, temperature=t),
    lambda t: losses.relic(X, Y, X, Y, temperature=t, alpha=1.0),
    lambda t: losses.relic(X, Y, X, Y, temperature=t, alpha=0.0),
    lambda t: losses.relic_multicrop([X, Y], [X, Y], temperature=t, alpha=1.0),
    lambda t: losses.supcon(X, LABELS, temperature=t),
    lambda t: losses.sigmoid_pair_loss(X, Y, temperature=t, bias=0.0),
]


@pytest.mark.parametrize(("names", "loss"), PAIRED)
def test_wrong_pairs(names: str, loss: Callable) -> None:
    first, second = names.split()
    with pytest.raises(ValueError, match=rf"{second} has width 5 and {first} has width 4"):
        loss(X, WIDE)
    with pytest.raises(ValueError, match=rf"{second} has shape \(5, 4\) and {first} has shape \(6, 4\)"):
        loss(X, Y[:5])
    with pytest.raises(ValueError, match=rf"{first} must be a matrix \(N, D\), got shape \(6,\)"):
        loss(X[:, 0], Y[:, 0])
    with pytest.raises(ValueError, match=rf"{first} is empty"):
        loss(X[:0], Y[:0])
    with pytest.raises(ValueError, match=rf"{second} is on meta and {first} on cpu"):
        loss(X, Y.to("meta"))
    with pytest.raises(TypeError, match=rf"{second} must have a floating-point dtype, got torch.int64"):
        loss(X, Y.long())
    with pytest.raises(TypeError, match=rf"{second} must be a torch.Tensor, got list"):
        loss(X, Y.tolist())


@pytest.mark.parametrize("loss", TEMPERED)
def test_wrong_temperatures(loss: Callable) -> None:
    for value in (0.0, -0.1, torch.tensor(0.0), torch.tensor(-2.0), torch.tensor(float("nan"))):
        with pytest.raises(ValueError, match=r"temperature must be (greater than 0|finite), got"):
            loss(value)
    for value in (1e-300, torch.tensor(1e-30)):
        with pytest.raises(ValueError, match=r"temperature must be at least 1e-18, got 1"):
            loss(value)
    assert total(loss(1e-18)).isfinite()
    with pytest.raises(ValueError, match=r"temperature must be finite, got inf"):
        loss(float("inf"))
    with pytest.raises(ValueError, match=r"0-d floating-point tensor, got a tensor of shape \(1,\)"):
        loss(torch.tensor([0.1]))
    with pytest.raises(ValueError, match=r"0-d floating-point tensor, got .* dtype torch.int64"):
        loss(torch.tensor(1))
    with pytest.raises(TypeError, match=r"temperature must be a number, got str"):
        loss("0.1")


def test_info_nce_arguments() -> None:
    with pytest.raises(ValueError, match=r"no negatives; pass negatives, hard_negatives or own_negatives"):
        losses.info_nce(X, Y, temperature=0.1, in_batch=False)
    with pytest.raises(ValueError, match=r"symmetric=True needs in_batch=True"):
        losses.info_nce(X, Y, temperature=0.1, in_batch=False, negatives=Y, symmetric=True)
    with pytest.raises(ValueError, match=r"hard_negatives has shape \(3, 4\)"):
        losses.info_nce(X, Y, temperature=0.1, hard_negatives=Y[:3])
    with pytest.raises(ValueError, match=r"negatives has width 5"):
        losses.info_nce(X, Y, temperature=0.1, negatives=WIDE)
    with pytest.raises(ValueError, match=r"reduction must be one of 'mean', 'none', got 'sum'"):
        losses.info_nce(X, Y, temperature=0.1, reduction="sum")
    with pytest.raises(ValueError, match=r"hard_negative_bias must be finite, got nan"):
        losses.info_nce(X, Y, temperature=0.1, hard_negatives=Y, hard_negative_bias=float("nan"))


def test_relic_arguments() -> None:
    with pytest.raises(ValueError, match=r"alpha must be at least 0, got -1"):
        losses.relic(X, Y, X, Y, temperature=0.1, alpha=-1.0)
    with pytest.raises(TypeError, match=r"alpha must be a number, got bool"):
        losses.relic(X, Y, X, Y, temperature=0.1, alpha=True)
    with pytest.raises(ValueError, match=r"kl_mode must be one of 'full', 'sg_entropy', 'sg_target', got 'none'"):
        losses.relic(X, Y, X, Y, temperature=0.1, alpha=1.0, kl_mode="none")
    multicrop = losses.relic_multicrop
    with pytest.raises(ValueError, match=r"got 1 online and 2 target views"):
        multicrop([X], [X, Y], temperature=0.1, alpha=1.0)
    with pytest.raises(ValueError, match=r"got 2 online and 0 target views"):
        multicrop([X, Y], [], temperature=0.1, alpha=1.0)
    with pytest.raises(ValueError, match=r"leave no pair"):
        multicrop([X], [X], temperature=0.1, alpha=1.0, include_same_crop=False)
    for count in (0, 6):
        with pytest.raises(ValueError, match=f"num_negatives must be from 1 to N - 1 = 5, got {count}"):
            multicrop([X, Y], [X, Y], temperature=0.1, alpha=1.0, num_negatives=count)
    with pytest.raises(TypeError, match=r"num_negatives must be an int or None, got float"):
        multicrop([X, Y], [X, Y], temperature=0.1, alpha=1.0, num_negatives=2.0)
    with pytest.raises(ValueError, match=r"target_views\[1\] has shape \(5, 4\)"):
        multicrop([X, Y], [X, Y[:5]], temperature=0.1, alpha=1.0)


def test_supcon_arguments() -> None:
    with pytest.raises(TypeError, match=r"labels must have an integer dtype, got torch.float32"):
        losses.supcon(X, LABELS.float(), temperature=0.1)
    with pytest.raises(TypeError, match=r"labels must be a torch.Tensor, got list"):
        losses.supcon(X, LABELS.tolist(), temperature=0.1)
    with pytest.raises(ValueError, match=r"labels has shape \(3,\) .* shape \(6,\)"):
        losses.supcon(X, LABELS[:3], temperature=0.1)
    with pytest.raises(ValueError, match=r"labels is on meta"):
        losses.supcon(X, LABELS.to("meta"), temperature=0.1)
    with pytest.raises(ValueError, match=r"on_empty must be one of 'zero', 'skip', got 'nan'"):
        losses.supcon(X, LABELS, temperature=0.1, on_empty="nan")
    with pytest.raises(ValueError, match=r"base_temperature must be greater than 0, got 0"):
        losses.supcon(X, LABELS, temperature=0.1, base_temperature=0.0)


def test_other_arguments() -> None:
    with pytest.raises(ValueError, match=r"bias must be a float or a 0-d floating-point tensor, got .*\(2,\)"):
        losses.sigmoid_pair_loss(X, Y, temperature=0.1, bias=torch.zeros(2))
    with pytest.raises(TypeError, match=r"bias must be a number, got NoneType"):
        losses.sigmoid_pair_loss(X, Y, temperature=0.1, bias=None)
    with pytest.raises(ValueError, match=r"lambd must be at least 0, got -1"):
        losses.barlow_twins(X, Y, lambd=-1)
    with pytest.raises(ValueError, match=r"z1 must have at least 2 rows"):
        losses.barlow_twins(X[:1], Y[:1], lambd=1)
    with pytest.raises(ValueError, match=r"z1 must have at least 2 rows"):
        losses.vicreg(X[:1], Y[:1])
    with pytest.raises(ValueError, match=r"covariance must be at least 0, got -2"):
        losses.vicreg(X, Y, covariance=-2)


def test_feature_distance_arguments() -> None:
    a, b = MAPS
    with pytest.raises(ValueError, match=r"one shape \(B, C, h, w\), got \(2, 3, 4, 4\) and \(2, 3, 4, 3\)"):
        losses.feature_distance(a, b[..., :3])
    with pytest.raises(ValueError, match=r"metric must be one of 'cosine', 'l2', 'mmd', got 'l1'"):
        losses.feature_distance(a, b, "l1")
    with pytest.raises(TypeError, match=r"mask must be a boolean tensor, got torch.int64"):
        losses.feature_distance(a, b, mask=torch.ones(2, 4, 4, dtype=torch.long))
    with pytest.raises(ValueError, match=r"mask must have shape \(2, 4, 4\) on cpu like the maps, got \(2, 8, 8\)"):
        losses.feature_distance(a, b, mask=torch.ones(2, 8, 8, dtype=torch.bool))
    with pytest.raises(TypeError, match=r"b must have a floating-point dtype, got torch.int64"):
        losses.feature_distance(a, b.long())
