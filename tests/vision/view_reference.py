"""Views of one image, slowly: PIL's float resize, colorsys, SciPy's convolution, the rest in float64."""

from __future__ import annotations

import colorsys

import numpy as np
from PIL import Image
from scipy import ndimage

from nearfar.vision.views import Draws

LUMA = np.array([0.299, 0.587, 0.114])


def reference_views(images: np.ndarray, draws: Draws, height: int, width: int) -> np.ndarray:
    """(N, 3, height, width) from images (N, 3, H, W) uint8, one image after the other."""
    views = []
    for n, image in enumerate(images):
        top, left, rows, columns = draws.boxes[n].tolist()
        x = resize(image[:, top : top + rows, left : left + columns], height, width)
        if draws.flip is not None and draws.flip[n]:
            x = x[:, ::-1]
        if draws.factors is not None and draws.order is not None:
            x = jitter(x, draws.factors[n].double().numpy(), draws.order[n].tolist())
        if draws.gray is not None and draws.gray[n]:
            x = np.repeat((x @ LUMA)[..., None], 3, -1)
        if draws.sigma is not None and draws.sigma[n] > 0:
            x = blur(x, float(draws.sigma[n]))
        if draws.solarize is not None:
            x = np.where(x >= float(draws.solarize[n]), 1 - x, x)
        views.append(x.transpose(2, 0, 1))
    return np.stack(views)


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """(3, h, w) uint8 to (height, width, 3) in [0, 1] by PIL's bilinear filter, which antialiases."""
    planes = [Image.fromarray(plane.astype(np.float32)) for plane in image]
    resized = [np.array(plane.resize((width, height), Image.Resampling.BILINEAR)) for plane in planes]
    return np.stack(resized, -1).astype(np.float64) / 255


def jitter(x: np.ndarray, factors: np.ndarray, order: list[int]) -> np.ndarray:
    """Brightness, contrast, saturation and hue of (h, w, 3) in this order, clipped after each."""
    brightness, contrast, saturation, turn = factors
    for operation in order:
        if operation == 0:
            x = x * brightness
        elif operation == 1:
            x = contrast * x + (1 - contrast) * (x @ LUMA).mean()
        elif operation == 2:
            x = saturation * x + (1 - saturation) * (x @ LUMA)[..., None]
        else:
            x = np.apply_along_axis(turn_hue, -1, x, turn)
        x = x.clip(0, 1)
    return x


def turn_hue(rgb: np.ndarray, turn: float) -> np.ndarray:
    """One colour with its hue moved by a share of the circle."""
    hue, saturation, value = colorsys.rgb_to_hsv(*rgb)
    return np.array(colorsys.hsv_to_rgb((hue + turn) % 1.0, saturation, value))


def blur(x: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian kernel of a tenth of the shorter side, mirrored about the border pixels."""
    radius = int(min(x.shape[:2]) * 0.1) // 2
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    weights /= weights.sum()
    for axis in (0, 1):
        x = ndimage.convolve1d(x, weights, axis, mode="mirror")
    return x
