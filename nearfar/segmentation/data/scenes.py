"""Scenes in several appearances, as training and evaluation take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from nearfar.segmentation.method import SceneBatch
from nearfar.segmentation.street import StreetScenes
from nearfar.training import Data


class RenderedScenes(Data):
    """Street scenes rendered once and kept in memory.

    Args:
        scenes: numbers of the scenes.
        appearances: names of the appearances, at least one.
        size: (height, width) in pixels.
        name: what to call the set.
        splits: held-out sets by name.
    """

    def __init__(
        self,
        scenes: Sequence[int],
        appearances: Sequence[str],
        size: tuple[int, int],
        *,
        name: str = "street",
        splits: Mapping[str, Data] | None = None,
    ) -> None:
        self.scenes = np.asarray(scenes)
        self.appearances = tuple(appearances)
        self.images, self.label_maps = StreetScenes(size=size).batch(self.scenes, self.appearances)
        self.classes = StreetScenes.classes
        self.name = name
        self._splits = dict(splits or {})

    def __len__(self) -> int:
        return len(self.scenes)

    def batch(self, indices: np.ndarray) -> SceneBatch:
        images = torch.from_numpy(self.images[indices]).permute(0, 1, 4, 2, 3)
        return SceneBatch(images, torch.from_numpy(self.label_maps[indices]).long(), torch.as_tensor(indices))

    @property
    def ids(self) -> np.ndarray:
        return self.scenes

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"num_classes": len(self.classes)}

    def splits(self) -> Mapping[str, Data]:
        return self._splits
