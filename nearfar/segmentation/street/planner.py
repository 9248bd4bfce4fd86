"""Collecting the rows of a street's tables while it is planned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from . import fields as f
from .palette import Pair
from .surfaces import FIXED_COLOURS, HEADLIGHT, TAILLIGHT

_T = TypeVar("_T")


class Dice:
    """Uniform numbers one at a time, from (seed, scene); drawn in blocks, a tenth of the cost of scalars."""

    def __init__(self, seed: int, scene: int) -> None:
        self._rng = np.random.default_rng((seed, scene))
        self._block: list[float] = []

    def unit(self) -> float:
        if not self._block:
            self._block = self._rng.random(512).tolist()
        return self._block.pop()

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.unit()

    def chance(self, probability: float) -> bool:
        return self.unit() < probability

    def count(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + int(self.unit() * (high - low + 1))

    def pick(self, options: Sequence[_T]) -> _T:
        return options[int(self.unit() * len(options))]


class Planner:
    """The street under planning: its measures, its tables and which ground is taken."""

    def __init__(self, seed: int, scene: int) -> None:
        self.dice = Dice(seed, scene)
        dice = self.dice
        self.bend = 0.0014 * (dice.unit() + dice.unit() + dice.unit() - 1.5) / 1.5
        self.colours: list[Pair] = list(FIXED_COLOURS)
        self.cars: list[list[float]] = []
        self.props: list[list[float]] = []
        self.lights: list[list[float]] = []
        self._taken: list[tuple[float, float, float, float]] = []

        self.lanes = dice.pick(((1, 1), (1, 1), (1, 1), (2, 2), (1, 2), (2, 1)))  # left, right
        self.lane = dice.between(3.0, 3.6)
        self.parking = dice.between(2.1, 2.4) if dice.chance(0.6) else 0.0
        self.road: list[float] = []
        self.verge: list[float] = []
        self.front: list[float] = []
        for side in range(2):
            self.road.append(self.lanes[side] * self.lane + self.parking + dice.between(0.0, 0.5))
            self.verge.append(dice.between(0.9, 2.2) if dice.chance(0.45) else 0.0)
            self.front.append(self.road[side] + self.verge[side] + dice.between(2.2, 5.0))
        self.end = dice.between(80.0, 150.0)
        self.cross_start, self.cross_stop, self.zebra = -9.0, -8.0, 0.0
        if dice.chance(0.55):
            self.cross_start = 12.0 + 28.0 * dice.unit() ** 1.3
            self.cross_stop = self.cross_start + dice.between(7.0, 11.0)
            self.zebra = self.cross_start - 3.8 if dice.chance(0.85) else 0.0
        elif dice.chance(0.25):
            self.zebra = dice.between(8.0, 25.0)
        own = dice.count(1, self.lanes[1])
        self.offset = (own - 0.5) * self.lane + dice.between(-0.4, 0.4)

    def near_crossing(self, z: float, before: float, after: float) -> bool:
        return self.cross_start - before < z < self.cross_stop + after

    def paint(self, *options: Pair) -> int:
        """Add materials in a row; returns the first one's number."""
        first = len(self.colours)
        self.colours.extend(options)
        return first

    def x(self, u: float, z: float) -> float:
        return u - self.offset + self.bend * z * z

    def free(self, u: float, z: float, half_u: float, half_z: float) -> bool:
        """Whether a rectangle of ground is free; takes it if so."""
        for other_u, other_z, wide, long in self._taken:
            if abs(u - other_u) < half_u + wide and abs(z - other_z) < half_z + long:
                return False
        self._taken.append((u, z, half_u, half_z))
        return True

    def prop(
        self, kind: int, u: float, z: float, tall: float, wide: float, pose: float = 0.0, turn: float = 1.0,
        colour: int = 0,
    ) -> None:  # fmt: skip
        self.props.append([kind, self.x(u, z), z, tall, wide, pose, turn, colour, self.dice.count(0, 400)])

    def light(self, x: float, y: float, z: float, code: int, radius: float) -> None:
        if z > 0.5:
            self.lights.append([x, y, z, code, radius])

    def car(self, u: float, z: float, turn: float, paint: Pair, lamps_on: bool) -> None:
        """A car or van whose nose points `turn` radians away from straight ahead."""
        dice = self.dice
        van = dice.chance(0.22)
        length = dice.between(4.4, 5.1) if van else dice.between(3.7, 4.7)
        width = dice.between(1.75, 1.95)
        waist = dice.between(0.92, 1.05) if van else dice.between(0.82, 0.95)
        top = dice.between(1.75, 2.2) if van else dice.between(1.38, 1.62)
        bonnet = dice.between(0.75, 1.0) if van else dice.between(1.0, 1.3)
        boot = 0.06 if van or dice.chance(0.45) else dice.between(0.4, 0.75)
        upright = 0.8 if van else dice.between(0.0, 0.5)
        heading = turn + math.atan(2.0 * self.bend * z)
        cosine, sine = math.cos(heading), math.sin(heading)
        x = self.x(u, z)
        self.cars.append(
            [
                x,
                z,
                cosine,
                sine,
                length,
                width,
                waist,
                top,
                bonnet,
                boot,
                self.paint(paint),
                upright,
                lamps_on,
            ]
        )
        if lamps_on:
            # Only the lamps on the side that the camera can see.
            end, code = (0.5, HEADLIGHT) if cosine < 0.0 else (-0.5, TAILLIGHT)
            up = 0.66 if code == HEADLIGHT else waist - 0.2
            for side in (-0.36, 0.36):
                along, beside = end * length, side * width
                self.light(x + along * sine + beside * cosine, up, z + along * cosine - beside * sine, code, 0.16)

    def street(self) -> list[float]:
        """The street vector, in the order of `fields`."""
        dice = self.dice
        row = [0.0] * f.STREET_FIELDS
        for side in range(2):
            row[f.ROAD_LEFT + side] = self.road[side]
            row[f.VERGE_LEFT + side] = self.verge[side]
            row[f.FRONT_LEFT + side] = self.front[side]
        row[f.END] = self.end
        row[f.CROSS_START], row[f.CROSS_STOP], row[f.CROSSWALK] = (
            self.cross_start,
            self.cross_stop,
            self.zebra,
        )
        row[f.LANE], row[f.PARKING] = self.lane, self.parking
        row[f.END_KIND], row[f.YARD], row[f.WEAR] = (
            dice.unit(),
            dice.between(12.0, 18.0),
            dice.between(0.65, 1.0),
        )
        return row

    def camera(self) -> list[float]:
        """The camera vector, focal length and vanishing point as fractions of the picture."""
        dice = self.dice
        focal, across, down = dice.between(0.60, 0.80), dice.between(0.42, 0.58), dice.between(0.40, 0.52)
        return [focal, across, down, dice.between(1.3, 2.1), self.offset, self.bend]
