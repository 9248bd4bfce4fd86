"""Kernel that draws the street itself: ground, house fronts, walls, fences, and what closes the view.

The camera looks along the street with its image plane upright (pitch and yaw are shifts of the vanishing
point), so whatever stands upright has one depth in an image column. Each column therefore is a short list of
upright spans, drawn with a depth test, and the ground below them. The street may bend: x = u - OFFSET + BEND
* z^2, and a ray meets a line u = const where a quadratic in z is zero.
"""

from __future__ import annotations

import math

import numpy as np

from . import fields as f
from . import surfaces as sf
from .jit import helper, kernel
from .textures import facade_at, ground_at, hashed

_TREES = 9  # a kind of span beside the kinds of lot

# Columns of the list of spans: depth, metres along the span, side its face looks away from (0: it faces the
# camera), kind, the lot it belongs to, and whether it is the side wall of a house, with few windows.
_AT, _ALONG, _FACING, _KIND, _SIDE, _LOT, _SIDEWALL = range(7)
_MOST = 48


@helper
def _meet(slope, bend, lateral):
    """Distance at which a ray of this horizontal slope meets the line u - OFFSET = lateral; -1 if never."""
    root = slope * slope - 4.0 * bend * lateral
    if root < 0.0:
        return -1.0
    below = slope + math.sqrt(root) if lateral > 0.0 else slope - math.sqrt(root)
    if below * lateral <= 1e-9:
        return -1.0
    return 2.0 * lateral / below


@helper
def _note(spans, row, z, along, facing, kind, side, lot, sidewall):
    """Write one row of the list of spans; returns the number of the next."""
    spans[row, _AT] = z
    spans[row, _ALONG] = along
    spans[row, _FACING] = facing
    spans[row, _KIND] = kind
    spans[row, _SIDE] = side
    spans[row, _LOT] = lot
    spans[row, _SIDEWALL] = sidewall
    return row + 1


@helper
def _list_spans(camera, street, lots, counts, slope, spans):
    """Fill `spans` (48, 7) for an image column, nearer ones of a side first; returns how many."""
    bend, offset = camera[f.BEND], camera[f.OFFSET]
    found = np.int64(0)  # a typed number: a literal would compile `_note` twice
    for side in range(2):
        sign = 2.0 * side - 1.0
        front = sign * street[f.FRONT_LEFT + side]
        z = _meet(slope, bend, front - offset)
        if z < 0.2 or z >= street[f.END]:
            continue
        here = 0
        while here < counts[side] - 1 and z >= lots[side, here, f.LOT_STOP]:
            here += 1
        kind = int(lots[side, here, f.LOT_KIND])
        if kind != f.PARK and kind != f.CROSSING:
            found = _note(spans, found, z, z - lots[side, here, f.LOT_START], sign, kind, side, here, 0.0)
        # Past the building line: side walls of the houses behind, then what closes the yards.
        for lot in range(here + 1, counts[side]):
            z = lots[side, lot, f.LOT_START]
            behind = sign * (slope * z - bend * z * z + offset) - street[f.FRONT_LEFT + side]
            if z >= street[f.END] or behind < 0.0 or behind > street[f.YARD] or found >= _MOST - 4:
                break
            if lots[side, lot, f.LOT_KIND] == f.HOUSE:
                found = _note(spans, found, z, behind, 0.0, int(lots[side, lot, f.LOT_KIND]), side, lot, 1.0)
        z = _meet(slope, bend, front + sign * street[f.YARD] - offset)
        if 0.2 < z < street[f.END]:
            block = int(z / 17.0)
            lot = block % counts[side]
            leafy = hashed(block, side, int(lots[side, lot, f.LOT_SEED])) < 0.45
            found = _note(spans, found, z, z, sign, int(_TREES if leafy else f.HOUSE), side, lot, 0.0)
    kind = int(_TREES if street[f.END_KIND] > 0.5 else f.HOUSE)
    reach = street[f.END]
    return _note(spans, found, reach, slope * reach + 300.0, 0.0, kind, np.int64(0), counts[0] - 1, 0.0)


@kernel
def draw_backdrop(camera, street, lots, counts, tile, label, depth, material, texture, normal, emission, rails):
    """Draw the street into the buffers, all of shape (H, W), which hold nothing but sky so far.

    `lots` is (2, n, LOT_FIELDS) with `counts` used per side; `normal` is (H, W, 3); `rails` (W,) receives the
    depth of a see-through fence in each column (0: none), which things drawn later behind it need.
    """
    rows, columns = label.shape
    focal, centre_y, height = camera[f.FOCAL], camera[f.CENTRE_Y], camera[f.HEIGHT]
    spans = np.empty((_MOST, 7))
    for x in range(columns):
        slope = (x + 0.5 - camera[f.CENTRE_X]) / focal
        count = _list_spans(camera, street, lots, counts, slope, spans)
        fence = -1
        for n in range(count):
            lot = lots[int(spans[n, _SIDE]), int(spans[n, _LOT])]
            if int(spans[n, _KIND]) == f.FENCED:
                fence = n
                rails[x] = spans[n, _AT]
            else:
                _draw_span(camera, spans[n], lot, x, tile, label, depth, material, texture, normal, emission)
        for y in range(max(0, int(centre_y - 1.0)), rows):
            drop = (y + 0.5 - centre_y) / focal
            z = height / max(drop, 1e-6)
            if z >= depth[y, x]:
                continue
            u = slope * z - camera[f.BEND] * z * z + camera[f.OFFSET]
            along = z * z / (focal * height)
            across = z / focal + 0.7 * abs(slope) * along
            found, stuff, tone = ground_at(street, u, z, across, along, tile)
            label[y, x] = found
            depth[y, x] = z
            material[y, x] = stuff
            texture[y, x] = tone
            emission[y, x] = sf.MATT
            normal[y, x, 0] = 0.0
            normal[y, x, 1] = 1.0
            normal[y, x, 2] = 0.0
        if fence >= 0:
            lot = lots[int(spans[fence, _SIDE]), int(spans[fence, _LOT])]
            _draw_fence(camera, spans[fence], lot, x, tile, label, depth, material, texture, normal, emission)


@helper
def _draw_fence(camera, span, lot, x, tile, label, depth, material, texture, normal, emission):
    """A fence in one column. Between its bars only the label is its own; the rest is what shows through."""
    top, z, s = lot[f.LOT_TOP], span[_AT], span[_ALONG]
    footprint = z / camera[f.FOCAL]
    upper = camera[f.CENTRE_Y] - (top - camera[f.HEIGHT]) / footprint
    lower = camera[f.CENTRE_Y] + camera[f.HEIGHT] / footprint
    bar = s * 4.0 - math.floor(s * 4.0)
    post = s / 3.0 - math.floor(s / 3.0)
    for y in range(max(0, int(upper)), min(label.shape[0], int(lower) + 1)):
        up = camera[f.HEIGHT] + (camera[f.CENTRE_Y] - y - 0.5) * footprint
        if up < 0.0 or up > top or z >= depth[y, x]:
            continue
        label[y, x] = sf.FENCE
        planks = lot[f.STYLE] >= f.STONE
        if planks or bar < 0.3 or post < 0.05 or abs(up - top + 0.1) < 0.06 or abs(up - 0.25) < 0.05:
            grain = tile[int(up * 12.0) & 511, int(s * 160.0) & 511] / 255.0
            depth[y, x] = z
            material[y, x] = int(lot[f.LOT_MATERIAL])
            texture[y, x] = (0.7 + 0.6 * grain) * (0.55 if bar < 0.1 else 1.0)
            emission[y, x] = sf.MATT
            normal[y, x, 0] = -span[_FACING]
            normal[y, x, 1] = 0.0
            normal[y, x, 2] = 0.0


@helper
def _draw_span(camera, span, lot, x, tile, label, depth, material, texture, normal, emission):
    """A house, a wall or a row of trees in one column."""
    z, s, sign, kind = span[_AT], span[_ALONG], span[_FACING], int(span[_KIND])
    rows = label.shape[0]
    focal, centre_y, height = camera[f.FOCAL], camera[f.CENTRE_Y], camera[f.HEIGHT]
    top = lot[f.LOT_TOP]
    if kind == _TREES:
        ragged = tile[int(lot[f.LOT_SEED]) & 511, int(s * 7.0) & 511] / 255.0
        big = tile[(int(lot[f.LOT_SEED]) + 99) & 511, int(s * 1.3) & 511] / 255.0
        top = 4.5 + 6.0 * big + 2.0 * ragged
    footprint = z / focal
    upper = centre_y - (top - height) / footprint
    lower = centre_y + height / footprint
    for y in range(max(0, int(upper)), min(rows, int(lower) + 1)):
        up = height + (centre_y - y - 0.5) * footprint
        if up < 0.0 or up > top or z >= depth[y, x]:
            continue
        code = sf.MATT
        found = sf.BUILDING
        if kind == f.HOUSE:
            stuff, tone, code = facade_at(lot, s, up, footprint, span[_SIDEWALL] > 0.5, tile)
        elif kind == _TREES:
            found = sf.VEGETATION
            stuff = sf.GRASS
            leaf = tile[int(up * 11.0) & 511, int(s * 11.0) & 511] / 255.0
            clump = tile[int(up * 3.0 + 40.0) & 511, int(s * 3.0) & 511] / 255.0
            tone = (0.25 + 0.6 * leaf) * (0.35 + 0.8 * clump) * (0.5 + 0.5 * min(1.0, up / top))
        else:
            found = sf.WALL
            stuff = int(lot[f.LOT_MATERIAL])
            grain = tile[int(up * 40.0) & 511, int(s * 40.0) & 511] / 255.0
            stain = tile[int(up * 4.0) & 511, int(s * 8.0) & 511] / 255.0
            tone = (0.7 + 0.5 * grain) * (0.65 + 0.5 * stain)
            if up > top - 0.18:
                stuff += 1
            elif (up / 0.4 - math.floor(up / 0.4)) < 0.1:
                tone *= 1.0 - 0.35 * max(0.0, 1.0 - footprint / 0.15)
            if s / 5.0 - math.floor(s / 5.0) < 0.07:
                tone *= 0.8
        label[y, x] = found
        depth[y, x] = z
        material[y, x] = stuff
        texture[y, x] = tone
        emission[y, x] = code
        normal[y, x, 0] = -sign
        normal[y, x, 1] = 0.0
        normal[y, x, 2] = -1.0 if sign == 0.0 else 0.0
