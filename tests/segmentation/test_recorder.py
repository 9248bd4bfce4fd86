"""Recording against a stand-in for the simulator: alignment, determinism, tidiness, and rendering again."""

from __future__ import annotations

import dataclasses
import inspect
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nearfar.cli import main
from nearfar.segmentation.classes import CARLA4AGT_16
from nearfar.segmentation.data import load
from nearfar.segmentation.data.checker import check
from nearfar.segmentation.data.files import BadFile, read_label
from nearfar.segmentation.recorder.config import SceneConfig
from nearfar.segmentation.recorder.record import DriftError, agreement, record_scenes, render_from_config
from nearfar.segmentation.recorder.simulator import Camera, Simulator
from nearfar.segmentation.recorder.weather import LOOKS, WEATHER_FIELDS
from tests.segmentation import fake_carla

SIZE = Camera(width=64, height=32)


def record(root: Path, carla: Any, count: int = 2, seed: int = 0, **options: Any) -> list[str]:
    with Simulator(carla=carla, timeout=0.2) as simulator:
        simulator.open("Town10HD", SIZE, seed=seed)
        simulator.populate(vehicles=5, walkers=3)
        for name, value in options.items():
            setattr(carla.worlds[-1], f"_{name}", value)
        return record_scenes(simulator, root, count, say=lambda text: None)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("recorded")
    record(root, fake_carla.module())
    return root


def test_a_recording_is_sound_and_is_read_as_training_data(recorded: Path) -> None:
    report = check(recorded, classes="carla4agt16")
    assert report.scenes == 2
    assert not report.findings
    data = load(recorded)
    assert data.appearances == ("noon", "sunset", "night", "foggy")
    batch = data.batch(np.arange(2))
    assert batch.images.shape == (2, 4, 3, 32, 64)
    assert {CARLA4AGT_16.names[v] for v in batch.labels.unique().tolist()} == {"sky", "road", "car"}
    brightness = batch.images.float().mean((0, 2, 3, 4))
    assert brightness[2] < brightness[1] < brightness[0]  # night, sunset, noon
    night = batch.images[0, 2]
    assert (night[0] > night[1]).all()  # red first, and the street lamps are lit
    assert (batch.images[0, 0, 0] == batch.images[0, 0, 1]).all()  # they are not by day


def test_equal_seeds_give_equal_bytes(recorded: Path, tmp_path: Path) -> None:
    record(tmp_path, fake_carla.module())
    for path in (recorded / "configs").glob("*.json"):
        assert path.read_bytes() == (tmp_path / "configs" / path.name).read_bytes()
    other = tmp_path / "other"
    record(other, fake_carla.module(), seed=1)
    name = "Town10HD_000000.json"
    assert (other / "configs" / name).read_bytes() != (recorded / "configs" / name).read_bytes()


def test_a_scene_is_rendered_again_from_its_configuration(recorded: Path, tmp_path: Path) -> None:
    carla = fake_carla.module()
    with Simulator(carla=carla) as simulator:
        for path in sorted((recorded / "configs").glob("*.json")):
            config = SceneConfig.read(path)
            assert SceneConfig.read(path).to_json() == path.read_text()
            render_from_config(simulator, config, tmp_path, path.stem)
            states = {light.get_opendrive_id(): light.get_state().name for light in carla.worlds[-1]._signals}
            assert states == {each["opendrive_id"]: each["state"] for each in config.traffic_lights}
    assert len(carla.worlds) == 1
    for path in recorded.rglob("*.png"):
        assert path.read_bytes() == (tmp_path / path.relative_to(recorded)).read_bytes()


def test_a_misaligned_scene_is_left_out(tmp_path: Path) -> None:
    with pytest.raises(DriftError, match=r"20 scenes in a row were left out; of the last one, .* agree on 9\d"):
        record(tmp_path, fake_carla.module(), drift=1)
    assert not list(tmp_path.rglob("*.png"))


def test_agreement_is_that_of_all_maps() -> None:
    base = np.zeros((10, 100), np.uint8)
    others = [base.copy() for _ in range(3)]
    others[0][0, 0] = others[2][5, 5] = 7
    assert agreement([base, *others]) == 0.998
    assert agreement([base]) == 1


def test_an_interrupted_recording_can_be_used_and_continued(tmp_path: Path) -> None:
    carla = fake_carla.module()
    first = record(tmp_path, carla, 1)
    (tmp_path / "splits/train.txt").read_text()
    more = record(tmp_path, carla, 2, seed=1)
    assert (first, more) == (["Town10HD_000000"], ["Town10HD_000001", "Town10HD_000002"])
    assert (tmp_path / "splits/train.txt").read_text().split() == first + more
    assert not check(tmp_path).findings


def test_the_server_gets_its_world_back(tmp_path: Path) -> None:
    carla = fake_carla.module()
    with pytest.raises(RuntimeError, match="did not get 20 m away within 2000 steps"):
        record(tmp_path, carla, stuck=True)
    record(tmp_path, carla)
    for world in carla.worlds:
        assert world._actors == []
        assert not world._settings.synchronous_mode


def test_a_silent_camera_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake_carla.Sensor, "listen", lambda self, callback: None)
    with pytest.raises(RuntimeError, match=r"a camera gave no picture of frame \d+ in 0.2 s"):
        record(tmp_path, fake_carla.module())


def test_old_servers_number_their_tags_differently(tmp_path: Path) -> None:
    record(tmp_path, fake_carla.module("0.9.13"), 1)
    assert json.loads((tmp_path / "configs/Town10HD_000000.json").read_text())["carla_version"] == "0.9.13"
    label = read_label(tmp_path / "labels/Town10HD_000000.png")
    assert set(np.unique(label)) == {2, 3, 255}  # the stand-in's 1, 11 and 14: a building, a wall, the ground
    with pytest.raises(ConnectionError, match="calls its version 'custom'"):
        Simulator(carla=fake_carla.module("custom"))


@pytest.mark.parametrize("command", [["record", "--scenes", "1"], ["render"]])
def test_without_package_or_server(
    recorded: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
) -> None:
    config = [str(recorded / "configs/Town10HD_000000.json")] if command == ["render"] else []
    words = ["data", *command, *config, "--out", str(tmp_path)]
    monkeypatch.setitem(sys.modules, "carla", None)
    assert main(words) == 2
    assert "pip install 'nearfar[carla]'" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "carla", fake_carla.module(answers=False))
    assert main(words) == 2
    assert "no CARLA server answers at 127.0.0.1:2000; start one" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "carla", fake_carla.module())
    small = ["--width", "64", "--height", "32", "--vehicles", "3", "--walkers", "1"] if not config else []
    assert main([*words, *small]) == 0
    assert check(tmp_path).scenes == 1


def test_configurations_are_validated(recorded: Path, tmp_path: Path) -> None:
    sound = json.loads((recorded / "configs/Town10HD_000000.json").read_text())
    cases = [
        ({"camera": {**sound["camera"], "fov": "wide"}}, "has no number for camera.fov"),
        ({"actors": [{"type_id": "vehicle.a"}]}, r"has actors\[0\] without attributes, transform, light_state"),
        ({"appearances": {"noon": {"weather": {}}}}, "has appearances.noon without lights"),
        (
            {"appearances": {"noon": {"weather": {}, "lights": False}}},
            "has no number for appearances.noon.weather.clou",
        ),
        ({"seed": "x"}, "has seed = 'x'"),
    ]
    path = tmp_path / "scene.json"
    for change, message in cases:
        path.write_text(json.dumps({**sound, **change}))
        with pytest.raises(BadFile, match=message):
            SceneConfig.read(path)


def test_appearances_share_what_geometry_depends_on() -> None:
    for name in ("wind_intensity", "precipitation_deposits", "sun_azimuth_angle"):
        assert len({look.weather[name] for look in LOOKS.values()}) == 1
    assert all(tuple(look.weather) == WEATHER_FIELDS for look in LOOKS.values())
    assert [name for name, look in LOOKS.items() if look.lights] == ["night"]
    assert tuple(inspect.signature(fake_carla.WeatherParameters).parameters) == WEATHER_FIELDS


def test_the_stand_in_has_the_clients_names() -> None:
    real = pytest.importorskip("carla", reason="the CARLA client (nearfar[carla]) is not installed")
    fake = fake_carla.module()
    for name, cls in vars(fake).items():
        if isinstance(cls, type):
            theirs = getattr(real, name)
            missing = [n for n in dir(cls) if not n.startswith("_") and not hasattr(theirs, n) and not hasattr(list, n)]
            missing = [n for n in missing if not hasattr(int, n)]
            assert not missing, f"carla.{name} has no {missing}"
    words = [word.partition("=")[0] for word in real.WeatherParameters.__init__.__doc__.split("(float)")[1:]]
    assert tuple(words[: len(WEATHER_FIELDS)]) == WEATHER_FIELDS
    assert [f.name for f in dataclasses.fields(SceneConfig)][:2] == ["carla_version", "town"]
