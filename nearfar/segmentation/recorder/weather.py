"""Light and weather of the appearances, in the fields of CARLA's ``WeatherParameters``.

The data set's own values are not published. These are ours: the sun stands in one direction and the same water lies
on the ground in all of them, and nothing moves in the wind, so that geometry and labels stay the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

WEATHER_FIELDS = (
    "cloudiness",
    "precipitation",
    "precipitation_deposits",
    "wind_intensity",
    "sun_azimuth_angle",
    "sun_altitude_angle",
    "fog_density",
    "fog_distance",
    "fog_falloff",
    "wetness",
    "scattering_intensity",
    "mie_scattering_scale",
    "rayleigh_scattering_scale",
    "dust_storm",
)
"""In the order of the constructor of ``carla.WeatherParameters`` (0.9.14 and later)."""

_CLEAR = {
    "cloudiness": 5.0,
    "precipitation": 0.0,
    "precipitation_deposits": 50.0,
    "wind_intensity": 0.0,
    "sun_azimuth_angle": -1.0,
    "sun_altitude_angle": 45.0,
    "fog_density": 2.0,
    "fog_distance": 0.75,
    "fog_falloff": 0.1,
    "wetness": 0.0,
    "scattering_intensity": 1.0,
    "mie_scattering_scale": 0.03,
    "rayleigh_scattering_scale": 0.0331,
    "dust_storm": 0.0,
}
# CARLA's preset ClearNight is at altitude -90 with a dense far fog; ours keeps noon's air, so that fog is one
# appearance's own.
_CHANGES: dict[str, dict[str, float]] = {
    "noon": {},
    "sunset": {"sun_altitude_angle": 10.0},
    "night": {"sun_altitude_angle": -40.0},
    "foggy": {
        "cloudiness": 90.0,
        "precipitation": 30.0,
        "fog_density": 50.0,
        "fog_distance": 10.0,
        "fog_falloff": 0.2,
    },
}


@dataclass(frozen=True)
class Look:
    """One appearance: the weather by field of :data:`WEATHER_FIELDS`, and whether lamps and headlights are lit."""

    weather: Mapping[str, float] = field(default_factory=dict)
    lights: bool = False


LOOKS = {name: Look({**_CLEAR, **changes}, lights=name == "night") for name, changes in _CHANGES.items()}
"""The four appearances of CARLA-4AGT by name, in the order in which they are recorded."""
