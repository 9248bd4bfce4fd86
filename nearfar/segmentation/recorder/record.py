"""From a running street to files: stop the world, photograph it in every appearance, keep what is aligned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nearfar.segmentation.classes import carla_tags_to_train_ids
from nearfar.segmentation.data import layout
from nearfar.segmentation.data.writing import write_png, write_split
from nearfar.segmentation.recorder.config import SceneConfig
from nearfar.segmentation.recorder.simulator import Simulator
from nearfar.segmentation.recorder.weather import LOOKS, Look

Pixels = npt.NDArray[np.uint8]

AGREEMENT = 0.999
"""Share of pixels on which the label maps of all appearances must agree."""
REJECTED_IN_A_ROW = 20


class DriftError(RuntimeError):
    """The label maps of a scene's appearances disagree: something moved between the pictures."""


def agreement(labels: Sequence[Pixels]) -> float:
    """Share of pixels, in [0, 1], to which all label maps (H, W) give the same class."""
    stack = np.stack(labels)
    return float((stack == stack[0]).all(0).mean())


def record_scenes(
    simulator: Simulator,
    root: Path | str,
    count: int,
    *,
    looks: Mapping[str, Look] = LOOKS,
    split: str = "train",
    steps: int = 100,
    distance: float = 20.0,
    say: Callable[[str], None] = print,
) -> list[str]:
    """Record ``count`` scenes from a simulator that has been opened and populated.

    Between scenes the world runs for ``steps`` steps and until our vehicle has moved ``distance`` metres. A scene whose
    label maps agree on less than 99.9 % of pixels is left out. Every scene is complete on disk before its name is
    added to the split, so an interrupted recording can be used, and continued by the same command.

    Returns:
        The names of the new scenes.

    Raises:
        DriftError: 20 scenes in a row were not aligned. RuntimeError: traffic is stuck, or a camera is silent.
    """
    root = Path(root)
    listing = root / layout.SPLITS.format(split=split)
    listed = layout.read_split(root, split) if listing.is_file() else []
    taken = {path.stem for path in (root / "configs").glob("*.json")}
    names: list[str] = []
    number = rejected = 0
    while len(names) < count:
        simulator.drive(steps, distance)
        while f"{simulator.town}_{number:06d}" in taken:
            number += 1
        scene = f"{simulator.town}_{number:06d}"
        with simulator.frozen():
            config = simulator.describe(looks)
            try:
                _photograph(simulator, config, looks, root, scene)
            except DriftError as error:
                rejected += 1
                if rejected == REJECTED_IN_A_ROW:
                    raise DriftError(f"{rejected} scenes in a row were left out; of the last one, {error}") from error
                say(f"a scene was left out: {error}")
                continue
        rejected = 0
        taken.add(scene)
        names.append(scene)
        listed.append(scene)
        write_split(root, split, listed)
        say(f"{scene}: {len(names)} of {count}")
    return names


def render_from_config(simulator: Simulator, config: SceneConfig, root: Path | str, scene: str) -> None:
    """Put a scene up again from its configuration and write its pictures, label map and configuration.

    Raises:
        DriftError: the label maps of its appearances disagree.
    """
    simulator.restore(config)
    looks = {name: Look(look["weather"], look["lights"]) for name, look in config.appearances.items()}
    _photograph(simulator, config, looks, Path(root), scene)


def _photograph(simulator: Simulator, config: SceneConfig, looks: Mapping[str, Look], root: Path, scene: str) -> None:
    states = tuple(int(actor["light_state"]) for actor in config.actors)
    pictures = simulator.photograph(config.camera, looks, states)
    labels = [carla_tags_to_train_ids(tags, config.carla_version) for _, tags in pictures.values()]
    agreed = agreement(labels)
    if agreed < AGREEMENT:
        raise DriftError(
            f"the label maps of its appearances agree on {agreed:.2%} of pixels, and {AGREEMENT:.1%} are needed; "
            "something moved between the pictures"
        )
    for name, (picture, _) in pictures.items():
        write_png(root / layout.IMAGES.format(appearance=name, scene=scene), picture)
    write_png(root / layout.LABELS.format(scene=scene), labels[0])
    config.write(root / layout.CONFIGS.format(scene=scene))
