"""Patterns of house fronts and of the ground: from a point to its material, brightness and label.

Fine patterns fade where a pixel covers more than they measure, so that the distance does not flicker.
"""

from __future__ import annotations

import math

from . import fields as f
from . import surfaces as sf
from .jit import helper


@helper
def hashed(a, b, c):
    """A number in [0, 1) from three whole numbers."""
    n = (a * 73856093 ^ b * 19349663 ^ c * 83492791) & 0x7FFFFFFF
    n = ((n >> 13) ^ n) * 1274126177 & 0x7FFFFFFF
    n = ((n >> 16) ^ n) * 668265263 & 0x7FFFFFFF
    return ((n >> 8) & 0xFFFF) / 65536.0


@helper
def facade_at(lot, s, y, footprint, plain, tile):
    """Material, brightness and emission of a house front at s metres along it and y metres up."""
    base = int(lot[f.LOT_MATERIAL])
    seed = int(lot[f.LOT_SEED])
    top = lot[f.LOT_TOP]
    style = int(lot[f.STYLE])
    grain = tile[int(y * 37.0) & 511, int(s * 37.0) & 511] / 255.0
    stain = tile[int(y * 2.0 + seed) & 511, int(s * 5.0 + seed) & 511] / 255.0
    tone = (0.82 + 0.36 * grain) * (0.78 + 0.44 * stain) * (0.80 + 0.20 * min(1.0, y / 2.5))
    if y > top - lot[f.ROOF]:
        row = y * 2.5 - math.floor(y * 2.5)
        rib = 1.0 if footprint > 0.15 else 0.75 + 0.5 * row
        return base + 3, tone * rib, sf.MATT
    eave = top - lot[f.ROOF] - y
    if eave < 0.45:
        return base + 1, tone * (1.15 if eave > 0.12 else 0.7), sf.MATT
    if style == f.BRICK:  # brick courses
        course = math.floor(y / 0.16)
        shift = 0.5 * (int(course) & 1)
        gap_y = y / 0.16 - course
        gap_x = s / 0.42 + shift - math.floor(s / 0.42 + shift)
        strength = max(0.0, 1.0 - footprint / 0.10)
        if gap_y < 0.18 or gap_x < 0.09:
            tone *= 1.0 + 0.45 * strength
        tone *= 0.88 + 0.24 * hashed(math.floor(s / 0.42 + shift), int(course), seed) * min(1.0, 0.2 + strength)
    elif style == f.STONE:  # stone blocks
        gap_y = y / 0.6 - math.floor(y / 0.6)
        if gap_y < 0.06:
            tone *= 1.0 - 0.4 * max(0.0, 1.0 - footprint / 0.2)
    shop = lot[f.SHOP]
    if y < shop and not plain:
        bay = math.floor(s / 4.2)
        fx = s / 4.2 - bay
        if y > shop - 0.35:
            return base + 1, tone * 1.05, sf.MATT
        choice = hashed(int(bay), seed, seed + 3)
        if y > shop - 1.0 and choice < 0.75:
            return base + 2, tone * (0.85 + 0.3 * (math.floor(s * 2.2) & 1)), sf.MATT
        if fx < 0.09 or fx > 0.91 or y < 0.35:
            return base, tone * 0.75, sf.MATT
        if choice > 0.62 and abs(fx - 0.5) < 0.16:
            return base + 2, tone * 0.55, sf.MATT
        code = sf.WINDOW if hashed(int(bay), seed, seed + 11) < lot[f.LIT] * 1.4 else sf.GLASS
        return sf.PANE, 0.5 + 1.0 * hashed(math.floor(s * 1.7), math.floor(y * 1.3), seed), code
    pitch = lot[f.PITCH] * (1.7 if plain else 1.0)
    floor = math.floor((y - shop) / lot[f.STOREY])
    fy = (y - shop) / lot[f.STOREY] - floor
    column = math.floor(s / pitch)
    fx = s / pitch - column
    if y < shop or (plain and hashed(seed, seed + 5, style) < 0.35):
        return base, tone * 0.9, sf.MATT
    half = lot[f.OPENING] * 0.5
    if style == f.OFFICE:  # ribbon windows of an office
        half = 0.46
    low, high = (0.18, 0.86) if style == f.OFFICE else (0.24, 0.80)
    rim = max(0.10 / pitch, 0.5 * footprint / pitch)
    off = abs(fx - 0.5)
    if off < half and low < fy < high:
        if style != f.OFFICE and (abs(off - 0.0) < 0.3 * rim or abs(fy - 0.6) < 0.02) and footprint < 0.08:
            return sf.FRAME, tone, sf.MATT
        lit = hashed(int(column), int(floor) + 57, seed)
        code = sf.WINDOW if lit < lot[f.LIT] else sf.GLASS
        curtain = 0.55 + 0.9 * hashed(int(column), int(floor), seed + 9)
        return sf.PANE, curtain * (0.8 + 0.4 * fy), code
    if off < half + rim and low - 0.05 < fy < high + 0.05:
        return base + 1, tone * (1.2 if fy < low else 0.95), sf.MATT
    if fy < 0.05 and style != f.BRICK:
        return base + 1, tone * 0.9, sf.MATT
    return base, tone, sf.MATT


@helper
def ground_at(street, u, z, across, along, tile):
    """Label, material and brightness of the ground at lateral position u and distance z."""
    grain = tile[int(z * 43.0) & 511, int(u * 43.0) & 511] / 255.0
    patch = tile[int(z * 2.2) & 511, int(u * 5.0 + 90.0) & 511] / 255.0
    fine = max(0.0, 1.0 - across / 0.25)
    tone = (1.0 + (0.55 * grain - 0.275) * fine) * (0.75 + 0.5 * patch)
    side = 1 if u > 0.0 else 0
    reach = abs(u)
    edge = street[f.ROAD_LEFT + side]
    crossing = street[f.CROSS_START] < z < street[f.CROSS_STOP]
    if reach < edge or crossing:
        if crossing and reach < street[f.FRONT_LEFT + side]:
            return sf.ROAD, sf.ASPHALT, tone
        if crossing:
            return sf.ROAD, sf.ASPHALT, tone * 0.95
        wheel = abs(abs(reach - 0.5 * street[f.LANE]) - 0.8)
        tone *= 0.90 + 0.16 * min(1.0, wheel / 0.6)
        crack = abs(tile[int(z * 9.0) & 511, int(u * 9.0 + 31.0) & 511] - 128.0)
        if crack < 3.0 and patch > 0.55:
            tone *= 1.0 - 0.45 * fine
        if reach > edge - 0.35:
            tone *= 0.8
        paint = 0.0
        worn = street[f.WEAR] * (0.55 + 0.45 * min(1.0, 1.6 * grain))
        zebra = street[f.CROSSWALK]
        if zebra > 0.0 and zebra < z < zebra + 3.2:
            stripe = u - math.floor(u)
            paint = 0.5 + (0.26 - abs(stripe - 0.5)) / max(across, 0.02)
        elif zebra > 0.0 and zebra - 1.7 < z < zebra - 1.2 + 0.3 * along and 0.0 < u < edge - street[f.PARKING]:
            paint = 0.9
        elif not (zebra > 0.0 and zebra - 1.7 < z < street[f.CROSS_STOP]):
            line = 0.14 / max(across, 0.14)
            solid = 0.5 + (0.5 * max(0.14, across) - abs(u)) / max(across, 0.01)
            dash = z / 8.0 - math.floor(z / 8.0)
            if dash < 0.45 or street[f.WEAR] > 0.93:
                paint = solid * line
            lane = 0.5 + (0.5 * max(0.14, across) - abs(reach - street[f.LANE])) / max(across, 0.01)
            if street[f.LANE] < edge - 2.2 - street[f.PARKING] and dash > 0.5:
                paint = max(paint, lane * line)
            if street[f.PARKING] > 0.0:
                kerb_line = edge - street[f.PARKING]
                paint = max(
                    paint,
                    (0.5 + (0.5 * max(0.10, across) - abs(reach - kerb_line)) / max(across, 0.01)) * line,
                )
        return sf.ROAD, sf.ASPHALT, tone * (1.0 + 5.2 * worn * min(1.0, max(0.0, paint)))
    if reach < edge + 0.22:
        return sf.SIDEWALK, sf.KERB, tone * (0.62 if reach < edge + 0.07 else 1.05)
    verge = edge + 0.22 + street[f.VERGE_LEFT + side]
    soil = tile[int(z * 6.0 + 77.0) & 511, int(u * 6.0) & 511]
    if reach < verge:
        return sf.TERRAIN, (sf.EARTH if soil > 176 else sf.GRASS), tone * (0.6 + 0.8 * grain)
    if reach < street[f.FRONT_LEFT + side]:
        joint_u = u / 0.9 - math.floor(u / 0.9)
        joint_z = z / 0.9 - math.floor(z / 0.9)
        if joint_u < 0.06 or joint_z < 0.06:
            tone *= 1.0 - 0.35 * max(0.0, 1.0 - along / 0.30)
        slab = hashed(math.floor(u / 0.9), math.floor(z / 0.9), side)
        return sf.SIDEWALK, sf.PAVING, tone * (1.0 + (0.24 * slab - 0.12) * max(0.0, 1.0 - along / 0.9))
    return sf.TERRAIN, (sf.EARTH if soil > 184 else sf.GRASS), tone * (0.55 + 0.9 * grain)
