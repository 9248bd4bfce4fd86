"""A stand-in for CARLA's Python client: the same classes and names, and a world of a few boxes.

`test_recorder.py` compares every public name here with the real client where that is installed. What a camera sees:
the tags are road below and sky above with a square for every vehicle in front, the picture is the tags in the light of
the sun's altitude.
"""

from __future__ import annotations

import math
import random
import types
from enum import IntEnum
from typing import Any

import numpy as np

DOWN = "time-out while waiting for the simulator, make sure the simulator is ready and connected to 127.0.0.1:2000"


class VehicleLightState(IntEnum):
    NONE = 0
    Position = 1
    LowBeam = 2
    _All = 3

    @classmethod
    def _missing_(cls, value: object) -> Any:
        found = int.__new__(cls, value)  # like the client's enumeration, any set of bits is a value
        found._name_, found._value_ = str(value), value
        return found


class LightGroup(IntEnum):
    Street = 2


class TrafficLightState(IntEnum):
    Red = 0
    Yellow = 1
    Green = 2


class Vector3D:
    def __init__(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> None:
        self.x, self.y, self.z = x, y, z


class Location(Vector3D):
    def distance(self, other: Location) -> float:
        return math.dist((self.x, self.y, self.z), (other.x, other.y, other.z))


class Rotation:
    def __init__(self, pitch: float = 0.0, yaw: float = 0.0, roll: float = 0.0) -> None:
        self.pitch, self.yaw, self.roll = pitch, yaw, roll


class Transform:
    def __init__(self, location: Location | None = None, rotation: Rotation | None = None) -> None:
        self.location, self.rotation = location or Location(), rotation or Rotation()

    def get_forward_vector(self) -> Vector3D:
        yaw = math.radians(self.rotation.yaw)
        return Vector3D(math.cos(yaw), math.sin(yaw), 0.0)

    def get_up_vector(self) -> Vector3D:
        return Vector3D(0.0, 0.0, 1.0)


class WeatherParameters:
    def __init__(
        self,
        cloudiness: float = 0.0,
        precipitation: float = 0.0,
        precipitation_deposits: float = 0.0,
        wind_intensity: float = 0.0,
        sun_azimuth_angle: float = 0.0,
        sun_altitude_angle: float = 0.0,
        fog_density: float = 0.0,
        fog_distance: float = 0.0,
        fog_falloff: float = 0.0,
        wetness: float = 0.0,
        scattering_intensity: float = 0.0,
        mie_scattering_scale: float = 0.0,
        rayleigh_scattering_scale: float = 0.0331,
        dust_storm: float = 0.0,
    ) -> None:
        values = dict(locals())
        del values["self"]
        self.__dict__.update(values)


class WalkerControl:
    def __init__(self, direction: Vector3D | None = None, speed: float = 1.0, jump: bool = False) -> None:
        self.direction, self.speed, self.jump = direction, speed, jump


class ActorAttribute:
    def __init__(self, value: str, recommended: tuple[str, ...] = (), modifiable: bool = True) -> None:
        self._value = value
        self.recommended_values, self.is_modifiable = list(recommended), modifiable

    def as_str(self) -> str:
        return self._value


class ActorBlueprint:
    def __init__(self, id: str, **attributes: ActorAttribute) -> None:
        self.id, self._attributes = id, attributes

    def has_attribute(self, id: str) -> bool:
        return id in self._attributes

    def get_attribute(self, id: str) -> ActorAttribute:
        return self._attributes[id]

    def set_attribute(self, id: str, value: str) -> None:
        known = self._attributes[id]
        if not known.is_modifiable:
            raise RuntimeError(f"attribute {id} cannot be set")
        assert isinstance(value, str), f"the client takes texts only, got {value!r}"
        known._value = value


class BlueprintLibrary:
    def __init__(self) -> None:
        self._kinds: dict[str, ActorBlueprint] = {}
        for name, base in (("vehicle.b", "car"), ("vehicle.a", "car"), ("vehicle.bike", "bicycle")):
            self._add(
                name,
                color=ActorAttribute("0,0,0", ("1,1,1", "9,9,9")),
                base_type=ActorAttribute(base, modifiable=False),
                number_of_wheels=ActorAttribute("4", modifiable=False),
            )
        self._add("walker.pedestrian.0001", is_invincible=ActorAttribute("true"))
        self._add("controller.ai.walker")
        for kind in ("rgb", "semantic_segmentation"):
            sizes = {n: ActorAttribute("0") for n in ("image_size_x", "image_size_y", "fov")}
            blur = {"motion_blur_intensity": ActorAttribute("0.45")} if kind == "rgb" else {}
            self._add(f"sensor.camera.{kind}", **sizes, **blur)

    def _add(self, name: str, **attributes: ActorAttribute) -> None:
        self._kinds[name] = ActorBlueprint(name, **attributes)

    def filter(self, wildcard_pattern: str) -> list[ActorBlueprint]:
        return [b for b in self._kinds.values() if b.id.startswith(wildcard_pattern.rstrip("*"))]

    def find(self, id: str) -> ActorBlueprint:
        return self._kinds[id]


class Actor:
    def __init__(self, world: World, blueprint: ActorBlueprint, transform: Transform) -> None:
        self.type_id = blueprint.id
        self.attributes = {name: a.as_str() for name, a in blueprint._attributes.items()}
        self._world, self._transform, self._alive, self._physics = world, transform, True, True

    def get_transform(self) -> Transform:
        return self._transform

    def get_location(self) -> Location:
        place = self._transform.location
        return Location(place.x, place.y, place.z)

    def set_transform(self, transform: Transform) -> None:
        self._transform = transform

    def set_simulate_physics(self, enabled: bool = True) -> None:
        self._physics = enabled

    def destroy(self) -> bool:
        assert self._alive, f"{self.type_id} was destroyed twice"
        self._alive = False
        self._world._actors.remove(self)
        return True


class Vehicle(Actor):
    _autopilot = False
    _lights = VehicleLightState(64)

    def set_autopilot(self, enabled: bool = True, tm_port: int = 8000) -> None:
        self._autopilot = enabled

    def set_target_velocity(self, velocity: Vector3D) -> None: ...

    def set_target_angular_velocity(self, angular_velocity: Vector3D) -> None: ...

    def get_light_state(self) -> VehicleLightState:
        return self._lights

    def set_light_state(self, light_state: VehicleLightState) -> None:
        assert isinstance(light_state, VehicleLightState)
        self._lights = light_state


class Walker(Actor):
    def apply_control(self, control: WalkerControl) -> None:
        assert control.speed == 0


class WalkerAIController(Actor):
    _started = False

    def start(self) -> None:
        self._started = True

    def stop(self) -> None:
        self._started = False

    def go_to_location(self, destination: Location) -> None:
        assert self._started

    def set_max_speed(self, speed: float) -> None: ...


class TrafficLight:
    def __init__(self, number: int) -> None:
        self._id, self._state = str(number), TrafficLightState.Green

    def get_opendrive_id(self) -> str:
        return self._id

    def get_state(self) -> TrafficLightState:
        return self._state

    def set_state(self, light_state: TrafficLightState) -> None:
        self._state = light_state


class Image:
    def __init__(self, frame: int, pixels: np.ndarray) -> None:
        self.frame, self.raw_data = frame, pixels.tobytes()
        self.height, self.width = pixels.shape[:2]


class Sensor(Actor):
    _callback: Any = None

    def listen(self, callback: Any) -> None:
        self._callback = callback

    def stop(self) -> None:
        self._callback = None


class LightManager:
    def __init__(self) -> None:
        self._lit = False

    def set_day_night_cycle(self, active: bool) -> None: ...

    def get_all_lights(self, light_group: LightGroup = LightGroup.Street) -> list[str]:
        return ["lamp"]

    def turn_on(self, lights: list[str]) -> None:
        self._lit = True

    def turn_off(self, lights: list[str]) -> None:
        self._lit = False


class WorldSettings:
    def __init__(self) -> None:
        self.synchronous_mode, self.fixed_delta_seconds = False, None


class Map:
    def get_spawn_points(self) -> list[Transform]:
        return [Transform(Location(6.0 * n, 4.0 * (n % 2), 0.5), Rotation(yaw=3.0 * n)) for n in range(12)]


class TrafficManager:
    def __init__(self) -> None:
        self._synchronous = False

    def set_synchronous_mode(self, mode_switch: bool) -> None:
        self._synchronous = mode_switch

    def set_random_device_seed(self, value: int) -> None: ...


class ActorList(list[Any]):
    def filter(self, wildcard_pattern: str) -> list[Any]:
        return list(self)


class World:
    def __init__(self) -> None:
        self._frame, self._actors, self._settings = 0, [], WorldSettings()
        self._library, self._lights = BlueprintLibrary(), LightManager()
        self._signals = [TrafficLight(number) for number in (12, 7)]
        self._weather, self._frozen = WeatherParameters(), False
        self._random, self._drift, self._stuck = random.Random(0), 0, False

    def get_settings(self) -> WorldSettings:
        copy = WorldSettings()
        copy.__dict__.update(self._settings.__dict__)
        return copy

    def apply_settings(self, settings: WorldSettings, seconds: float = 0.0) -> int:
        self._settings = settings
        return self._frame

    def get_blueprint_library(self) -> BlueprintLibrary:
        return self._library

    def get_map(self) -> Map:
        return Map()

    def get_lightmanager(self) -> LightManager:
        return self._lights

    def get_actors(self) -> ActorList:
        return ActorList(self._signals)

    def get_traffic_light_from_opendrive_id(self, traffic_light_id: str) -> TrafficLight | None:
        return next((light for light in self._signals if light.get_opendrive_id() == traffic_light_id), None)

    def set_pedestrians_seed(self, seed: int) -> None:
        self._random.seed(seed)

    def get_random_location_from_navigation(self) -> Location | None:
        return Location(self._random.uniform(0, 60), self._random.uniform(-9, 9), 0.9)

    def freeze_all_traffic_lights(self, frozen: bool) -> None:
        self._frozen = frozen

    def set_weather(self, weather: WeatherParameters) -> None:
        self._weather = weather

    def try_spawn_actor(self, blueprint: ActorBlueprint, transform: Transform, attach_to: Any = None) -> Actor | None:
        kinds = {"vehicle": Vehicle, "walker": Walker, "controller": WalkerAIController, "sensor": Sensor}
        actor = kinds[blueprint.id.partition(".")[0]](self, blueprint, transform)
        self._actors.append(actor)
        return actor

    def spawn_actor(self, blueprint: ActorBlueprint, transform: Transform, attach_to: Any = None) -> Actor:
        actor = self.try_spawn_actor(blueprint, transform, attach_to)
        assert actor is not None
        return actor

    def tick(self, seconds: float = 0.0) -> int:
        assert self._settings.synchronous_mode
        self._frame += 1
        for actor in self._actors:
            if isinstance(actor, Vehicle) and actor._autopilot and actor._physics and not self._stuck:
                actor._transform.location.x += 0.5
        for actor in list(self._actors):
            if isinstance(actor, Sensor) and actor._callback is not None:
                actor._callback(Image(self._frame, self._see(actor)))
        return self._frame

    def _see(self, sensor: Sensor) -> np.ndarray:
        height, width = int(sensor.attributes["image_size_y"]), int(sensor.attributes["image_size_x"])
        tags = np.full((height, width), 11, np.uint8)
        tags[height // 2 :] = 1
        eye = sensor.get_location()
        for actor in self._actors:
            if isinstance(actor, Vehicle):
                ahead = actor.get_location().x - eye.x
                if ahead > 0:
                    x = int(width / 2 + width * (actor.get_location().y - eye.y) / (ahead + 4))
                    tags[height // 2 : height // 2 + 3, max(x, 0) : max(x + 3, 0)] = 14
        if self._drift:
            tags = np.roll(tags, int(self._drift * self._weather.sun_altitude_angle / 10), axis=1)
        if sensor.type_id.endswith("rgb"):
            light = max(60 + self._weather.sun_altitude_angle, 5) / 120
            grey = (tags * 12 * light).astype(np.uint8)
            return np.stack([grey // 2, grey, grey + 3 * self._lights._lit, np.full_like(grey, 255)], axis=-1)
        return np.stack([0 * tags, 0 * tags, tags, np.full_like(tags, 255)], axis=-1)


def module(version: str = "0.9.15-7-g1234", *, answers: bool = True) -> Any:
    """What `import carla` would give; its `worlds` are those that clients have loaded."""
    worlds: list[World] = []

    class Client:
        def __init__(self, host: str = "127.0.0.1", port: int = 2000, worker_threads: int = 0) -> None:
            self._traffic = TrafficManager()

        def set_timeout(self, seconds: float) -> None: ...

        def get_server_version(self) -> str:
            if not answers:
                raise RuntimeError(DOWN)
            return version

        def load_world(self, map_name: str, reset_settings: bool = True) -> World:
            worlds.append(World())
            return worlds[-1]

        def get_trafficmanager(self, client_connection: int = 8000) -> TrafficManager:
            return self._traffic

    names = (
        VehicleLightState, LightGroup, TrafficLightState, Vector3D, Location, Rotation, Transform, WeatherParameters,
        WalkerControl, ActorAttribute, ActorBlueprint, BlueprintLibrary, Actor, Vehicle, Walker, WalkerAIController,
        TrafficLight, Image, Sensor, LightManager, WorldSettings, Map, TrafficManager, ActorList, World, Client,
    )  # fmt: skip
    return types.SimpleNamespace(worlds=worlds, **{each.__name__: each for each in names})
