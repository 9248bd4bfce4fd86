"""Scenes in several appearances, as training and evaluation take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from nearfar.segmentation.classes import ClassSet, class_set, remap
from nearfar.segmentation.data.cache import rendered
from nearfar.segmentation.method import SceneBatch
from nearfar.segmentation.street import StreetScenes
from nearfar.training import Data

GENERATOR = "nearfar.segmentation.street"
"""What made a rendered scene, in its configuration."""


class Scenes(Data):
    """Scenes, each in one or more appearances and with one label map (or none).

    Attributes:
        classes: the set of classes whose positions the label maps hold; 255 is ignored.
        appearances: names of the appearances, in the order of a batch.
        labelled: whether there are label maps; without them every pixel of a batch is 255.
    """

    gives = SceneBatch

    classes: ClassSet
    appearances: tuple[str, ...] = ("image",)
    labelled: bool = True
    held_out: Mapping[str, Data] = {}

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"num_classes": len(self.classes)}

    def splits(self) -> Mapping[str, Data]:
        return self.held_out

    def config(self, index: int) -> Mapping[str, Any] | None:
        """What a scene can be made again from, as JSON holds it; None when it cannot."""
        return None


class RenderedScenes(Scenes):
    """Street scenes in memory, rendered once and kept in the user's cache folder between runs.

    Args:
        scenes: numbers of the scenes.
        appearances: names of the appearances, at least one.
        size: (height, width) in pixels.
        name: what to call the set.
        splits: held-out sets by name.
        classes: the set whose label values are wanted, by name; the renderer's own 16 when not given.
    """

    def __init__(
        self,
        scenes: Sequence[int],
        appearances: Sequence[str],
        size: tuple[int, int],
        *,
        name: str = "street",
        splits: Mapping[str, Data] | None = None,
        classes: str | ClassSet | None = None,
    ) -> None:
        self.scenes = np.asarray(scenes)
        self.appearances = tuple(appearances)
        self.images, self.label_maps = rendered(StreetScenes(size=size), self.scenes, self.appearances)
        self.classes = class_set(classes or StreetScenes.classes)
        if self.classes != StreetScenes.classes:
            self.label_maps = remap(self.label_maps, StreetScenes.classes, self.classes)
        self.name = name
        self.held_out = dict(splits or {})

    def __len__(self) -> int:
        return len(self.scenes)

    def batch(self, indices: np.ndarray) -> SceneBatch:
        images = torch.from_numpy(self.images[indices]).permute(0, 1, 4, 2, 3)
        return SceneBatch(images, torch.from_numpy(self.label_maps[indices]).long(), torch.as_tensor(indices))

    @property
    def ids(self) -> np.ndarray:
        return self.scenes

    def config(self, index: int) -> Mapping[str, Any]:
        height, width = self.images.shape[2:4]
        return {
            "generator": GENERATOR,
            "seed": 0,
            "scene": int(self.scenes[index]),
            "size": [height, width],
            "appearances": list(self.appearances),
        }
