"""Common corruptions of small images at five severities, as in CIFAR-10-C."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np

from nearfar.evaluation._arrays import to_numpy

Images = np.ndarray
Corruption = Callable[[Images, int, np.random.Generator], Images]

_CHUNK = 512


def corrupt(images: Any, name: str, severity: int, seed: int = 0) -> np.ndarray:
    """A corrupted copy of a batch of images, the same for the same images, severity and seed.

    The strengths are those of CIFAR-10-C (Hendrycks & Dietterich 2019; hendrycks/robustness,
    ImageNet-C/create_c/make_cifar_c.py), tuned for 32 x 32 pixels; other sizes are accepted, but then the
    numbers compare with nothing published. As there, results are truncated to uint8, and glass blur copies a
    neighbouring pixel instead of swapping the two. Left out, because they need ImageMagick or photographs:
    motion blur, snow, frost, spatter. Say which corruptions a mean is over.

    Args:
        images: (N, H, W, C) uint8, C 3 or 1 (``saturate`` needs 3), H and W at least 8.
        name: one of :data:`CORRUPTIONS`.
        severity: 1 (mild) to 5.
        seed: of the noise.

    Returns:
        (N, H, W, C) uint8.

    Raises:
        ValueError: unknown name, severity outside 1..5, or images of another type or shape.
    """
    batch = to_numpy(images, "images")
    if batch.dtype != np.uint8 or batch.ndim != 4 or batch.shape[3] not in (1, 3) or batch.size == 0:
        raise ValueError(f"images must be uint8 of shape (N, H, W, 3 or 1), got {batch.dtype} of shape {batch.shape}")
    if min(batch.shape[1:3]) < 8:
        raise ValueError(f"images must be at least 8 x 8 pixels, got {batch.shape[1]} x {batch.shape[2]}")
    if name not in _FUNCTIONS:
        raise ValueError(f"name must be one of {', '.join(CORRUPTIONS)}; got {name!r}")
    if severity not in (1, 2, 3, 4, 5):
        raise ValueError(f"severity must be 1, 2, 3, 4 or 5, got {severity!r}")
    if name == "saturate" and batch.shape[3] != 3:
        raise ValueError("saturate needs images with 3 channels, got 1")
    result = np.empty_like(batch)
    for number, start in enumerate(range(0, len(batch), _CHUNK)):
        rng = np.random.default_rng([seed, CORRUPTIONS.index(name), int(severity), number])
        part = batch[start : start + _CHUNK]
        result[start : start + _CHUNK] = _FUNCTIONS[name](part, int(severity) - 1, rng)
    return result


def _unit(images: Images) -> np.ndarray:
    return images / 255.0


def _bytes(values: np.ndarray) -> Images:
    return (np.clip(values, 0, 1) * 255).astype(np.uint8)


def _blur(values: np.ndarray, sigma: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(values, (0, sigma, sigma, 0), mode="nearest", truncate=4.0)


def _gaussian_noise(images: Images, level: int, rng: np.random.Generator) -> Images:
    scale = (0.04, 0.06, 0.08, 0.09, 0.10)[level]
    return _bytes(_unit(images) + rng.normal(scale=scale, size=images.shape))


def _shot_noise(images: Images, level: int, rng: np.random.Generator) -> Images:
    photons = (500, 250, 100, 75, 50)[level]
    return _bytes(rng.poisson(_unit(images) * photons) / photons)


def _impulse_noise(images: Images, level: int, rng: np.random.Generator) -> Images:
    share = (0.01, 0.02, 0.03, 0.05, 0.07)[level]
    drawn = rng.random(images.shape)
    # Half of the values that are hit turn white, half black, each channel by itself.
    return np.where(drawn < share / 2, 255, np.where(drawn < share, 0, images)).astype(np.uint8)


def _speckle_noise(images: Images, level: int, rng: np.random.Generator) -> Images:
    scale = (0.06, 0.1, 0.12, 0.16, 0.2)[level]
    return _bytes(_unit(images) * (1 + rng.normal(scale=scale, size=images.shape)))


def _gaussian_blur(images: Images, level: int, rng: np.random.Generator) -> Images:
    return _bytes(_blur(_unit(images), (0.4, 0.6, 0.7, 0.8, 1)[level]))


def _defocus_blur(images: Images, level: int, rng: np.random.Generator) -> Images:
    import cv2

    radius, softness = ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1))[level]
    offsets = np.arange(-8, 9)
    disk = (offsets[:, None] ** 2 + offsets**2 <= radius**2).astype(np.float32)
    kernel = cv2.GaussianBlur(disk / disk.sum(), ksize=(3, 3), sigmaX=softness)
    blurred = [cv2.filter2D(image, -1, kernel) for image in _unit(images)]
    return _bytes(np.reshape(blurred, images.shape))


def _glass_blur(images: Images, level: int, rng: np.random.Generator) -> Images:
    sigma, rounds = ((0.05, 1), (0.25, 1), (0.4, 1), (0.25, 2), (0.4, 2))[level]
    shifted = _bytes(_blur(_unit(images), sigma))
    n, height, width, _ = images.shape
    y, x = np.mgrid[2:height, 2:width]
    for _ in range(rounds):
        dy, dx = rng.integers(-1, 1, size=(2, n, *y.shape))
        shifted[:, 2:, 2:] = shifted[np.arange(n)[:, None, None], y + dy, x + dx]
    return _bytes(_blur(_unit(shifted), sigma))


def _zoom_blur(images: Images, level: int, rng: np.random.Generator) -> Images:
    factors = np.arange(1, (1.06, 1.11, 1.16, 1.21, 1.26)[level], 0.01)
    values = _unit(images)
    total = values.copy()
    for factor in factors:
        rows, columns = (_zoom_matrix(size, factor) for size in images.shape[1:3])
        total += np.einsum("ah,nhwc,bw->nabc", rows, values, columns, optimize=True)
    return _bytes(total / (len(factors) + 1))


def _zoom_matrix(size: int, factor: float) -> np.ndarray:
    """(size, size) linear interpolation that enlarges the central 1/factor of a line to the whole line."""
    crop = int(np.ceil(size / factor))
    enlarged = round(crop * factor)
    step = (crop - 1) / max(enlarged - 1, 1)
    position = (np.arange(size) + (enlarged - size) // 2) * step
    lower = np.minimum(position.astype(int), crop - 2)
    weights = np.zeros((size, size))
    top = (size - crop) // 2
    weights[np.arange(size), top + lower] = 1 - (position - lower)
    weights[np.arange(size), top + lower + 1] = position - lower
    return weights


def _brightness(images: Images, level: int, rng: np.random.Generator) -> Images:
    values = _unit(images)
    value = values.max(3, keepdims=True)
    brighter = np.clip(value + (0.05, 0.1, 0.15, 0.2, 0.3)[level], 0, 1)
    # At constant hue and saturation the channels scale with the value; black becomes grey.
    return _bytes(np.where(value > 0, values * brighter / np.where(value > 0, value, 1), brighter))


def _saturate(images: Images, level: int, rng: np.random.Generator) -> Images:
    factor, offset = ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2))[level]
    values = _unit(images)
    value = values.max(3, keepdims=True)
    saturation = 1 - values.min(3, keepdims=True) / np.where(value > 0, value, 1)
    saturation[value == 0] = 0
    wanted = np.clip(saturation * factor + offset, 0, 1)
    # Grey has hue 0 by convention, so that an offset tints it red.
    tint = value * (1 - wanted * np.array([0, 1, 1]))
    scaled = value - (value - values) * wanted / np.where(saturation > 0, saturation, 1)
    return _bytes(np.where(saturation > 0, scaled, tint))


def _contrast(images: Images, level: int, rng: np.random.Generator) -> Images:
    values = _unit(images)
    mean = values.mean((1, 2), keepdims=True)
    return _bytes((values - mean) * (0.75, 0.5, 0.4, 0.3, 0.15)[level] + mean)


def _pixelate(images: Images, level: int, rng: np.random.Generator) -> Images:
    from PIL import Image

    share = (0.95, 0.9, 0.85, 0.75, 0.65)[level]
    height, width = images.shape[1:3]
    small = (int(width * share), int(height * share))
    box = Image.Resampling.BOX
    resized = [np.asarray(_picture(i).resize(small, box).resize((width, height), box)) for i in images]
    return np.reshape(resized, images.shape)


def _jpeg_compression(images: Images, level: int, rng: np.random.Generator) -> Images:
    from PIL import Image

    decoded = []
    for image in images:
        buffer = io.BytesIO()
        _picture(image).save(buffer, "JPEG", quality=(80, 65, 58, 50, 40)[level])
        decoded.append(np.asarray(Image.open(buffer)))
    return np.reshape(decoded, images.shape)


def _picture(image: np.ndarray) -> Any:
    from PIL import Image

    return Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)


def _fog(images: Images, level: int, rng: np.random.Generator) -> Images:
    thickness, decay = ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))[level]
    values = _unit(images)
    n, height, width, _ = images.shape
    brightest = values.max((1, 2, 3), keepdims=True)
    mist = plasma(n, max(height, width), decay, rng)[:, :height, :width, None]
    return _bytes((values + thickness * mist) * brightest / (brightest + thickness))


def plasma(count: int, size: int, decay: float, rng: np.random.Generator) -> np.ndarray:
    """(count, S, S) clouds in [0, 1] by the diamond-square algorithm, S a power of two >= ``size``.

    Every halving of the step divides the amplitude of its noise by ``decay``: larger is smoother.
    """
    side = 1 << max(size - 1, 1).bit_length()
    field = np.zeros((count, side, side))
    step, amplitude = side, 100.0

    def jitter(total: np.ndarray) -> np.ndarray:
        return total / 4 + amplitude * rng.uniform(-amplitude, amplitude, total.shape)

    while step >= 2:
        half = step // 2
        corners = field[:, ::step, ::step]
        pairs = corners + np.roll(corners, -1, 1)
        field[:, half::step, half::step] = jitter(pairs + np.roll(pairs, -1, 2))
        centres = field[:, half::step, half::step]
        field[:, ::step, half::step] = jitter(centres + np.roll(centres, 1, 1) + corners + np.roll(corners, -1, 2))
        field[:, half::step, ::step] = jitter(centres + np.roll(centres, 1, 2) + corners + np.roll(corners, -1, 1))
        step, amplitude = half, amplitude / decay
    field -= field.min((1, 2), keepdims=True)
    return field / field.max((1, 2), keepdims=True)


def _elastic_transform(images: Images, level: int, rng: np.random.Generator) -> Images:
    import cv2
    from scipy.ndimage import gaussian_filter

    n, height, width, _ = images.shape
    size = min(height, width)
    strength, smoothness, shear = (
        size * share
        for share in (
            (0, 0, 0.08),
            (0.05, 0.2, 0.07),
            (0.08, 0.06, 0.06),
            (0.1, 0.04, 0.05),
            (0.1, 0.03, 0.03),
        )[level]
    )
    noise = rng.uniform(-1, 1, (n, 2, height, width))
    shift = strength * gaussian_filter(noise, (0, 0, smoothness, smoothness), mode="reflect", truncate=3.0)
    moves = rng.uniform(-shear, shear, (n, 3, 2)).astype(np.float32)
    centre, arm = np.array([width // 2, height // 2], np.float32), size // 3
    corners = centre + np.array([[arm, arm], [arm, -arm], [-arm, -arm]], np.float32)
    y, x = np.mgrid[:height, :width]
    warped = []
    for image, move, (dx, dy) in zip(_unit(images).astype(np.float32), moves, shift, strict=True):
        affine = cv2.getAffineTransform(corners, corners + move)
        sheared = cv2.warpAffine(image, affine, (width, height), borderMode=cv2.BORDER_REFLECT_101)
        maps = (x + dx).astype(np.float32), (y + dy).astype(np.float32)
        warped.append(cv2.remap(sheared, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT))
    return _bytes(np.reshape(warped, images.shape))


_FUNCTIONS: dict[str, Corruption] = {
    "gaussian_noise": _gaussian_noise,
    "shot_noise": _shot_noise,
    "impulse_noise": _impulse_noise,
    "defocus_blur": _defocus_blur,
    "glass_blur": _glass_blur,
    "zoom_blur": _zoom_blur,
    "fog": _fog,
    "brightness": _brightness,
    "contrast": _contrast,
    "elastic_transform": _elastic_transform,
    "pixelate": _pixelate,
    "jpeg_compression": _jpeg_compression,
    "speckle_noise": _speckle_noise,
    "gaussian_blur": _gaussian_blur,
    "saturate": _saturate,
}

CORRUPTIONS: tuple[str, ...] = tuple(_FUNCTIONS)
"""All names: twelve of the benchmark's fifteen, then three of its extra ones, meant for validation."""

EXTRA_CORRUPTIONS: tuple[str, ...] = ("speckle_noise", "gaussian_blur", "saturate")
"""Names outside the benchmark's fifteen: tune on these, report the others."""
