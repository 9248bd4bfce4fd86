"""Losses on windows and recordings: released values, slow versions, what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nearfar import losses
from tests.parity import ParityCase, assert_parity, parity


@pytest.mark.parametrize("case", parity("cpc", "tnc_loss"), ids=str)
def test_released_values_of_tnc(case: ParityCase) -> None:
    arrays = case.load()
    assert_parity(case, arrays, losses.tnc(arrays["in_d_near"], arrays["in_d_far"], weight=case.hyper["w"]), rtol=1e-9)


@pytest.mark.parametrize("case", parity("cpc", "cpc_window"), ids=str)
def test_released_values_of_cpc(case: ParityCase) -> None:
    arrays = case.load()
    predicted = arrays["in_c"] @ arrays["in_W"].T + arrays["in_b"]
    following, others = arrays["in_z"][int(arrays["in_t"]) + 1], arrays["in_z"][arrays["in_neg"]]
    assert_parity(case, arrays, losses.cpc_windows(predicted[None], following[None], others[None]), rtol=1e-9)


@pytest.mark.parametrize("case", parity("comet", "id_contrast_loss", "levels"), ids=str)
def test_released_values_of_comet(case: ParityCase) -> None:
    """The release's patient level leaves the factor out, and so has the value of factor 1."""
    arrays = case.load()
    ids = arrays["in_ids"] if "in_ids" in arrays else torch.tensor(case.hyper["ids"])
    assert_parity(case, arrays, losses.id_contrast(arrays["in_z1"], arrays["in_z2"], ids), rtol=1e-8)


@pytest.mark.parametrize("case", parity("autocon", "local_loss", "global_loss"), ids=str)
def test_released_values_of_autocon(case: ParityCase) -> None:
    """The release takes the correlation in float32, which decides the tolerance."""
    arrays = case.load()
    features, correlation = arrays["in_features"], arrays["in_acf"].detach()
    positions = arrays["in_positions"] if "in_positions" in arrays else arrays["in_start"][None]
    if "in_start" in arrays:
        features = features.amax(1)[None]
    rows = losses.autocorrelation_contrast(features, positions, correlation, reduction="none")
    torch.testing.assert_close(
        rows.reshape(arrays["out_per_anchor"].shape), arrays["out_per_anchor"], rtol=1e-6, atol=1e-7
    )
    assert_parity(case, arrays, rows.mean(), rtol=1e-6)


@pytest.mark.parametrize("case", parity("autocon", "smoothed_acf"), ids=str)
def test_released_autocorrelation(case: ParityCase) -> None:
    arrays = case.load()
    smooth = arrays["out_smooth"]
    found = losses.autocorrelation(smooth)
    torch.testing.assert_close(found.mean(1).abs(), arrays["out_acf"], rtol=1e-8, atol=1e-9)
    torch.testing.assert_close(found.abs().T, arrays["out_acf_per_channel"], rtol=1e-8, atol=1e-9)


def test_autocorrelation_by_definition() -> None:
    x = torch.randn(30, 2, dtype=torch.float64)
    c = x - x.mean(0)
    expected = [(c[: 30 - k] * c[k:]).sum(0) / (c * c).sum(0) for k in range(30)]
    torch.testing.assert_close(losses.autocorrelation(x), torch.stack(expected))
    assert losses.autocorrelation(torch.ones(4, 1))[:, 0].tolist() == [1, 0, 0, 0]


def test_cpc_is_a_cross_entropy_and_tnc_two_of_them() -> None:
    generator = torch.Generator().manual_seed(0)
    p, z = (torch.randn(4, 3, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(2))
    others = torch.randn(4, 5, 3, generator=generator, dtype=torch.float64).requires_grad_()
    logits = torch.cat([torch.einsum("bd,bkd->bk", p, others), (p * z).sum(1, True)], 1)
    slow = F.cross_entropy(logits, torch.full((4,), 5))
    torch.testing.assert_close(losses.cpc_windows(p, z, others), slow)
    assert torch.autograd.gradcheck(losses.cpc_windows, (p, z, others))
    near, far = p[:, 0], z[:2, 1]
    bce = F.binary_cross_entropy_with_logits
    ones, zeros = torch.ones_like(far), torch.zeros_like(far)
    slow = (bce(near, torch.ones_like(near)) + 0.2 * bce(far, ones) + 0.8 * bce(far, zeros)) / 2
    torch.testing.assert_close(losses.tnc(near, far, weight=0.2), slow)


def test_identities_that_are_unknown_belong_to_nobody() -> None:
    z1, z2 = torch.randn(2, 5, 4, 3, dtype=torch.float64)
    ids = torch.tensor([0, -1, 0, -1, 1])
    pairs = losses.id_contrast(z1, z2, ids)
    assert pairs > 0
    renamed = losses.id_contrast(z1, z2, torch.tensor([7, 8, 7, 9, 1]))
    torch.testing.assert_close(pairs, renamed)
    assert losses.id_contrast(z1, z2, torch.arange(5)) == 0
    scaled = losses.id_contrast(3 * z1, z2 * torch.rand(5, 1, 3, dtype=torch.float64), ids)
    torch.testing.assert_close(scaled, pairs)
    for z in (z1, z2):
        z.requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: losses.id_contrast(a, b, ids), (z1, z2))


def test_autocon_by_its_formula() -> None:
    rng = np.random.default_rng(0)
    f = F.normalize(torch.tensor(rng.normal(size=(1, 5, 3))), dim=2)
    t = torch.tensor([[0, 3, 3, 7, 11]])
    rho = torch.tensor(rng.uniform(0.1, 0.9, 12))
    rho[0] = 1.0
    expected = []
    for i in range(5):
        r = [float(rho[abs(int(t[0, i] - t[0, j]))]) for j in range(5)]
        best = max(r[j] for j in range(5) if r[j] != 1)
        weights = [(r[j] == best) + (i != j and r[j] == 1) for j in range(5)]
        logit = [float(f[0, i] @ f[0, j]) for j in range(5)]
        total = np.log(sum(np.exp(logit[j]) for j in range(5) if j != i))
        expected.append(-sum(w * rr * (v - total) for w, rr, v in zip(weights, r, logit, strict=True)) / sum(weights))
    rows = losses.autocorrelation_contrast(f, t, rho, reduction="none")
    np.testing.assert_allclose(rows[0].numpy(), expected, rtol=1e-6)
    f.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: losses.autocorrelation_contrast(x, t, rho), (f,))
    same = losses.autocorrelation_contrast(f, torch.zeros(1, 5, dtype=torch.int64), rho)
    assert torch.isfinite(same)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda x: losses.tnc(x, x), r"near must be logits of shape \(N,\), got \(3, 4\)"),
        (lambda x: losses.tnc(x[0], x[1], weight=2), r"weight must lie in \[0, 1\], got 2"),
        (lambda x: losses.cpc_windows(x, x, x[None]), r"others must have shape \(B, K, D\)"),
        (
            lambda x: losses.id_contrast(x[None], x[None], torch.zeros(2).long()),
            r"ids must have shape \(1,\), got \(2,\)",
        ),
        (
            lambda x: losses.autocorrelation_contrast(x[None], torch.tensor([[0, 1, 9]]), torch.ones(4)),
            "places are up to 9 apart, and correlation has 4 lags",
        ),
        (
            lambda x: losses.autocorrelation_contrast(x[:, None], torch.zeros(3, 1).long(), torch.ones(4)),
            "at least two",
        ),
        (lambda x: losses.autocorrelation(x.long()), "values must have a floating-point dtype"),
    ],
)
def test_wrong_arguments(call, expected: str) -> None:
    with pytest.raises((ValueError, TypeError), match=expected):
        call(torch.randn(3, 4))
