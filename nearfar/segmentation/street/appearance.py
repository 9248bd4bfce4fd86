"""How a street looks at an hour and in a weather: light, sky, fog, lamps and the other palette.

An `Appearance` is data; `shade` turns the buffers of a street, which no appearance changes, into linear
light.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from . import surfaces as sf
from .surfaces import Colour

__all__ = [
    "APPEARANCES",
    "HELD_OUT_APPEARANCES",
    "LOOKS",
    "TRAINING_APPEARANCES",
    "Appearance",
]

TRAINING_APPEARANCES = ("noon", "sunset", "night", "foggy")
"""The four appearances of CARLA-4AGT."""
HELD_OUT_APPEARANCES = ("rain", "overcast")
"""Appearances for testing on what was never trained on."""
APPEARANCES = TRAINING_APPEARANCES + HELD_OUT_APPEARANCES

Range = tuple[float, float]

# Colours of WINDOW, LAMP, HEADLIGHT, TAILLIGHT, RED_SIGNAL, AMBER_SIGNAL, GREEN_SIGNAL, from code 2 on.
_EMITTED = np.array(
    [
        (0.0, 0.0, 0.0),
        (0.0, 0.0, 0.0),
        (1.0, 0.68, 0.34),
        (1.0, 0.74, 0.42),
        (1.0, 0.95, 0.85),
        (1.0, 0.05, 0.03),
        (1.0, 0.06, 0.04),
        (1.0, 0.50, 0.05),
        (0.10, 1.0, 0.50),
    ],
    np.float64,
)


@dataclass(frozen=True)
class Appearance:
    """An hour and a weather. Pairs of numbers are ranges from which each scene takes its own value.

    Attributes:
        altitude: of the sun, degrees. sun: its light, 0 for a covered or absent sun.
        above, below: light from the sky and from the ground.
        zenith, horizon: colours of the sky; clouds: cover, 0..1; cloud: colour of the clouds.
        haze: colour that distance fades to; fog: density per metre.
        windows, lamps, headlights, signals: power of what shines; beam: own headlights.
        glow: size of the halo around lamps.
        other_palette: whether things wear their other colours and the textures are coarser.
        wet: how mirror-like the ground is, 0..1; streaks: falling rain, per 1000 pixels.
        exposure: brightness of the picture; contrast, warmth: of its development; noise: of the sensor.
        softness: blur of the lens, 0..0.25.
    """

    altitude: Range
    sun: Colour
    above: Colour
    below: Colour
    zenith: Colour
    horizon: Colour
    haze: Colour
    fog: Range
    exposure: Range
    clouds: Range = (0.2, 0.6)
    cloud: Colour = (0.9, 0.9, 0.9)
    windows: float = 0.0
    lamps: float = 0.0
    headlights: float = 0.0
    signals: float = 1.5
    beam: float = 0.0
    glow: float = 1.0
    other_palette: bool = False
    wet: float = 0.0
    streaks: float = 0.0
    contrast: float = 1.0
    warmth: float = 0.0
    noise: float = 0.010
    softness: float = 0.10

    def emitted(self) -> npt.NDArray[np.float64]:
        """(EMISSIONS, 3) light of each emission code."""
        power = np.zeros((sf.EMISSIONS, 1), np.float64)
        power[sf.WINDOW] = self.windows
        power[sf.LAMP] = self.lamps
        power[sf.LAMP + 1 : sf.LAMP + 3] = self.headlights
        power[sf.LAMP + 2] *= 0.35
        power[sf.LAMP + 3 :] = self.signals
        return power * _EMITTED


LOOKS: dict[str, Appearance] = {
    "noon": Appearance(
        altitude=(42.0, 58.0),
        sun=(2.45, 2.30, 2.05),
        above=(0.62, 0.74, 0.92),
        below=(0.26, 0.24, 0.21),
        zenith=(0.16, 0.34, 0.78),
        horizon=(0.62, 0.76, 0.92),
        haze=(0.62, 0.72, 0.86),
        fog=(0.0008, 0.0025),
        exposure=(0.80, 1.10),
    ),
    "sunset": Appearance(
        altitude=(9.0, 17.0),
        sun=(2.90, 1.35, 0.42),
        above=(0.30, 0.27, 0.38),
        below=(0.16, 0.10, 0.07),
        zenith=(0.16, 0.19, 0.42),
        horizon=(1.15, 0.55, 0.22),
        haze=(0.80, 0.45, 0.25),
        fog=(0.002, 0.005),
        exposure=(0.85, 1.15),
        clouds=(0.3, 0.7),
        cloud=(1.0, 0.42, 0.25),
        windows=0.25,
        headlights=2.0,
        warmth=0.05,
        noise=0.014,
    ),
    "night": Appearance(
        altitude=(-30.0, -20.0),
        sun=(0.0, 0.0, 0.0),
        above=(0.020, 0.024, 0.042),
        below=(0.010, 0.009, 0.009),
        zenith=(0.006, 0.008, 0.020),
        horizon=(0.050, 0.032, 0.036),
        haze=(0.035, 0.026, 0.026),
        fog=(0.002, 0.006),
        exposure=(1.00, 1.45),
        clouds=(0.2, 0.8),
        cloud=(0.050, 0.034, 0.032),
        windows=0.55,
        lamps=6.0,
        headlights=5.0,
        signals=4.0,
        beam=1.3,
        glow=1.5,
        wet=0.12,
        noise=0.028,
        softness=0.14,
    ),
    "foggy": Appearance(
        altitude=(35.0, 50.0),
        sun=(0.12, 0.12, 0.11),
        above=(0.78, 0.80, 0.82),
        below=(0.30, 0.30, 0.29),
        zenith=(0.60, 0.62, 0.64),
        horizon=(0.66, 0.68, 0.69),
        haze=(0.66, 0.68, 0.69),
        fog=(0.022, 0.052),
        exposure=(0.85, 1.15),
        clouds=(0.0, 0.1),
        lamps=1.2,
        headlights=4.0,
        signals=2.5,
        windows=0.15,
        glow=2.2,
        noise=0.012,
        softness=0.16,
    ),
    "rain": Appearance(
        altitude=(35.0, 50.0),
        sun=(0.0, 0.0, 0.0),
        above=(0.44, 0.48, 0.53),
        below=(0.12, 0.13, 0.14),
        zenith=(0.27, 0.30, 0.34),
        horizon=(0.47, 0.50, 0.53),
        haze=(0.33, 0.37, 0.41),
        fog=(0.008, 0.016),
        exposure=(0.85, 1.20),
        clouds=(0.7, 1.0),
        cloud=(0.36, 0.39, 0.42),
        windows=0.35,
        lamps=1.0,
        headlights=4.5,
        signals=3.0,
        glow=1.6,
        wet=1.0,
        streaks=5.5,
        warmth=-0.05,
        noise=0.018,
        softness=0.17,
    ),
    "overcast": Appearance(
        altitude=(40.0, 50.0),
        sun=(0.10, 0.10, 0.11),
        above=(0.95, 0.98, 1.02),
        below=(0.34, 0.33, 0.32),
        zenith=(0.62, 0.64, 0.66),
        horizon=(0.82, 0.82, 0.80),
        haze=(0.74, 0.75, 0.76),
        fog=(0.001, 0.004),
        exposure=(0.72, 1.0),
        clouds=(0.6, 1.0),
        cloud=(0.50, 0.52, 0.55),
        other_palette=True,
        contrast=0.92,
        noise=0.012,
        softness=0.12,
    ),
}
"""The six appearances by name."""
