"""Made things against references, against real things, and codes against factors."""

from __future__ import annotations

import numpy as np
import pytest

from nearfar.evaluation import dci, frechet_distance, psnr, ssim, tad


@pytest.mark.parametrize("shape", [(3, 16, 13), (2, 14, 14, 3)])
def test_fidelity_is_scikit_images(shape: tuple[int, ...]) -> None:
    metrics = pytest.importorskip("skimage.metrics")
    rng = np.random.default_rng(0)
    a = rng.integers(0, 256, shape).astype(np.uint8)
    b = np.clip(a + rng.normal(0, 30, shape), 0, 255).astype(np.uint8)
    channel = -1 if len(shape) == 4 else None
    given = {"data_range": 255, "channel_axis": channel}
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    for n, (x, y) in enumerate(zip(a, b, strict=True)):
        assert psnr(a, b)[n] == pytest.approx(metrics.peak_signal_noise_ratio(y, x, data_range=255))
        assert ssim(a, b)[n] == pytest.approx(metrics.structural_similarity(x, y, **given), abs=1e-9)
        found = ssim(a, b, window="gaussian")[n]
        assert found == pytest.approx(metrics.structural_similarity(x, y, **given, **wang), abs=1e-9)
    assert np.isinf(psnr(a, a)).all()
    assert ssim(a, a) == pytest.approx(1)


def test_wrong_pictures_are_named() -> None:
    with pytest.raises(ValueError, match="sides of at least 7, got"):
        ssim(np.zeros((2, 6, 9)), np.zeros((2, 6, 9)))
    with pytest.raises(ValueError, match="one shape"):
        psnr(np.zeros((2, 6, 9)), np.zeros((2, 6, 8)))
    with pytest.raises(ValueError, match="data_range must be above 0"):
        psnr(np.zeros((2, 6, 9)), np.zeros((2, 6, 9)), data_range=0)


def test_frechet_distance_of_known_gaussians() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(4000, 3))
    x = (x - x.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False)).T)  # exactly white
    spread = np.array([1.0, 2.0, 0.5])
    expected = 9.0 + ((spread - 1) ** 2).sum()
    assert frechet_distance(x * spread + [3.0, 0, 0], x) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(x, x[::-1]) == pytest.approx(0, abs=1e-9)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    assert frechet_distance((x * spread) @ turn, x @ turn) == pytest.approx(expected - 9, rel=1e-9)


@pytest.mark.parametrize("regressor", ["lasso", "trees"])
def test_dci_tells_codes_that_keep_factors_apart_from_mixtures(regressor: str) -> None:
    rng = np.random.default_rng(2)
    factors = np.stack([rng.integers(0, 3, 400), rng.normal(size=400), rng.uniform(size=400)], 1)
    # A class of three needs three numbers, or one that curves; two say it to a line.
    codes = np.stack([factors[:, 0] == 0, factors[:, 0] == 1, factors[:, 1], factors[:, 2], rng.normal(size=400)], 1)
    apart = dci(codes, factors, discrete=[0], regressor=regressor)  # type: ignore[arg-type]
    turned = dci(codes @ np.linalg.qr(rng.normal(size=(5, 5)))[0], factors, discrete=[0], regressor=regressor)  # type: ignore[arg-type]
    assert apart.disentanglement > 0.8
    assert apart.disentanglement > turned.disentanglement + 0.3
    assert apart.informativeness > 0.9
    assert 0 <= turned.completeness < apart.completeness <= 1
    nothing = dci(rng.normal(size=(400, 4)), factors, discrete=[0], regressor=regressor)  # type: ignore[arg-type]
    assert nothing.informativeness < 0.25


def test_tad_counts_attributes_that_one_number_says() -> None:
    rng = np.random.default_rng(3)
    attributes = rng.integers(0, 2, (300, 3))
    noise = 0.1 * rng.normal(size=(300, 4))
    apart = np.pad(attributes[:, :2] * 1.0, ((0, 0), (0, 2))) + noise
    total, captured = tad(apart, attributes)
    assert captured == 2  # the third is nowhere
    assert total > 0.8
    doubled = np.stack([apart[:, 0], apart[:, 0] + 0.01 * noise[:, 1], apart[:, 1], -apart[:, 1]], 1)
    total, captured = tad(doubled, attributes)
    assert captured == 2
    assert total < 0.01
    with pytest.raises(ValueError, match="attribute 1 must contain both"):
        tad(apart, np.stack([attributes[:, 0], np.zeros(300, int)], 1))
