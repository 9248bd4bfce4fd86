"""Geometry and rank: against formulas written out, closed forms and invariances."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from nearfar.evaluation import (
    alignment,
    alpha_req,
    cka,
    collapsed,
    effective_rank,
    feature_std,
    lidar,
    minibatch_cka,
    participation_ratio,
    rankme,
    separation,
    tolerance,
    uniformity,
)

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 6))
Y = X + 0.3 * rng.normal(size=(40, 6))
Q = np.linalg.qr(rng.normal(size=(6, 6)))[0]


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize("alpha", [1, 2, 3])
def test_alignment_is_the_released_formula(alpha):
    a, b = torch.tensor(unit(X)), torch.tensor(unit(Y))
    assert alignment(X, Y, alpha=alpha) == pytest.approx((a - b).norm(dim=1).pow(alpha).mean().item(), rel=1e-9)
    assert alignment(X, X) == 0
    assert alignment(X, -X) == pytest.approx(4)


@pytest.mark.parametrize("t", [1.0, 2.0, 50.0])
def test_uniformity_is_the_released_formula(t):
    expected = torch.pdist(torch.tensor(unit(X))).pow(2).mul(-t).exp().mean().log().item()
    assert uniformity(X, t=t) == pytest.approx(expected, rel=1e-9)
    raw = torch.pdist(torch.tensor(X)).pow(2).mul(-t).exp().mean().log().item()
    assert uniformity(X, t=t, normalize=False) == pytest.approx(raw, rel=1e-9)


def test_separation_is_the_mean_over_pairs_that_do_not_belong_together():
    x, y = np.random.default_rng(3).normal(size=(2, 9, 4))
    unit = [z / np.linalg.norm(z, axis=1, keepdims=True) for z in (x, y)]
    slow = [((a - b) ** 2).sum() for i, a in enumerate(unit[0]) for j, b in enumerate(unit[1]) if i != j]
    assert separation(x, y) == pytest.approx(np.mean(slow), rel=1e-12)
    assert separation(np.ones((5, 3)), np.ones((5, 3))) == pytest.approx(0, abs=1e-12)
    with pytest.raises(ValueError, match="must have one shape"):
        separation(x, y[:8])


def test_uniformity_at_its_ends_and_in_tiles(monkeypatch):
    n = 9
    simplex = np.eye(n) - 1 / n
    assert uniformity(simplex) == pytest.approx(-4 * n / (n - 1))
    assert uniformity(np.ones((5, 3))) == pytest.approx(0, abs=1e-12)
    assert uniformity(rng.normal(size=(500, 500))) == pytest.approx(-4, abs=0.05)
    whole = uniformity(X)
    monkeypatch.setattr("nearfar.evaluation._arrays.TILE_ELEMENTS", 90)
    assert uniformity(X) == pytest.approx(whole, rel=1e-12)


def test_tolerance_is_the_mean_over_pairs():
    labels = rng.integers(0, 5, 40)
    cosines = unit(X) @ unit(X).T
    pairs = [cosines[i, j] for i in range(40) for j in range(40) if i != j and labels[i] == labels[j]]
    assert tolerance(X, labels) == pytest.approx(np.mean(pairs))
    with pytest.raises(ValueError, match="at least two rows"):
        tolerance(X, np.arange(40))


def test_feature_std_at_its_ends():
    cross = np.vstack([np.eye(6), -np.eye(6)])
    assert feature_std(cross) == pytest.approx(1 / np.sqrt(6))
    assert feature_std(cross, relative=True) == pytest.approx(1)
    assert feature_std(np.tile([[1.0, 2.0]], (9, 1)) * np.arange(1, 10)[:, None]) == pytest.approx(0, abs=1e-12)
    assert feature_std(X) == pytest.approx(unit(X).std(0).mean())


def test_cka_of_the_same_space_is_one():
    assert cka(X, X) == pytest.approx(1)
    assert cka(X, 5 * X @ Q + 3) == pytest.approx(1)
    assert cka(X, Y @ Q) == pytest.approx(cka(X, Y))
    assert cka(X, X * np.arange(1, 7)) < 0.99


def test_cka_by_features_by_examples_and_by_hsic():
    wide, other = rng.normal(size=(20, 50)), rng.normal(size=(20, 30))
    h = np.eye(20) - 1 / 20
    for a, b in ((wide, other), (wide[:, :5], other), (wide[:, :5], other[:, :4])):
        k, kl = a @ a.T, b @ b.T
        hsic = np.trace(k @ h @ kl @ h)
        expected = hsic / np.sqrt(np.trace(k @ h @ k @ h) * np.trace(kl @ h @ kl @ h))
        assert cka(a, b) == pytest.approx(expected, rel=1e-9)


def slow_hsic1(k, kl):
    n, one = len(k), np.ones(len(k))
    k, kl = k - np.diag(np.diag(k)), kl - np.diag(np.diag(kl))
    middle = (one @ k @ one) * (one @ kl @ one) / ((n - 1) * (n - 2))
    return (np.trace(k @ kl) + middle - 2 / (n - 2) * one @ k @ kl @ one) / (n * (n - 3))


def test_minibatch_cka_is_the_unbiased_formula():
    batches = [slice(0, 16), slice(16, 32), slice(32, 40)]
    kernels = [(X[b] @ X[b].T, Y[b] @ Y[b].T) for b in batches]
    cross = np.mean([slow_hsic1(k, kl) for k, kl in kernels])
    own = [np.mean([slow_hsic1(pair[i], pair[i]) for pair in kernels]) for i in (0, 1)]
    assert minibatch_cka(X, Y, batch_size=16) == pytest.approx(cross / np.sqrt(own[0] * own[1]), rel=1e-9)
    assert minibatch_cka(X, X @ Q + 100) == pytest.approx(1)
    assert minibatch_cka(X[:34], Y[:34], batch_size=16) == minibatch_cka(X[:32], Y[:32], batch_size=16)


def test_only_the_unbiased_cka_sees_that_wide_noise_is_unrelated():
    a, b = rng.normal(size=(50, 400)), rng.normal(size=(50, 400))
    assert cka(a, b) > 0.8
    assert abs(minibatch_cka(a, b)) < 0.1


def test_cka_of_a_constant_is_undefined():
    with pytest.raises(ValueError, match="y must not be the same"):
        cka(X, np.full((40, 2), 0.1))
    with pytest.raises(ValueError, match="y must vary"):
        minibatch_cka(X, np.full((40, 2), 0.1))


def test_effective_rank_of_known_spectra():
    assert effective_rank(np.eye(7)) == pytest.approx(7)
    assert effective_rank(np.ones((9, 4))) == pytest.approx(1)
    assert effective_rank(np.zeros((9, 4))) == 0
    low = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 20))
    assert 2 < effective_rank(low) <= 3 + 1e-9
    assert rankme(low) <= 3 + 1e-3
    assert effective_rank(low @ np.linalg.qr(rng.normal(size=(20, 20)))[0]) == pytest.approx(effective_rank(low))


@pytest.mark.parametrize("eps", [1e-7, 1e-5])
def test_rankme_is_the_formula(eps):
    sigma = torch.linalg.svdvals(torch.tensor(X))
    p = sigma / sigma.abs().sum() + eps
    assert rankme(X, eps=eps) == pytest.approx(torch.exp(-(p * p.log()).sum()).item(), rel=1e-9)
    assert rankme(X, eps=0) == pytest.approx(effective_rank(X))


def test_participation_ratio():
    values = np.linalg.eigvalsh(np.cov(X.T))
    assert participation_ratio(X) == pytest.approx(values.sum() ** 2 / (values**2).sum())
    assert participation_ratio(X + 100) == pytest.approx(participation_ratio(X))
    assert participation_ratio(np.vstack([np.eye(5), -np.eye(5)])) == pytest.approx(5)
    assert participation_ratio(np.full((7, 3), 0.1)) == 0


@pytest.mark.parametrize("shape", [(12, 5, 4), (5, 4, 9)])
def test_lidar_is_the_formula(shape):
    views = rng.normal(size=shape) + 2 * rng.normal(size=(shape[0], 1, shape[2]))
    n, q, d = shape
    means = views.mean(1)
    between = sum(np.outer(m, m) for m in means - means.mean(0)) / (n - 1)
    within = sum(np.outer(v, v) for v in (views - means[:, None]).reshape(-1, d)) / (n * (q - 1))
    root = np.linalg.inv(np.real(sqrtm(within + 1e-4 * np.eye(d))))
    values = np.maximum(np.linalg.eigvalsh(root @ between @ root), 0) + 1e-8
    p = values / values.sum()
    expected = np.exp(-(p * np.log(p)).sum())
    assert lidar(views) == pytest.approx(expected, rel=1e-6)
    assert lidar(views) <= min(d, n - 1) + 1e-3


def test_lidar_sees_only_what_differs_between_objects():
    views = 0.01 * rng.normal(size=(50, 8, 10))
    views[..., :2] += rng.normal(size=(50, 1, 2))
    assert lidar(views) == pytest.approx(2, abs=0.2)
    with pytest.raises(ValueError, match=r"\(objects, views, features\)"):
        lidar(views[:, 0])


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.5])
def test_alpha_of_a_power_law(alpha):
    left = np.linalg.qr(rng.normal(size=(60, 20)))[0]
    left = np.linalg.qr(left - left.mean(0))[0]
    x = left * np.arange(1, 21) ** (-alpha / 2) + 7
    assert alpha_req(x) == pytest.approx(alpha, rel=1e-6)
    assert alpha_req(x, first=5, last=12) == pytest.approx(alpha, rel=1e-6)
    with pytest.raises(ValueError, match="at least two of the 20"):
        alpha_req(x, first=20)


def test_collapse_verdicts():
    healthy = collapsed(rng.normal(size=(200, 16)))
    assert not healthy
    assert healthy.kind == "none"
    assert healthy.spread > 0.9
    assert collapsed(np.ones((200, 16)) + 1e-4 * rng.normal(size=(200, 16))).kind == "point"
    assert collapsed(np.zeros((200, 16))).kind == "point"
    line = rng.choice([-1, 1], (200, 1)) * np.ones((1, 16))
    assert collapsed(line).kind == "dimensional"
    assert collapsed(np.abs(rng.normal(size=(200, 16))), min_rank=16)
    assert not collapsed(np.abs(rng.normal(size=(200, 16))))
