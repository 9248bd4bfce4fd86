"""Layout of a procedural street: what stands where, drawn from (seed, scene number) alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from . import fields as f
from . import palette
from .planner import Planner
from .populate import add_furniture, add_people, add_traffic, add_trees

__all__ = ["Layout", "plan_street"]

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Layout:
    """One street, ready to be drawn at any size. `fields` names the columns of the tables.

    Attributes:
        camera: (6,) focal length and vanishing point as fractions of the picture, height, lateral position,
        bend.
        street: (15,) widths and landmarks.
        lots: (2, n, 13), the plots left and right; counts: (2,) how many of them are used.
        cars, props, lights: one row for each car, each upright thing, each lamp that may glow.
        colours: (materials, 2, 3) linear reflectance in the default and in the other palette.
        sun: azimuth of the sun in radians (0 ahead, turning right), shared by every appearance of the scene.
        mood: eight numbers in [0, 1) that vary how an appearance turns out in this scene.
    """

    camera: _Floats
    street: _Floats
    lots: _Floats
    counts: npt.NDArray[np.int64]
    cars: _Floats
    props: _Floats
    lights: _Floats
    colours: _Floats
    sun: float
    mood: tuple[float, ...]


def plan_street(seed: int, scene: int) -> Layout:
    """The street with this number. Equal arguments give equal layouts."""
    plan = Planner(seed, scene)
    dice = plan.dice
    density = dice.pick((0.9, 0.75, 0.55, 0.35))
    rows = [_plan_lots(plan, density), _plan_lots(plan, density)]
    add_traffic(plan)
    add_furniture(plan)
    add_trees(plan, rows)
    add_people(plan)
    counts = np.array([len(row) for row in rows], np.int64)
    lots = np.zeros((2, counts.max(), f.LOT_FIELDS), np.float64)
    for side in range(2):
        lots[side, : counts[side]] = rows[side]
    # A sun near the axis of the street reaches its ground between the houses.
    swing = (0.04 + 0.75 * dice.unit() ** 2) * dice.pick((-1, 1))
    return Layout(
        camera=np.array(plan.camera(), np.float64),
        street=np.array(plan.street(), np.float64),
        lots=lots,
        counts=counts,
        cars=_table(plan.cars, f.CAR_FIELDS),
        props=_table(plan.props, f.PROP_FIELDS),
        lights=_table(plan.lights, f.LIGHT_FIELDS),
        colours=np.array(plan.colours, np.float64),
        sun=swing if dice.chance(0.55) else math.pi - swing,
        mood=tuple(dice.unit() for _ in range(8)),
    )


def _table(rows: list[list[float]], columns: int) -> _Floats:
    return np.array(rows, np.float64).reshape(len(rows), columns)


def _plan_lots(plan: Planner, density: float) -> list[list[float]]:
    """Plots along one side, from behind the camera to the end of the view."""
    dice = plan.dice
    rows: list[list[float]] = []
    usual = dice.between(6.0, 16.0)
    z = -12.0
    while z < plan.end:
        stop = z + dice.between(8.0, 24.0)
        kind = f.HOUSE
        if z < plan.cross_start < stop + 5.0:
            stop = plan.cross_start
        if z == plan.cross_start:
            kind, stop = f.CROSSING, plan.cross_stop
        elif not dice.chance(density):
            kind = dice.pick((f.WALLED, f.FENCED, f.FENCED, f.PARK))
        top = max(5.5, usual + dice.between(-4.0, 5.0))
        if kind == f.WALLED:
            top = dice.between(1.5, 3.2)
        elif kind == f.FENCED:
            top = dice.between(1.1, 2.2)
        accent = dice.pick(palette.ACCENTS)
        face = accent if kind == f.FENCED and dice.chance(0.6) else dice.pick(palette.WALLS)
        colour = plan.paint(face, dice.pick(palette.TRIMS), accent, dice.pick(palette.ROOFS))
        storey = dice.between(2.9, 3.7)
        rows.append(
            [
                z,
                stop,
                kind,
                top,
                colour,
                dice.count(0, 4000),
                dice.between(1.9, 3.4),
                storey,
                dice.between(0.40, 0.62),
                storey + dice.between(0.4, 1.0) if dice.chance(0.5) else 0.9,
                dice.between(1.2, 2.6) if dice.chance(0.4) else 0.0,
                dice.between(0.12, 0.5),
                dice.pick((f.PLASTER, f.BRICK, f.STONE, f.OFFICE)),
            ]
        )
        z = stop
    return rows
