"""What the pixels of a street are made of: labels, materials in two palettes, emissions, a noise tile."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

# Label values: positions in classes.CARLA4AGT_16.
ROAD, SIDEWALK, BUILDING, WALL, FENCE, POLE, SIGNAL, SIGN = range(8)
VEGETATION, TERRAIN, SKY, PERSON, RIDER, CAR, MOTORCYCLE, BICYCLE = range(8, 16)

# How a pixel gives off or mirrors light. Each appearance sets the power of every code.
(
    MATT,
    GLASS,
    WINDOW,
    LAMP,
    HEADLIGHT,
    TAILLIGHT,
    RED_SIGNAL,
    AMBER_SIGNAL,
    GREEN_SIGNAL,
) = range(9)
EMISSIONS = 9

SKY_DEPTH = 1000.0
"""Depth of the sky, in metres: farther than anything else."""

Colour = tuple[float, float, float]

# Linear reflectance in the default palette, and in the other one.
_FIXED: list[tuple[str, Colour, Colour]] = [
    ("ASPHALT", (0.105, 0.103, 0.104), (0.235, 0.205, 0.170)),
    ("KERB", (0.33, 0.32, 0.30), (0.16, 0.16, 0.18)),
    ("PAVING", (0.30, 0.275, 0.245), (0.150, 0.105, 0.095)),
    ("GRASS", (0.085, 0.150, 0.035), (0.230, 0.190, 0.075)),
    ("EARTH", (0.17, 0.125, 0.075), (0.20, 0.21, 0.12)),
    ("PANE", (0.045, 0.052, 0.060), (0.100, 0.085, 0.070)),
    ("FRAME", (0.52, 0.50, 0.46), (0.13, 0.10, 0.09)),
    ("DARK", (0.022, 0.022, 0.024), (0.050, 0.050, 0.060)),
    ("METAL", (0.16, 0.165, 0.17), (0.10, 0.16, 0.13)),
    ("LENS", (0.55, 0.53, 0.48), (0.45, 0.45, 0.45)),
    ("RED_GLASS", (0.36, 0.02, 0.02), (0.28, 0.03, 0.05)),
    ("AMBER_GLASS", (0.40, 0.20, 0.02), (0.36, 0.22, 0.05)),
    ("GREEN_GLASS", (0.03, 0.28, 0.12), (0.04, 0.25, 0.20)),
    ("PLATE", (0.62, 0.62, 0.58), (0.60, 0.52, 0.20)),
    ("TRUNK", (0.085, 0.060, 0.042), (0.180, 0.170, 0.155)),
    ("SKIN", (0.46, 0.29, 0.21), (0.34, 0.20, 0.13)),
    ("HAIR", (0.040, 0.028, 0.020), (0.16, 0.11, 0.06)),
]
ASPHALT, KERB, PAVING, GRASS, EARTH, PANE, FRAME, DARK = range(8)
METAL, LENS, RED_GLASS, AMBER_GLASS, GREEN_GLASS, PLATE, TRUNK, SKIN, HAIR = range(8, 17)

FIXED_COLOURS: list[tuple[Colour, Colour]] = [(default, other) for _, default, other in _FIXED]
"""Materials that every scene shares; those of single things follow behind."""


def texture_tile(seed: int = 20) -> npt.NDArray[np.uint8]:
    """Band-limited 1/f noise, (512, 512), tileable, mean near 128; smooth enough for nearest look-up."""
    return _texture_tile(seed)


@lru_cache(maxsize=2)
def _texture_tile(seed: int) -> npt.NDArray[np.uint8]:
    size = 512
    white = np.random.default_rng(seed).standard_normal((size, size))
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :]) * size
    amplitude = np.where((frequency > 2) & (frequency < 110), 1.0 / np.maximum(frequency, 3.0) ** 0.85, 0.0)
    noise = np.fft.irfft2(np.fft.rfft2(white) * amplitude, s=(size, size))
    tile = np.clip(128 + 52 * noise / noise.std(), 0, 255).astype(np.uint8)
    tile.setflags(write=False)
    return tile
