"""Shapes of what stands in the street: from a point of a thing's own upright plane to one of its parts.

The point is given in metres from the foot of the thing, `y` up; nothing is drawn thinner than about `thin`,
so that spokes and poles do not vanish between pixels.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from . import fields as f
from . import surfaces as sf
from .jit import helper

# Parts, and what each is: label, material (negative: the prop's own, counted from -1), emission.
NOTHING, _STEEL, _LAMP_HEAD, _CASE, _RED, _AMBER, _GREEN, _DIM, _PLATE_A, _PLATE_B = range(10)
_BARK, _LEAF, _FACE, _SHIRT, _TROUSERS, _SCALP, _RIDER_FACE, _RIDER_SHIRT, _RIDER_TROUSERS, _HELMET = range(10, 20)
_FRAME_PART, _TYRE, _BODY, _ENGINE, _MOTO_LIGHT, _MOTO_TAIL, _CONTAINER, _HOUSING = range(20, 28)

PARTS = np.array(
    [
        (255, 0, sf.MATT),
        (sf.POLE, sf.METAL, sf.MATT),
        (sf.POLE, sf.LENS, sf.LAMP),
        (sf.SIGNAL, sf.DARK, sf.MATT),
        (sf.SIGNAL, sf.RED_GLASS, sf.RED_SIGNAL),
        (sf.SIGNAL, sf.AMBER_GLASS, sf.AMBER_SIGNAL),
        (sf.SIGNAL, sf.GREEN_GLASS, sf.GREEN_SIGNAL),
        (sf.SIGNAL, sf.DARK, sf.MATT),
        (sf.SIGN, -1, sf.MATT),
        (sf.SIGN, -2, sf.MATT),
        (sf.VEGETATION, sf.TRUNK, sf.MATT),
        (sf.VEGETATION, -1, sf.MATT),
        (sf.PERSON, sf.SKIN, sf.MATT),
        (sf.PERSON, -1, sf.MATT),
        (sf.PERSON, -2, sf.MATT),
        (sf.PERSON, sf.HAIR, sf.MATT),
        (sf.RIDER, sf.SKIN, sf.MATT),
        (sf.RIDER, -1, sf.MATT),
        (sf.RIDER, -2, sf.MATT),
        (sf.RIDER, -3, sf.MATT),
        (sf.BICYCLE, -3, sf.MATT),
        (sf.BICYCLE, sf.DARK, sf.MATT),
        (sf.MOTORCYCLE, -3, sf.MATT),
        (sf.MOTORCYCLE, sf.DARK, sf.MATT),
        (sf.MOTORCYCLE, sf.LENS, sf.HEADLIGHT),
        (sf.MOTORCYCLE, sf.RED_GLASS, sf.TAILLIGHT),
        (255, -1, sf.MATT),
        (sf.POLE, sf.METAL, sf.MATT),
    ],
    np.int64,
)


def _table(*rows: tuple[float, ...]) -> npt.NDArray[np.float64]:
    return np.array(rows, np.float64)


def _rider(up: float, cap: int, face: int) -> list[tuple[float, ...]]:
    """Bars of somebody who sits `up` metres higher than on a motorcycle."""
    rows: list[tuple[float, ...]] = [
        (0.16, 0, 1.52 + up, 0.16, 0, 1.53 + up, 0.105, cap),
        (0.16, 0, 1.44 + up, 0.17, 0, 1.45 + up, 0.115, face),
        (-0.22, 0, 0.90 + up, 0.10, 0, 1.24 + up, 0.150, _RIDER_SHIRT),
        (0.00, -0.2, 1.20 + up, 0.00, 0.2, 1.20 + up, 0.090, _RIDER_SHIRT),
    ]
    for sign in (-1, 1):
        rows += [
            (0.10, 0.2 * sign, 1.22 + up, 0.44, 0.26 * sign, 0.99, 0.05, _RIDER_SHIRT),
            (-0.18, 0.07 * sign, 0.90 + up, 0.20, 0.13 * sign, 0.72 + 0.09 * sign, 0.075, _RIDER_TROUSERS),
            (0.20, 0.13 * sign, 0.72 + 0.09 * sign, 0.02, 0.12 * sign, 0.30 + 0.09 * sign, 0.065,
             _RIDER_TROUSERS),
        ]  # fmt: skip
    return rows


# Figures are made of bars: from (x, y) to (x, y) with a radius and a part; the first bar that holds a point
# wins. An x-coordinate is a pair, a * alpha + b * beta: how far apart the legs are, or how far a cycle is
# turned.
_PERSON = _table(
    (0.00, 0, 0.950, 0.00, 0, 0.955, 0.060, _SCALP),
    (0.00, 0, 0.915, 0.00, 0, 0.930, 0.062, _FACE),
    (0.00, 0, 0.600, 0.00, 0, 0.790, 0.095, _SHIRT),
    (-0.105, 0, 0.80, -0.13, -0.5, 0.55, 0.032, _SHIRT),
    (0.105, 0, 0.80, 0.13, 0.5, 0.55, 0.032, _SHIRT),
    (-0.13, -0.5, 0.51, -0.13, -0.5, 0.50, 0.030, _FACE),
    (0.13, 0.5, 0.51, 0.13, 0.5, 0.50, 0.030, _FACE),
    (-0.045, 0, 0.52, -0.05, -1, 0.06, 0.046, _TROUSERS),
    (0.045, 0, 0.52, 0.05, 1, 0.06, 0.046, _TROUSERS),
    (-0.05, -1, 0.02, -0.04, -1.1, 0.02, 0.040, _SCALP),
    (0.05, 1, 0.02, 0.06, 1.1, 0.02, 0.040, _SCALP),
)
_BICYCLE_BARS = _table(
    (0.00, 0, 0.30, -0.16, 0, 0.86, 0.032, _FRAME_PART),
    (0.00, 0, 0.30, 0.36, 0, 0.76, 0.032, _FRAME_PART),
    (-0.12, 0, 0.74, 0.36, 0, 0.78, 0.032, _FRAME_PART),
    (0.53, 0, 0.345, 0.34, 0, 0.98, 0.032, _FRAME_PART),
    (-0.53, 0, 0.345, 0.00, 0, 0.30, 0.032, _FRAME_PART),
    (-0.53, 0, 0.345, -0.13, 0, 0.72, 0.032, _FRAME_PART),
    (0.36, -0.24, 0.99, 0.40, 0.24, 0.99, 0.035, _TYRE),
    (-0.28, -0.07, 0.88, -0.06, 0.07, 0.88, 0.035, _TYRE),
)
_MOTORCYCLE_BARS = _table(
    (-0.35, 0, 0.70, 0.34, 0, 0.78, 0.150, _BODY),
    (-0.75, 0, 0.84, -0.20, 0, 0.76, 0.080, _BODY),
    (-0.28, 0, 0.40, 0.24, 0, 0.44, 0.200, _ENGINE),
    (0.70, 0, 0.31, 0.45, 0, 1.02, 0.050, _ENGINE),
    (0.40, -0.34, 1.04, 0.50, 0.34, 1.04, 0.040, _ENGINE),
    (0.50, 0, 0.92, 0.52, 0, 0.96, 0.110, _BODY),
)
_CYCLIST = _table(*_rider(0.12, _HELMET, _RIDER_FACE))
_BIKER = _table(*_rider(0.0, _HELMET, _HELMET))


@helper
def _from_bars(x, y, bars, alpha, beta, thin):
    """Part of the first bar that holds (x, y)."""
    for row in range(bars.shape[0]):
        ax, ay = alpha * bars[row, 0] + beta * bars[row, 1], bars[row, 2]
        ux, uy = alpha * bars[row, 3] + beta * bars[row, 4] - ax, bars[row, 5] - ay
        t = min(1.0, max(0.0, ((x - ax) * ux + (y - ay) * uy) / (ux * ux + uy * uy + 1e-9)))
        px, py = x - ax - t * ux, y - ay - t * uy
        radius = max(bars[row, 6], thin)
        if px * px + py * py < radius * radius:
            return int(bars[row, 7])
    return NOTHING


@helper
def _crown(x, y, prop, tile):
    """Part, outward lean (x, y) and brightness of a tree or bush at (x, y)."""
    seed = int(prop[f.PROP_SEED])
    tall, wide, pose = prop[f.TALL], prop[f.WIDE], int(prop[f.POSE])
    bush = int(prop[f.PROP_KIND]) == f.BUSH
    rough = tile[int(y * 24.0 + seed) & 511, int(x * 24.0 + 3 * seed) & 511] / 255.0 - 0.5
    leaf = tile[int(y * 52.0 + seed) & 511, int(x * 52.0) & 511] / 255.0
    low = 0.0 if bush else tall * (0.16 if pose == f.CONIFER else 0.34)
    if y > low * 0.8:
        if pose == f.CONIFER and not bush:
            share = (tall - y) / (tall - low)
            layer = share * 5.0 - math.floor(share * 5.0)
            edge = wide * share * (0.75 + 0.35 * layer) + 0.5 * rough
            if 0.0 < share < 1.05 and abs(x) < edge:
                lean = x / max(edge, 0.1)
                return _LEAF, lean, 0.35 - 0.5 * layer, (0.5 + 0.8 * leaf) * (0.65 + 0.5 * layer)
        else:
            best, lean_x, lean_y, tone = -1.0, 0.0, 0.0, 1.0
            middle = 0.5 * (low + tall)
            half = 0.5 * (tall - low)
            if abs(x) < 1.25 * wide:
                for blob in range(9):
                    turn = 2.4 * blob + 0.37 * (seed % 17)
                    out = math.sqrt(blob / 9.0) * 0.66
                    bx = wide * out * math.cos(turn)
                    by = middle + half * out * math.sin(turn)
                    radius = (0.42 + 0.16 * ((seed * (blob + 3)) % 7) / 7.0) * (0.45 * wide + 0.55 * min(wide, half))
                    px, py = (x - bx) / radius, (y - by) / radius
                    d = px * px + py * py
                    if d < 1.0 + 0.9 * rough:
                        bulge = 1.0 - d + 0.35 * ((blob * 5) % 9) / 9.0
                        if bulge > best:
                            best, lean_x, lean_y = bulge, px, py
                            tone = 0.8 + 0.4 * ((blob * 7 + seed) % 5) / 5.0
            if best > -1.0:
                shade = 0.45 + 0.55 * min(1.0, max(0.0, (y - low) / (tall - low)))
                return _LEAF, 0.8 * lean_x, 0.8 * lean_y, tone * (0.45 + 0.9 * leaf) * shade
    if not bush and 0.0 <= y < tall * 0.6:
        girth = (0.10 + 0.014 * tall) * (1.0 + 0.5 * max(0.0, 0.4 - y))
        if abs(x) < girth:
            return _BARK, x / girth, 0.0, 0.7 + 0.6 * leaf
    return NOTHING, 0.0, 0.0, 0.0


@helper
def _figure(x, y, prop, thin):
    """Part of a person on foot at (x, y)."""
    u, v = x / prop[f.TALL], y / prop[f.TALL]
    part = _from_bars(u, v, _PERSON, 1.0, prop[f.POSE], 0.4 * thin / prop[f.TALL])
    if part == NOTHING and prop[f.TURN] > 0.5 and 0.28 < v < 0.58 and abs(u) < 0.09 + 0.16 * (0.58 - v):
        return _TROUSERS  # a skirt or coat
    return part


@helper
def _cycle(x, y, prop, thin):
    """Part of a bicycle or motorcycle, with or without its rider, at (x, y)."""
    turn = prop[f.TURN]
    q = max(0.16, abs(turn))
    x = -x if turn < 0.0 else x
    motor = int(prop[f.PROP_KIND]) == f.MOTORBIKE
    if prop[f.POSE] == f.RIDDEN and y > 0.1:
        part = _from_bars(x, y, _BIKER if motor else _CYCLIST, q, 1.0 - q, 0.4 * thin)
        if part != NOTHING:
            return part
    base, radius, rubber = (0.70, 0.31, 0.085) if motor else (0.53, 0.345, 0.045)
    wx = (abs(x) - base * q) / q
    away = math.sqrt(wx * wx + (y - radius) * (y - radius))
    if away < radius:
        if motor and (away > radius - rubber or away < 0.10 or q < 0.45):
            return _ENGINE
        if not motor and (away > radius - max(rubber, 0.7 * thin) or q < 0.3):
            return _TYRE
    if motor and q < 0.6:
        if turn < 0.0 and abs(x - 0.52 * q) < 0.08 and 0.92 < y < 1.08:
            return _MOTO_LIGHT
        if turn > 0.0 and abs(x + 0.6 * q) < 0.09 and 0.72 < y < 0.82:
            return _MOTO_TAIL
    return _from_bars(x, y, _MOTORCYCLE_BARS if motor else _BICYCLE_BARS, q, 1.0 - q, 0.55 * thin)


@helper
def _furniture(x, y, prop, thin):
    """Part of a lamp, traffic light, sign, post or bin at (x, y)."""
    kind = int(prop[f.PROP_KIND])
    tall, pose, turn = prop[f.TALL], prop[f.POSE], prop[f.TURN]
    shaft = max(0.055 + 0.006 * tall, 0.55 * thin)
    if kind == f.BIN:
        return _CONTAINER if abs(x) < prop[f.WIDE] * (0.85 + 0.15 * y / tall) and 0.0 <= y < tall else NOTHING
    if kind == f.STREET_LAMP:
        reach = turn  # signed length of the arm
        along = x / reach
        if 0.70 < along < 1.05 and abs(y - tall + 0.06) < max(0.10, 0.7 * thin):
            return _LAMP_HEAD if y < tall - 0.02 else _HOUSING
        if abs(x) < shaft * (1.3 - 0.5 * y / tall) and 0.0 <= y < tall - 0.4:
            return _STEEL
        if 0.0 <= along < 0.75 and abs(y - tall + 0.45 - 0.55 * along) < 0.8 * shaft:
            return _STEEL
        return NOTHING
    if kind == f.TRAFFIC_LIGHT:
        cx = turn  # the arm carries the lights this far over the road
        cy = tall - 0.65
        u, v = x - cx, y - cy
        if abs(u) < max(0.26, 0.9 * thin) and abs(v) < 0.65:
            slot = int((v + 0.63) / 0.42)
            inner = u * u + (v + 0.42 - 0.42 * slot) ** 2
            if inner < max(0.034, 0.3 * thin * thin):
                active = int(pose)  # 0 green, 1 amber, 2 red, from below
                if slot == active:
                    return _GREEN if slot == 0 else (_AMBER if slot == 1 else _RED)
                return _DIM
            return _CASE
        if abs(x) < shaft * 1.1 and 0.0 <= y < tall - (0.3 if cx == 0.0 else 0.0):
            return _STEEL
        if cx != 0.0 and abs(y - tall + 0.05) < shaft and min(0.0, cx) < x < max(0.0, cx):
            return _STEEL
        return NOTHING
    if kind == f.TRAFFIC_SIGN:
        size = max(prop[f.WIDE], 0.9 * thin)
        u, v = x / size, (y - tall + size) / size
        shape = int(pose)
        if shape == f.DISC:
            away = u * u + v * v
            if away < 1.0:
                return _PLATE_A if away > 0.55 else _PLATE_B
        elif shape == f.TRIANGLE:
            if -0.85 < v < 1.0 and abs(u) < 0.55 * (1.0 - v):
                return _PLATE_B if (-0.6 < v < 0.55 and abs(u) < 0.55 * (0.6 - v)) else _PLATE_A
        elif shape == f.SQUARE:
            if max(abs(u), abs(v)) < 0.9:
                return _PLATE_B if abs(u) < 0.3 and abs(v) < 0.55 else _PLATE_A
        elif abs(u) + abs(v) < 1.15:
            return _PLATE_A if abs(u) + abs(v) < 0.8 else _PLATE_B
        return _STEEL if abs(x) < shaft and 0.0 <= y < tall - size else NOTHING
    return _STEEL if abs(x) < max(prop[f.WIDE], 0.55 * thin) and 0.0 <= y < tall else NOTHING


@helper
def part_at(x, y, prop, thin, tile):
    """Part, lean of its surface (x, y) and brightness at (x, y)."""
    kind = int(prop[f.PROP_KIND])
    if kind == f.TREE or kind == f.BUSH:
        return _crown(x, y, prop, tile)
    if kind == f.WALKER:
        part = _figure(x, y, prop, thin)
    elif kind == f.CYCLE or kind == f.MOTORBIKE:
        part = _cycle(x, y, prop, thin)
    else:
        part = _furniture(x, y, prop, thin)
    lean = min(1.0, max(-1.0, x / prop[f.WIDE])) * 0.7
    fold = tile[int(y * 70.0) & 511, int(x * 70.0 + prop[f.PROP_SEED]) & 511] / 255.0
    return part, lean, 0.15, 0.80 + 0.4 * fold
