"""Worlds to act in: ours by name, and every environment of gymnasium."""

from __future__ import annotations

from collections.abc import Callable

from nearfar.control.worlds.drawn import CartPole, Pendulum
from nearfar.control.worlds.grid import Grid
from nearfar.control.worlds.gym import GymWorld
from nearfar.control.worlds.point_maze import CornerMaze, DrawnMaze, PointMaze
from nearfar.control.worlds.world import Stepped, World
from nearfar.spelling import meant

__all__ = [
    "WORLDS",
    "CartPole",
    "CornerMaze",
    "DrawnMaze",
    "Grid",
    "GymWorld",
    "Pendulum",
    "PointMaze",
    "Stepped",
    "World",
    "world",
]

WORLDS: dict[str, tuple[Callable[[int], World], str]] = {
    "point-maze": (lambda n: PointMaze("rooms", n), "a point pushed through four rooms to a goal"),
    "point-maze-u": (lambda n: PointMaze("u", n), "a point pushed around a wall to a goal"),
    "point-maze-spiral": (lambda n: PointMaze("spiral", n), "a point pushed along a spiral to a goal"),
    "point-maze-open": (lambda n: PointMaze("open", n), "a point pushed over a free floor to a goal"),
    "point-maze-corner": (lambda n: CornerMaze("open", n), "a point pushed into one corner, whatever it is told"),
    "pixel-maze": (lambda n: DrawnMaze("u", n), "the point around a wall, seen as a picture, to a goal picture"),
    "grid": (lambda n: Grid("rooms", n), "cells of four rooms, four moves, with a table that can be solved"),
    "pixel-grid": (lambda n: Grid("open", n, size=16), "a free floor of cells, seen as a picture"),
    "cartpole": (lambda n: CartPole(n, pixels=False), "a pole balanced on a cart, by its four numbers"),
    "pixel-cartpole": (lambda n: CartPole(n), "a pole balanced on a cart, seen as a picture"),
    "pendulum": (lambda n: Pendulum(n, pixels=False), "a pendulum swung up, by its three numbers"),
    "pixel-pendulum": (lambda n: Pendulum(n), "a pendulum swung up, seen as a picture"),
}
"""Worlds of ours by name: how one of so many environments is made, and what it is."""


def world(name: str, count: int = 1) -> World:
    """A world by its name: one of :data:`WORLDS`, or an id of gymnasium's.

    Raises:
        ValueError: there is no such world; the message names close ones.
    """
    if name in WORLDS:
        return WORLDS[name][0](count)
    near = meant(name, WORLDS, cutoff=0.75)
    if near and name == name.lower():
        raise ValueError(f"there is no environment {name!r}{near}")
    return GymWorld(name, count)
