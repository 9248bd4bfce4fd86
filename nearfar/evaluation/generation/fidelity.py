"""One picture against another: signal to noise, and structure."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from nearfar.evaluation._arrays import finite


def psnr(made: Any, reference: Any, *, data_range: float = 255.0) -> np.ndarray:
    """Peak signal-to-noise ratio of each picture in decibels, 10 log10(R² / mean squared error); inf where equal.

    Equal to scikit-image's ``peak_signal_noise_ratio`` of every pair.

    Args:
        made, reference: (N, ...) of one shape, on one scale.
        data_range: R, the width of that scale: 255 for uint8, 1 for [0, 1].

    Returns:
        (N,).
    """
    a, b = _pairs(made, reference, data_range)
    error = np.square(a - b).reshape(len(a), -1).mean(1)
    with np.errstate(divide="ignore"):
        return 10 * np.log10(data_range**2 / error)


def ssim(
    made: Any,
    reference: Any,
    *,
    data_range: float = 255.0,
    window: Literal["uniform", "gaussian"] = "uniform",
) -> np.ndarray:
    """Structural similarity of each picture, the mean over places and colours, in [-1, 1].

    Equal to scikit-image's ``structural_similarity``: with ``uniform`` its default, a 7x7 window and unbiased
    covariances; with ``gaussian`` the form of Wang et al. 2004 (sigma 1.5 over 11x11, biased covariances). Half a
    window at the border does not count.

    Args:
        made, reference: (N, H, W) or (N, H, W, C) of one shape, sides at least 7 (``uniform``) or 11.
        data_range: width of the scale.
        window: as above.

    Returns:
        (N,).

    Raises:
        ValueError: pictures smaller than the window, or shapes that differ.
    """
    from scipy import ndimage  # heavy, and only this needs it

    a, b = _pairs(made, reference, data_range)
    if a.ndim == 3:
        a, b = a[..., None], b[..., None]
    if window not in ("uniform", "gaussian"):
        raise ValueError(f"window must be 'uniform' or 'gaussian', got {window!r}")
    size = 7 if window == "uniform" else 11
    if a.ndim != 4 or min(a.shape[1:3]) < size:
        raise ValueError(f"pictures must be (N, H, W) or (N, H, W, C) with sides of at least {size}, got {a.shape}")

    def mean(x: np.ndarray) -> np.ndarray:
        if window == "uniform":
            return ndimage.uniform_filter(x, (1, size, size, 1))
        return ndimage.gaussian_filter(x, (0, 1.5, 1.5, 0), truncate=3.5)

    unbias = size**2 / (size**2 - 1) if window == "uniform" else 1.0
    ma, mb = mean(a), mean(b)
    va, vb = unbias * (mean(a * a) - ma * ma), unbias * (mean(b * b) - mb * mb)
    both = unbias * (mean(a * b) - ma * mb)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    found = ((2 * ma * mb + c1) * (2 * both + c2)) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
    rim = size // 2
    return found[:, rim : found.shape[1] - rim, rim : found.shape[2] - rim].reshape(len(a), -1).mean(1)


def _pairs(made: Any, reference: Any, data_range: float) -> tuple[np.ndarray, np.ndarray]:
    a, b = finite(made, "made"), finite(reference, "reference")
    if a.shape != b.shape or a.ndim < 2:
        raise ValueError(f"made and reference must have one shape (N, ...), got {a.shape} and {b.shape}")
    if not data_range > 0:
        raise ValueError(f"data_range must be above 0, got {data_range}")
    return a, b
