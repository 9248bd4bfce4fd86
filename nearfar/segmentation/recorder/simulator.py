"""The one place that talks to the CARLA simulator.

Written against the Python client of CARLA 0.9.16 (package ``carla``); no other version was looked at. It has been
run against a stand-in with the client's names and never against a simulator, which needs a graphics card: check
the first scenes that you record by eye and with ``nearfar data check``.
"""

from __future__ import annotations

import contextlib
import queue
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from nearfar.segmentation.recorder.client import attribute, client_module, described, pose, three_numbers
from nearfar.segmentation.recorder.config import SceneConfig
from nearfar.segmentation.recorder.weather import Look

Pixels = npt.NDArray[np.uint8]

STEP = 0.05
"""Seconds of simulated time per step."""
WARM_UP = 30
"""Steps between a change of weather and a picture, in which exposure and sky settle."""


@dataclass(frozen=True)
class Camera:
    """Picture size in pixels, horizontal field of view in degrees, metres ahead of and above the vehicle's centre."""

    width: int = 2048
    height: int = 1024
    fov: float = 90.0
    ahead: float = 1.5
    above: float = 1.7


class Simulator:
    """A connection to a CARLA server that drives, stops the world, describes it and photographs it.

    As a context manager it removes what it spawned and gives the server its settings back.

    Args:
        host: where the server runs.
        port: its port; the traffic manager listens at ``traffic_port``.
        timeout: seconds to wait for an answer or a picture.
        carla: the client's module; imported when not given.

    Raises:
        ImportError: the package ``carla`` is not installed. ConnectionError: no server answers.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 2000,
        *,
        timeout: float = 60.0,
        traffic_port: int = 8000,
        carla: Any = None,
    ) -> None:
        self.carla = carla or client_module()
        self.timeout = timeout
        self.client = self.carla.Client(host, port)
        self.client.set_timeout(timeout)
        try:
            self.version = three_numbers(self.client.get_server_version())
        except RuntimeError as error:
            raise ConnectionError(
                f"no CARLA server answers at {host}:{port}; start one in CARLA's folder with "
                "`./CarlaUE4.sh -RenderOffScreen` (CarlaUE4.exe on Windows) and run this again"
            ) from error
        self.traffic_port = traffic_port
        self.town = ""
        self._settings: Any = None
        self._vehicles: list[Any] = []
        self._walkers: list[Any] = []
        self._controllers: list[Any] = []

    def __enter__(self) -> Simulator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove everything spawned and give the world its settings back."""
        if not self.town:
            return
        self.clear()
        self.client.get_trafficmanager(self.traffic_port).set_synchronous_mode(False)
        self.world.apply_settings(self._settings)
        self.town = ""

    def open(self, town: str, camera: Camera, *, seed: int = 0) -> None:
        """Load a map and step it by hand, with everything random drawn from ``seed``."""
        self.close()
        self.world = self.client.load_world(town)
        self._settings = self.world.get_settings()
        settings = self.world.get_settings()
        settings.synchronous_mode = True
        settings.fixed_delta_seconds = STEP
        self.town, self.camera, self.seed = town, camera, seed
        self.world.apply_settings(settings)
        self.random = random.Random(seed)
        self.world.set_pedestrians_seed(seed)
        traffic = self.client.get_trafficmanager(self.traffic_port)
        traffic.set_synchronous_mode(True)
        traffic.set_random_device_seed(seed)
        self.world.get_lightmanager().set_day_night_cycle(False)
        self.frame = self.world.tick()

    def clear(self) -> None:
        """Remove what was spawned."""
        for controller in self._controllers:
            controller.stop()
        for actor in (*self._controllers, *self._walkers, *self._vehicles):
            actor.destroy()
        self._controllers, self._walkers, self._vehicles = [], [], []

    def populate(self, *, vehicles: int, walkers: int) -> None:
        """Spawn our own vehicle, which carries the camera, then others and walkers while there is room."""
        library = self.world.get_blueprint_library()
        kinds = sorted(library.filter("vehicle.*"), key=lambda blueprint: blueprint.id)
        cars = [kind for kind in kinds if attribute(kind, "base_type") in ("car", None)]
        places = list(self.world.get_map().get_spawn_points())
        self.random.shuffle(places)
        for place in places:
            if len(self._vehicles) > vehicles:
                break
            kind = self.random.choice(kinds if self._vehicles else cars)
            for name in ("color", "driver_id"):
                if kind.has_attribute(name):
                    kind.set_attribute(name, self.random.choice(list(kind.get_attribute(name).recommended_values)))
            vehicle = self.world.try_spawn_actor(kind, place)
            if vehicle is not None:
                vehicle.set_autopilot(True, self.traffic_port)
                self._vehicles.append(vehicle)
        if not self._vehicles:
            raise RuntimeError(f"no vehicle could be spawned in {self.town}; reload the map or restart the server")
        people = sorted(library.filter("walker.pedestrian.*"), key=lambda blueprint: blueprint.id)
        brain = library.find("controller.ai.walker")
        for _ in range(walkers):
            location = self.world.get_random_location_from_navigation()
            if location is None:
                continue
            walker = self.world.try_spawn_actor(self.random.choice(people), self.carla.Transform(location))
            if walker is not None:
                self._walkers.append(walker)
                self._controllers.append(self.world.spawn_actor(brain, self.carla.Transform(), walker))
        self.frame = self.world.tick()
        self._walk()

    def drive(self, steps: int, distance: float, at_most: int = 2000) -> None:
        """Let the world run for ``steps`` steps, and until our vehicle is ``distance`` metres from where it was."""
        start = self._vehicles[0].get_location()
        for step in range(at_most):
            if step >= steps and self._vehicles[0].get_location().distance(start) > distance:
                return
            self.frame = self.world.tick()
        raise RuntimeError(
            f"our vehicle did not get {distance:g} m away within {at_most} steps, so traffic is stuck; use another "
            "seed or fewer vehicles"
        )

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Nothing moves inside the block; afterwards everybody goes on."""
        still = self.carla.Vector3D(0.0, 0.0, 0.0)
        for vehicle in self._vehicles:
            vehicle.set_autopilot(False, self.traffic_port)
            vehicle.set_target_velocity(still)
            vehicle.set_target_angular_velocity(still)
            vehicle.set_simulate_physics(False)
        for controller in self._controllers:
            controller.stop()
        for walker in self._walkers:
            walker.apply_control(self.carla.WalkerControl(speed=0.0))
            walker.set_simulate_physics(False)
        self.world.freeze_all_traffic_lights(True)
        self.frame = self.world.tick()
        try:
            yield
        finally:
            self.world.freeze_all_traffic_lights(False)
            for actor in (*self._vehicles, *self._walkers):
                actor.set_simulate_physics(True)
            for vehicle in self._vehicles:
                vehicle.set_autopilot(True, self.traffic_port)
            self._walk()

    def describe(self, looks: Mapping[str, Look]) -> SceneConfig:
        """The frozen world as a configuration."""
        lights = self.world.get_actors().filter("traffic.traffic_light*")
        return SceneConfig(
            carla_version=self.version,
            town=self.town,
            seed=self.seed,
            frame=int(self.frame),
            camera=self._camera_pose(),
            actors=tuple({**described(v), "light_state": int(v.get_light_state())} for v in self._vehicles),
            walkers=tuple(described(walker) for walker in self._walkers),
            traffic_lights=tuple(
                sorted(
                    ({"opendrive_id": light.get_opendrive_id(), "state": light.get_state().name} for light in lights),
                    key=lambda each: each["opendrive_id"],
                )
            ),
            appearances={name: {"weather": dict(look.weather), "lights": look.lights} for name, look in looks.items()},
        )

    def restore(self, config: SceneConfig) -> None:
        """Put a described world up again: its map, its actors where they stood, its signals. Nothing moves."""
        size = Camera(int(config.camera["width"]), int(config.camera["height"]), float(config.camera["fov"]))
        if self.town != config.town:
            self.open(config.town, size, seed=config.seed)
        self.clear()
        for kept, known in ((self._vehicles, config.actors), (self._walkers, config.walkers)):
            for each in known:
                kept.append(self._spawn_again(each))
        for vehicle, each in zip(self._vehicles, config.actors, strict=True):
            vehicle.set_light_state(self.carla.VehicleLightState(int(each["light_state"])))
        for each in config.traffic_lights:
            light = self.world.get_traffic_light_from_opendrive_id(each["opendrive_id"])
            if light is not None:
                light.set_state(getattr(self.carla.TrafficLightState, each["state"]))
        self.world.freeze_all_traffic_lights(True)
        self.frame = self.world.tick()

    def photograph(
        self, camera: Mapping[str, float], looks: Mapping[str, Look], states: tuple[int, ...]
    ) -> dict[str, tuple[Pixels, Pixels]]:
        """Each look's picture (H, W, 3) and semantic tags (H, W), both of the same frame.

        Args:
            camera: pose and optics, as a configuration states them.
            looks: what to set before each picture.
            states: light states of the vehicles by day; with lights on, position lights and low beams come on top.
        """
        lens = ("sensor.camera.rgb", "sensor.camera.semantic_segmentation")
        sensors = [self._place_camera(kind, camera) for kind in lens]
        pictures = {}
        try:
            inboxes: list[queue.Queue[Any]] = []
            for sensor in sensors:
                inboxes.append(queue.Queue())
                sensor.listen(inboxes[-1].put)
            for name, look in looks.items():
                self._set(look, states)
                for _ in range(WARM_UP):
                    self.frame = self.world.tick()
                self.frame = self.world.tick()
                shown, tags = (self._receive(inbox) for inbox in inboxes)
                pictures[name] = (np.ascontiguousarray(shown[:, :, 2::-1]), np.ascontiguousarray(tags[:, :, 2]))
        finally:
            for sensor in sensors:
                sensor.stop()
                sensor.destroy()
            for vehicle, state in zip(self._vehicles, states, strict=True):
                vehicle.set_light_state(self.carla.VehicleLightState(state))
        return pictures

    def _set(self, look: Look, states: tuple[int, ...]) -> None:
        kind = self.carla.VehicleLightState
        self.world.set_weather(self.carla.WeatherParameters(**look.weather))
        manager = self.world.get_lightmanager()
        lamps = manager.get_all_lights(self.carla.LightGroup.Street)
        (manager.turn_on if look.lights else manager.turn_off)(lamps)
        beams = int(kind.Position) | int(kind.LowBeam) if look.lights else 0
        for vehicle, state in zip(self._vehicles, states, strict=True):
            vehicle.set_light_state(kind(state | beams))

    def _receive(self, inbox: queue.Queue[Any]) -> Pixels:
        """The current frame's picture (H, W, 4), BGRA; pictures of earlier frames are dropped."""
        while True:
            try:
                image = inbox.get(timeout=self.timeout)
            except queue.Empty:
                raise RuntimeError(f"a camera gave no picture of frame {self.frame} in {self.timeout:g} s") from None
            if image.frame == self.frame:
                # The client reuses the memory behind raw_data.
                return np.frombuffer(image.raw_data, np.uint8).reshape(image.height, image.width, 4).copy()

    def _place_camera(self, kind: str, camera: Mapping[str, float]) -> Any:
        blueprint = self.world.get_blueprint_library().find(kind)
        blueprint.set_attribute("image_size_x", str(int(camera["width"])))
        blueprint.set_attribute("image_size_y", str(int(camera["height"])))
        blueprint.set_attribute("fov", str(camera["fov"]))
        if blueprint.has_attribute("motion_blur_intensity"):
            blueprint.set_attribute("motion_blur_intensity", "0")
        return self.world.spawn_actor(blueprint, self._transform(camera))

    def _camera_pose(self) -> dict[str, float]:
        transform = self._vehicles[0].get_transform()
        ahead, above = transform.get_forward_vector(), transform.get_up_vector()
        found = pose(transform)
        for axis in "xyz":
            shift = self.camera.ahead * getattr(ahead, axis) + self.camera.above * getattr(above, axis)
            found[axis] = round(found[axis] + shift, 4)
        return {**found, "fov": self.camera.fov, "width": self.camera.width, "height": self.camera.height}

    def _spawn_again(self, known: Mapping[str, Any]) -> Any:
        blueprint = self.world.get_blueprint_library().find(known["type_id"])
        for name, value in known["attributes"].items():
            if blueprint.has_attribute(name) and blueprint.get_attribute(name).is_modifiable:
                blueprint.set_attribute(name, value)
        exact = self._transform(known["transform"])
        # At its exact height an actor touches the ground, and the server refuses to spawn it.
        raised = self._transform({**known["transform"], "z": known["transform"]["z"] + 2.0})
        actor = self.world.try_spawn_actor(blueprint, raised)
        if actor is None:
            raise RuntimeError(f"{known['type_id']} cannot be spawned where it stood; restart the server and try again")
        actor.set_simulate_physics(False)
        actor.set_transform(exact)
        return actor

    def _transform(self, place: Mapping[str, float]) -> Any:
        carla = self.carla
        location = carla.Location(x=place["x"], y=place["y"], z=place["z"])
        return carla.Transform(location, carla.Rotation(pitch=place["pitch"], yaw=place["yaw"], roll=place["roll"]))

    def _walk(self) -> None:
        for controller in self._controllers:
            controller.start()
            goal = self.world.get_random_location_from_navigation()
            if goal is not None:
                controller.go_to_location(goal)
            controller.set_max_speed(1.4)
