"""Labelled scenes beside unlabelled pictures of another domain."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nearfar.segmentation.data.scenes import RenderedScenes
from nearfar.segmentation.sampling import class_pixels, rare_class_draws
from nearfar.segmentation.street import HELD_OUT_APPEARANCES, TRAINING_APPEARANCES
from nearfar.training import Data

THINGS = frozenset(
    ("traffic light", "traffic sign", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle")
)
"""Classes of countable things, as DAFormer's feature distance takes them."""


class AdaptationBatch(NamedTuple):
    """Labelled scenes and as many unlabelled pictures.

    Attributes:
        images: (N, A, 3, H, W) uint8, the scenes in A appearances.
        labels: (N, H, W) int64, 255 is ignored.
        rows: (N,) int64, positions of the scenes in the source.
        targets: (N, B, 3, h, w) uint8, unlabelled, in B appearances.
        rare: (N,) int64, the class for which rare-class sampling chose the scene; -1 when it did not.
    """

    images: Tensor
    labels: Tensor
    rows: Tensor
    targets: Tensor
    rare: Tensor


class AdaptationScenes(Data):
    """Every scene of a labelled source with a picture of an unlabelled target beside it.

    An index is a source scene, or, from :meth:`order` and :meth:`rare_class_order`, one with a target and
    perhaps a class: ``scene + S * (target + T * (class + 1))``. So what an epoch meets is in its order alone, and
    any number of workers loads the same.

    Args:
        source: labelled scenes.
        target: scenes, of which labels are never read in training, or pictures without any.
        splits: held-out sets; those of target and source when not given.

    Raises:
        ValueError: an empty collection, or class sets that differ.
    """

    gives = AdaptationBatch

    def __init__(self, source: Data, target: Data, splits: Mapping[str, Data] | None = None) -> None:
        if not len(source) or not len(target):
            raise ValueError(f"adaptation needs examples on both sides, got {len(source)} labelled, {len(target)} not")
        ours, theirs = getattr(source, "classes", None), getattr(target, "classes", None)
        if ours is not None and theirs is not None and ours.names != theirs.names:
            only = ", ".join(sorted(set(ours.names) ^ set(theirs.names))) or "the same ones in another order"
            raise ValueError(f"source and target must have the same classes; only one has {only}")
        self.source, self.target, self.classes = source, target, ours
        self.name = f"{source.name} to {target.name}"
        self._splits = {**target.splits(), **source.splits()} if splits is None else dict(splits)

    def __len__(self) -> int:
        return len(self.source)

    def batch(self, indices: np.ndarray) -> AdaptationBatch:
        rest, scenes = np.divmod(np.asarray(indices, np.int64), len(self.source))
        classes, targets = np.divmod(rest, len(self.target))
        source = self.source.batch(scenes)
        pictures = self.target.batch(targets).images
        return AdaptationBatch(
            source.images,
            source.labels,
            torch.as_tensor(scenes),
            pictures if pictures.ndim == 5 else pictures.unsqueeze(1),
            torch.as_tensor(classes - 1),
        )

    def order(self, rng: np.random.Generator) -> np.ndarray:
        """Every source scene once; targets as evenly as their number allows."""
        return rng.permutation(len(self.source)) + len(self.source) * self._targets(rng)

    def rare_class_order(self, rng: np.random.Generator, temperature: float, min_pixels: int) -> np.ndarray:
        """As many source scenes as there are, drawn by :func:`~nearfar.segmentation.sampling.rare_class_draws`."""
        scenes, classes = rare_class_draws(
            self._pixels, len(self.source), rng, temperature=temperature, min_pixels=min_pixels
        )
        return scenes + len(self.source) * (self._targets(rng) + len(self.target) * (classes + 1))

    def _targets(self, rng: np.random.Generator) -> np.ndarray:
        rounds = -(-len(self.source) // len(self.target))
        order = np.concatenate([rng.permutation(len(self.target)) for _ in range(rounds)])
        return order[: len(self.source)].astype(np.int64)

    @cached_property
    def _pixels(self) -> np.ndarray:
        return class_pixels(self.source, int(self.facts["num_classes"]))

    def contents(self) -> Mapping[str, str]:
        sides = {"labelled": self.source, "unlabelled": self.target}
        return {f"{side}: {name}": value for side, data in sides.items() for name, value in data.contents().items()}

    @property
    def ids(self) -> np.ndarray:
        return self.source.ids

    @property
    def facts(self) -> Mapping[str, Any]:
        if self.classes is None:
            return self.source.facts
        things = tuple(i for i, name in enumerate(self.classes.names) if name in THINGS)
        return {**self.source.facts, "things": things}

    def splits(self) -> Mapping[str, Data]:
        return self._splits


def street_adaptation(size: int | None = None, scenes: int | None = None) -> AdaptationScenes:
    """Labelled streets in the four training appearances, as many other streets in the two held-out ones, unlabelled.

    Args:
        size: height in pixels, half of the width; 64 when not given.
        scenes: number of scenes on either side; 160 when not given. 40 others of both kinds, with labels, are held
            out for evaluation.
    """
    height = size or 64
    shape = (height, 2 * height)
    count, held_out = scenes or 160, range(100_000, 100_040)
    splits = {
        "target": RenderedScenes(held_out, HELD_OUT_APPEARANCES, shape, name="target"),
        "source": RenderedScenes(held_out, TRAINING_APPEARANCES, shape, name="source"),
    }
    return AdaptationScenes(
        RenderedScenes(range(count), TRAINING_APPEARANCES, shape, name="street"),
        RenderedScenes(range(50_000, 50_000 + count), HELD_OUT_APPEARANCES, shape, name="other weather"),
        splits,
    )
