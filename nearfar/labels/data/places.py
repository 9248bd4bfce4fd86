"""Aerial tiles: the same places at several dates, with coordinates."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from nearfar.labels.data.labelled import LabelledBatch, LabelledImages
from nearfar.training import Data
from nearfar.vision.data import ImageArray

REGIONS, PLACES, DATES, CLASSES = 20, 12, 4, 6
MOST = 4
"""Pictures of one place in a batch, at most."""


class SamePlace(LabelledImages):
    """Pictures that come with others of their place, so that a view can be of another time.

    ``images`` of a batch are (N, K, 3, H, W): the picture and the next ones of its place, beginning anew after the
    last; evaluation and embedding take the first. K is the size of the largest place, at most :data:`MOST`.

    Args:
        data: pictures with the mark ``place``.
    """

    def __init__(self, data: LabelledImages) -> None:
        self.__dict__.update(data.__dict__)
        self._others()

    @staticmethod
    def helps(data: LabelledImages) -> bool:
        """Whether any place has more than one picture."""
        place = data.marks.get("place")
        return place is not None and len(np.unique(place)) < len(place)

    def _others(self) -> None:
        place = self.marks["place"]
        members: dict[int, list[int]] = {}
        for row, number in enumerate(place.tolist()):
            members.setdefault(number, []).append(row)
        width = min(max(map(len, members.values())), MOST)
        self.partners = np.empty((len(place), width), np.int64)
        for rows in members.values():
            for position, row in enumerate(rows):
                self.partners[row] = [rows[(position + k) % len(rows)] for k in range(width)]

    def _choose(self, chosen: np.ndarray) -> None:
        super()._choose(chosen)
        self._others()

    def batch(self, indices: np.ndarray) -> LabelledBatch:
        first = super().batch(indices)
        others = [super(SamePlace, self).batch(rows).pictures.images for rows in self.partners[indices].T[1:]]
        together = torch.stack([first.pictures.images, *others], dim=1)
        return first._replace(pictures=first.pictures._replace(images=together))

    def training_batch(self, indices: np.ndarray) -> LabelledBatch:
        return self.batch(indices)


def places(size: int, seed: int = 0) -> LabelledImages:
    """Drawn tiles of 240 places at four dates; places of every third number are held out.

    The region decides the colour of the ground and how much grows on it, the class the shape of what is built there
    (square, disc, cross, ring, stripes, dots), the date the light and the tint of the season, strongly.
    """
    rng = np.random.default_rng(seed)
    centres = np.stack([rng.uniform(-60, 60, REGIONS), rng.uniform(-180, 180, REGIONS)], axis=1)
    ground = rng.uniform(0.25, 0.6, (REGIONS, 3))
    growth = rng.uniform(1.5, 5.0, REGIONS)
    grid = (np.arange(size) + 0.5) / size - 0.5
    y, x = grid[:, None], grid[None]
    pixels, labels, place, where = [], [], [], []
    for region in range(REGIONS):
        for number in range(PLACES):
            label = int(rng.integers(CLASSES))
            centre = centres[region] + rng.normal(scale=2.0, size=2)
            dy, dx, radius, turn = rng.uniform(-0.12, 0.12), rng.uniform(-0.12, 0.12), rng.uniform(0.2, 0.3), 0.0
            mask = _built(label, y - dy, x - dx, radius)[..., None]
            phase = rng.uniform(0, 2 * np.pi, 2)
            for date in range(DATES):
                turn = 2 * np.pi * (date + rng.uniform(-0.1, 0.1)) / DATES
                season = 0.22 * np.array([np.cos(turn), np.cos(turn + 2.1), np.cos(turn + 4.2)])
                wave = np.sin(2 * np.pi * growth[region] * x + phase[0]) * np.sin(
                    2 * np.pi * growth[region] * y + phase[1]
                )
                image = ground[region] + season + 0.08 * wave[..., None]
                image = image + mask * (0.35 - 0.2 * season[::-1]) * (1 if date % 2 else -0.8)
                image = image * rng.uniform(0.8, 1.2) + rng.normal(scale=0.03, size=image.shape)
                pixels.append(np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8))
                labels.append(label)
                place.append(region * PLACES + number)
                where.append(centre)
    coordinates = np.stack(where).astype(np.float32)
    coordinates[:, 1] = (coordinates[:, 1] + 180) % 360 - 180
    marks: Mapping[str, np.ndarray] = {"place": np.array(place), "coordinates": coordinates}
    images: Data = ImageArray(np.stack(pixels), name="places")
    whole = LabelledImages(images, np.array(labels), marks=marks, classes=range(CLASSES))
    held_out = np.array(place) % 3 == 2
    test = whole.subset(np.flatnonzero(held_out)).with_(name="held-out places")
    return SamePlace(whole.subset(np.flatnonzero(~held_out)).with_(splits={"test": test}))


def _built(label: int, y: np.ndarray, x: np.ndarray, radius: float) -> np.ndarray:
    """Where something is built: a mask (size, size) in {0, 1}."""
    far, edge = np.hypot(y, x), np.maximum(abs(y), abs(x))
    inside = far < radius
    shapes = (
        edge < 0.85 * radius,
        inside,
        inside & (np.minimum(abs(y), abs(x)) < 0.3 * radius),
        inside & (far > 0.6 * radius),
        inside & (np.sin(6 * np.pi * y / (2 * radius)) > 0),
        inside & (np.sin(5 * np.pi * y / radius) * np.sin(5 * np.pi * x / radius) > 0),
    )
    return np.asarray(shapes[label], dtype=np.float64)
