"""One JSON file per scene from which it can be rendered again: what stands where, and each appearance's weather."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nearfar.common.files import atomic_write
from nearfar.segmentation.data.files import BadFile
from nearfar.segmentation.recorder.weather import WEATHER_FIELDS

POSE = ("x", "y", "z", "roll", "pitch", "yaw")
"""Metres and degrees in CARLA's left-handed coordinates."""
CAMERA = (*POSE, "fov", "width", "height")

Problem = tuple[str, str]


@dataclass(frozen=True)
class SceneConfig:
    """A frozen street.

    Attributes:
        carla_version: of the server that recorded it; labels are numbered by it.
        town: name of the map.
        seed: seed of the recording.
        frame: number of the simulation's frame at which the scene was frozen.
        camera: pose in the world, field of view in degrees, picture size in pixels.
        actors: vehicles: ``type_id``, ``attributes``, ``transform`` and ``light_state`` (a bit field) of each.
        walkers: ``type_id``, ``attributes`` and ``transform`` of each.
        traffic_lights: ``opendrive_id`` and ``state`` of each.
        appearances: by name the ``weather`` in CARLA's fields, and whether ``lights`` are on.
    """

    carla_version: str
    town: str
    seed: int
    frame: int
    camera: Mapping[str, float]
    actors: tuple[Mapping[str, Any], ...]
    walkers: tuple[Mapping[str, Any], ...]
    traffic_lights: tuple[Mapping[str, str], ...]
    appearances: Mapping[str, Mapping[str, Any]]

    def to_json(self) -> str:
        """The file's text; the same scene always gives the same text."""
        return json.dumps(dataclasses.asdict(self), indent=2, sort_keys=True) + "\n"

    def write(self, path: Path) -> None:
        with atomic_write(path, "w") as file:
            file.write(self.to_json())

    @classmethod
    def read(cls, path: Path) -> SceneConfig:
        """The configuration in a file. Raises :class:`~nearfar.segmentation.data.files.BadFile`."""
        data = read_json(path)
        for found, expected in problems(data):
            raise BadFile(path, found, expected)
        fields: dict[str, Any] = {field.name: data[field.name] for field in dataclasses.fields(cls)}
        for name in ("actors", "walkers", "traffic_lights"):
            fields[name] = tuple(fields[name])
        return cls(**fields)


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises :class:`~nearfar.segmentation.data.files.BadFile`."""
    if not path.is_file():
        raise BadFile(path, "is missing", "the configuration of the scene as JSON")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadFile(path, f"is not JSON ({error})", "the configuration of the scene") from error


def problems(data: Any) -> Iterator[Problem]:
    """What keeps parsed JSON from being a scene's configuration, each as (found, expected); nothing when it is one."""
    if not isinstance(data, dict):
        yield f"holds a {type(data).__name__}", "an object"
        return
    missing = [field.name for field in dataclasses.fields(SceneConfig) if field.name not in data]
    if missing:
        yield f"lacks {', '.join(missing)}", "every field of a scene's configuration"
        return
    for name in ("carla_version", "town"):
        if not isinstance(data[name], str):
            yield f"has {name} = {data[name]!r}", "a text"
    for name in ("seed", "frame"):
        if not isinstance(data[name], int):
            yield f"has {name} = {data[name]!r}", "a whole number"
    yield from _numbers(data["camera"], CAMERA, "camera")
    for name, needed in (("actors", ("type_id", "attributes", "transform", "light_state")),
                         ("walkers", ("type_id", "attributes", "transform")),
                         ("traffic_lights", ("opendrive_id", "state"))):  # fmt: skip
        yield from _list(data[name], needed, name)
    if not isinstance(data["appearances"], dict) or not data["appearances"]:
        yield "has no appearances", "the weather of each appearance by name"
        return
    for name, look in data["appearances"].items():
        if not isinstance(look, dict) or not isinstance(look.get("lights"), bool):
            yield f"has appearances.{name} without lights", "lights = true or false"
        else:
            yield from _numbers(look.get("weather"), WEATHER_FIELDS, f"appearances.{name}.weather")


def _list(value: Any, needed: tuple[str, ...], name: str) -> Iterator[Problem]:
    if not isinstance(value, list):
        yield f"has {name} of type {type(value).__name__}", "a list"
        return
    for n, entry in enumerate(value):
        missing = [key for key in needed if not isinstance(entry, dict) or key not in entry]
        if missing:
            yield f"has {name}[{n}] without {', '.join(missing)}", f"an object with {', '.join(needed)}"
        elif "transform" in needed:
            yield from _numbers(entry["transform"], POSE, f"{name}[{n}].transform")


def _numbers(value: Any, needed: tuple[str, ...], name: str) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield f"has {name} of type {type(value).__name__}", f"an object with {', '.join(needed)}"
        return
    wrong = [key for key in needed if not isinstance(value.get(key), int | float) or isinstance(value.get(key), bool)]
    if wrong:
        yield f"has no number for {', '.join(f'{name}.{key}' for key in wrong)}", f"numbers for {', '.join(needed)}"
