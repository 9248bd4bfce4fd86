"""Kernels that draw cars as solids, and their shadows.

A car is two convex bodies, hull and cabin, each a list of half-spaces n . p <= d in the car's own frame (x
forward, y up, z to the right), so a ray is clipped plane by plane. Camera rays are (slope, rise, 1), which
makes the ray parameter the depth.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from . import fields as f
from . import surfaces as sf
from .jit import helper, kernel

# Rows of the plane table: eight of the hull, eight of the cabin (the last two repeat its sill).
_NOSE, _TAIL, _RIGHT, _LEFT, _DECK, _FLOOR, _HOOD, _LID = range(8)
_SCREEN, _BACK, _PANE_RIGHT, _PANE_LEFT, _ROOF, _SILL = range(8, 14)
_FACES = 8

_Column = float | npt.NDArray[np.float64]


def car_planes(cars: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Plane table (n, 2, 8, 4) of cars (n, CAR_FIELDS): outward unit normal, distance from the origin."""
    half, side = 0.5 * cars[:, f.LENGTH], 0.5 * cars[:, f.WIDTH]
    waist, top = cars[:, f.WAIST], cars[:, f.CAR_TOP]
    bonnet, boot, upright = cars[:, f.BONNET], cars[:, f.BOOT], cars[:, f.UPRIGHT]
    rise = top - waist
    # Normal, and a point of the plane.
    faces: list[tuple[tuple[_Column, ...], tuple[_Column, ...]]] = [
        ((1.0, 0.0, 0.0), (half, 0.0, 0.0)),
        ((-1.0, 0.0, 0.0), (-half, 0.0, 0.0)),
        ((0.0, 0.12, 1.0), (0.0, 0.55, side)),
        ((0.0, 0.12, -1.0), (0.0, 0.55, -side)),
        ((0.0, 1.0, 0.0), (0.0, waist, 0.0)),
        ((0.0, -1.0, 0.0), (0.0, 0.22, 0.0)),
        ((waist - 0.70, bonnet, 0.0), (half - bonnet, waist, 0.0)),
        ((-0.35, 1.0, 0.0), (0.35 - half, waist, 0.0)),
        ((rise, 0.95 - 0.5 * upright, 0.0), (half - bonnet, waist, 0.0)),
        ((-rise, 0.55 - 0.45 * upright, 0.0), (boot - half, waist, 0.0)),
        ((0.0, 0.24, rise), (0.0, waist, side - 0.05)),
        ((0.0, 0.24, -rise), (0.0, waist, 0.05 - side)),
        ((0.0, 1.0, 0.0), (0.0, top, 0.0)),
        *[((0.0, -1.0, 0.0), (0.0, waist - 0.05, 0.0))] * 3,
    ]
    planes = np.zeros((len(cars), len(faces), 4))
    for row, (normal, point) in enumerate(faces):
        for axis in range(3):
            planes[:, row, axis] = normal[axis]
            planes[:, row, 3] += normal[axis] * point[axis]
    planes /= np.linalg.norm(planes[:, :, :3], axis=2, keepdims=True)
    return planes.reshape(len(cars), 2, _FACES, 4)


@helper
def _clip(planes, ox, oy, oz, dx, dy, dz):
    """Ray parameter and row of the plane where a ray enters a body; row -1 if it passes by."""
    enter, leave, face = 0.0, 1e9, -1
    for row in range(_FACES):
        toward = planes[row, 0] * dx + planes[row, 1] * dy + planes[row, 2] * dz
        room = planes[row, 3] - planes[row, 0] * ox - planes[row, 1] * oy - planes[row, 2] * oz
        if toward < -1e-7:
            t = room / toward
            if t > enter:
                enter = t
                face = row
        elif toward > 1e-7:
            leave = min(leave, room / toward)
        elif room < 0.0:
            return 0.0, -1
        if enter > leave:
            return 0.0, -1
    return enter, face


@helper
def _finish(car, face, px, py, pz):
    """Material, brightness and emission of the point p on a face of the car."""
    paint = int(car[f.PAINT])
    half, side = 0.5 * car[f.LENGTH], 0.5 * car[f.WIDTH]
    waist, top = car[f.WAIST], car[f.CAR_TOP]
    rim = side - abs(pz)
    if face == _NOSE or (face == _HOOD and px > half - 0.16):
        if rim < 0.42 and 0.56 < py < 0.76:
            return sf.LENS, 0.9, sf.HEADLIGHT if car[f.LAMPS_ON] > 0.5 else sf.MATT
        if abs(pz) < 0.26 and 0.36 < py < 0.48:
            return sf.PLATE, 1.0, sf.MATT
        if rim > 0.35 and 0.34 < py < 0.66:
            return sf.DARK, 1.2, sf.MATT
        return paint, (0.55 if py < 0.34 else 0.95), sf.MATT
    if face == _TAIL or (face == _LID and px < -half + 0.10):
        if rim < 0.36 and waist - 0.32 < py < waist - 0.08:
            return sf.RED_GLASS, 0.7, sf.TAILLIGHT if car[f.LAMPS_ON] > 0.5 else sf.MATT
        if abs(pz) < 0.27 and 0.50 < py < 0.63:
            return sf.PLATE, 1.0, sf.MATT
        return (sf.DARK, 1.6, sf.MATT) if py < 0.40 else (paint, 0.92, sf.MATT)
    if face in (_RIGHT, _LEFT):
        if py < 0.34:
            return sf.DARK, 1.6, sf.MATT
        seam = min(abs(px - 0.08 * half), abs(px + 0.42 * half))
        return paint, (0.55 if seam < 0.03 else 0.80 + 0.25 * py), sf.MATT
    if face in (_SCREEN, _BACK):
        inside = rim - 0.24 * (py - waist) / (top - waist)
        if waist + 0.06 < py < top - 0.07 and inside > 0.14:
            return sf.PANE, 0.25 + 0.9 * (py - waist) / (top - waist), sf.GLASS
        return paint, 0.8, sf.MATT
    if face in (_PANE_RIGHT, _PANE_LEFT):
        share = (py - waist) / (top - waist)
        front = half - car[f.BONNET] - share * (0.95 - 0.5 * car[f.UPRIGHT]) - px
        back = px + half - car[f.BOOT] - share * (0.55 - 0.45 * car[f.UPRIGHT])
        if py > waist + 0.05 and py < top - 0.09 and front > 0.14 and back > 0.16 and abs(px + 0.05 * half) > 0.05:
            return sf.PANE, 0.2 + 0.8 * share, sf.GLASS
        return paint, 0.85, sf.MATT
    if face == _FLOOR:
        return sf.DARK, 0.6, sf.MATT
    return paint, 1.0, sf.MATT


@kernel
def draw_cars(camera, cars, bodies, label, depth, material, texture, normal, emission, occlusion, rails):
    """Draw cars and their planes into the buffers, and the dark beneath them into `occlusion`."""
    rows, columns = label.shape
    focal, height = camera[f.FOCAL], camera[f.HEIGHT]
    centre_x, centre_y = camera[f.CENTRE_X], camera[f.CENTRE_Y]
    for n in range(cars.shape[0]):
        car = cars[n]
        cosine, sine = car[f.COSINE], car[f.SINE]
        half, side = 0.5 * car[f.LENGTH], 0.5 * car[f.WIDTH]
        left, right, upper, lower = 1e9, -1e9, 1e9, -1e9
        for corner in range(4):
            along = (half + 0.4) * (1.0 if corner & 1 else -1.0)
            beside = (side + 0.4) * (1.0 if corner & 2 else -1.0)
            z = max(0.3, car[f.CAR_Z] + along * cosine - beside * sine)
            x = car[f.CAR_X] + along * sine + beside * cosine
            left = min(left, centre_x + focal * x / z)
            right = max(right, centre_x + focal * x / z)
            upper = min(upper, centre_y - focal * (car[f.CAR_TOP] - height) / z)
            lower = max(lower, centre_y + focal * height / z)
        # The origin, the camera, in the car's frame.
        ox = -car[f.CAR_X] * sine - car[f.CAR_Z] * cosine
        oz = -car[f.CAR_X] * cosine + car[f.CAR_Z] * sine
        for y in range(max(0, int(upper)), min(rows, int(lower) + 2)):
            dy = (centre_y - y - 0.5) / focal
            for x in range(max(0, int(left)), min(columns, int(right) + 2)):
                slope = (x + 0.5 - centre_x) / focal
                dx = slope * sine + cosine
                dz = slope * cosine - sine
                t, face = 1e9, np.int64(-1)  # a typed number: a literal would compile `_finish` twice
                for body in range(2):
                    enter, row = _clip(bodies[n, body], ox, height, oz, dx, dy, dz)
                    if row >= 0 and enter < t:
                        t, face = enter, body * _FACES + row
                wheel = 0
                if abs(oz) > side and abs(dz) > 1e-6:
                    flank = ((side if oz > 0.0 else -side) - oz) / dz
                    reach = abs(abs(ox + flank * dx) - half + 0.80)
                    up = height + flank * dy
                    away = reach * reach + (up - 0.33) * (up - 0.33)
                    if flank <= t + 0.06 and flank > 0.0 and away < 0.16 and up > -0.01:
                        if away < 0.11:
                            t, wheel = flank, (2 if away < 0.035 else 1)
                        elif up > 0.22 and face >= 0:
                            wheel = 1
                if abs(ox) > half and abs(dx) > 1e-6:
                    end = ((half - 0.45 if ox > 0.0 else 0.45 - half) - ox) / dx
                    beside = abs(oz + end * dz)
                    up = height + end * dy
                    if 0.0 < end < t and side - 0.27 < beside < side - 0.02 and 0.0 < up < 0.4:
                        t, wheel = end, 1
                if t < 0.3 or t >= depth[y, x]:
                    if t > 1e8 and depth[y, x] < 300.0:
                        # A miss: the ground beneath and beside the car gets less of the sky.
                        z = depth[y, x]
                        if normal[y, x, 1] > 0.9 and label[y, x] != sf.CAR:
                            gap_x = max(0.0, abs(ox + z * dx) - half + 0.3)
                            gap_z = max(0.0, abs(oz + z * dz) - side + 0.2)
                            gap = math.sqrt(gap_x * gap_x + gap_z * gap_z)
                            occlusion[y, x] = min(occlusion[y, x], 0.12 + 0.88 * min(1.0, gap / 0.6))
                    continue
                if wheel > 0:
                    stuff, tone, code = (sf.METAL, 1.3, sf.MATT) if wheel == 2 else (sf.DARK, 0.8, sf.MATT)
                else:
                    stuff, tone, code = _finish(car, face, ox + t * dx, height + t * dy, oz + t * dz)
                if not (label[y, x] == sf.FENCE and t > rails[x]):
                    label[y, x] = sf.CAR
                depth[y, x] = t
                material[y, x] = stuff
                texture[y, x] = tone
                emission[y, x] = code
                shown = 0 if face < 0 else face
                plane = bodies[n, shown // _FACES, shown % _FACES]
                normal[y, x, 0] = plane[0] * sine + plane[2] * cosine
                normal[y, x, 1] = plane[1]
                normal[y, x, 2] = plane[0] * cosine - plane[2] * sine


@kernel
def shade_by_cars(camera, cars, bodies, sun, label, depth, shadow):
    """Set `shadow` (H, W) to 1 on the ground where a car stands before the sun, direction `sun` (3,)."""
    rows, columns = label.shape
    focal, height = camera[f.FOCAL], camera[f.HEIGHT]
    centre_x, centre_y = camera[f.CENTRE_X], camera[f.CENTRE_Y]
    for n in range(cars.shape[0]):
        car = cars[n]
        cosine, sine = car[f.COSINE], car[f.SINE]
        stretch = car[f.CAR_TOP] / sun[1]
        left, right, upper, lower = 1e9, -1e9, 1e9, -1e9
        for corner in range(8):
            along = 0.5 * car[f.LENGTH] * (1.0 if corner & 1 else -1.0)
            beside = 0.5 * car[f.WIDTH] * (1.0 if corner & 2 else -1.0)
            cast = stretch if corner & 4 else 0.0
            z = max(1.0, car[f.CAR_Z] + along * cosine - beside * sine - cast * sun[2])
            x = car[f.CAR_X] + along * sine + beside * cosine - cast * sun[0]
            left = min(left, centre_x + focal * x / z)
            right = max(right, centre_x + focal * x / z)
            upper = min(upper, centre_y + focal * height / z)
            lower = max(lower, centre_y + focal * height / z)
        dx = sun[0] * sine + sun[2] * cosine
        dz = sun[0] * cosine - sun[2] * sine
        for y in range(max(0, int(upper)), min(rows, int(lower) + 2)):
            for x in range(max(0, int(left)), min(columns, int(right) + 2)):
                ground = label[y, x]
                if (ground != sf.ROAD and ground != sf.SIDEWALK and ground != sf.TERRAIN) or shadow[y, x] >= 1.0:
                    continue
                z = depth[y, x]
                far = z - car[f.CAR_Z]
                wide = (x + 0.5 - centre_x) / focal * z - car[f.CAR_X]
                ox = wide * sine + far * cosine
                oz = wide * cosine - far * sine
                for body in range(2):
                    _, row = _clip(bodies[n, body], ox, 0.0, oz, dx, sun[1], dz)
                    if row >= 0:
                        shadow[y, x] = 1.0
