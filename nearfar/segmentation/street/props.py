"""Kernels that draw what stands in the street as cut-outs facing the camera, and their shadows.

The same shape paints a thing and, with its plane turned towards the sun, tells which ground lies in its
shadow.
"""

from __future__ import annotations

import math

from . import fields as f
from . import surfaces as sf
from .jit import helper, kernel
from .shapes import NOTHING, PARTS, part_at


@helper
def _reach(prop):
    """How far a prop extends to the sides of its foot, in metres."""
    kind = int(prop[f.PROP_KIND])
    if kind == f.STREET_LAMP or kind == f.TRAFFIC_LIGHT:
        return abs(prop[f.TURN]) + 0.4
    if kind == f.TREE or kind == f.BUSH:
        return 1.3 * prop[f.WIDE] + 0.3
    if kind == f.CYCLE or kind == f.MOTORBIKE:
        return 1.1 * max(0.35, abs(prop[f.TURN])) + 0.1
    if kind == f.WALKER:
        return 0.42 * prop[f.TALL]
    return prop[f.WIDE] + 0.25


@kernel
def draw_props(camera, props, tile, label, depth, material, texture, normal, emission, occlusion, rails):
    """Draw props (n, PROP_FIELDS) into the buffers with a depth test, and the darkness at their feet."""
    rows, columns = label.shape
    focal, height = camera[f.FOCAL], camera[f.HEIGHT]
    centre_x, centre_y = camera[f.CENTRE_X], camera[f.CENTRE_Y]
    for n in range(props.shape[0]):
        prop = props[n]
        z = prop[f.PROP_Z]
        thin = z / focal
        reach = max(_reach(prop), thin)
        middle = centre_x + prop[f.PROP_X] / thin
        first, last = int(middle - reach / thin), int(middle + reach / thin) + 1
        upper = int(centre_y - (prop[f.TALL] + 0.7 - height) / thin)
        lower = int(centre_y + height / thin) + 1
        own = int(prop[f.PROP_MATERIAL])
        foot = min(prop[f.WIDE], 0.5) + 0.1
        for y in range(max(0, upper), min(rows, lower + 1)):
            up = height + (centre_y - y - 0.5) * thin
            for x in range(max(0, first), min(columns, last + 1)):
                beside = (x + 0.5 - middle) * thin
                if z >= depth[y, x]:
                    continue
                part, lean_x, lean_y, tone = part_at(beside, up, prop, thin, tile)
                if part == NOTHING:
                    continue
                depth[y, x] = z
                if not (label[y, x] == sf.FENCE and z > rails[x]):
                    label[y, x] = PARTS[part, 0]
                stuff = PARTS[part, 1]
                material[y, x] = own - 1 - stuff if stuff < 0 else stuff
                texture[y, x] = tone
                emission[y, x] = PARTS[part, 2]
                normal[y, x, 0] = lean_x
                normal[y, x, 1] = lean_y
                normal[y, x, 2] = -math.sqrt(max(0.05, 1.0 - lean_x * lean_x - lean_y * lean_y))
        for y in range(max(0, int(lower - foot * height / (thin * z) - 1)), min(rows, lower + 3)):
            for x in range(max(0, int(middle - 2 * foot / thin)), min(columns, int(middle + 2 * foot / thin) + 1)):
                if normal[y, x, 1] < 0.95:
                    continue
                far = (depth[y, x] - z) / foot
                beside = ((x + 0.5 - centre_x) / focal * depth[y, x] - prop[f.PROP_X]) / foot
                gap = math.sqrt(far * far + beside * beside)
                occlusion[y, x] = min(occlusion[y, x], 0.45 + 0.55 * min(1.0, 0.6 * gap))


@kernel
def shade_by_props(camera, props, sun, tile, label, depth, shadow):
    """Raise `shadow` (H, W) on the ground behind props, seen from the sun in direction `sun` (3,)."""
    rows, columns = label.shape
    focal, height = camera[f.FOCAL], camera[f.HEIGHT]
    centre_x, centre_y = camera[f.CENTRE_X], camera[f.CENTRE_Y]
    level = math.sqrt(sun[0] * sun[0] + sun[2] * sun[2])
    hx, hz = sun[0] / level, sun[2] / level
    climb = sun[1] / level
    for n in range(props.shape[0]):
        prop = props[n]
        reach = _reach(prop)
        cast = (prop[f.TALL] + 0.5) / climb
        kind = int(prop[f.PROP_KIND])
        depth_of_shade = 0.8 if kind == f.TREE or kind == f.BUSH else 0.95
        left, right, upper, lower = 1e9, -1e9, 1e9, -1e9
        for corner in range(4):
            along = cast if corner & 1 else -0.2
            across = reach if corner & 2 else -reach
            z = max(1.0, prop[f.PROP_Z] - along * hz - across * hx)
            x = prop[f.PROP_X] - along * hx + across * hz
            left = min(left, centre_x + focal * x / z)
            right = max(right, centre_x + focal * x / z)
            upper = min(upper, centre_y + focal * height / z)
            lower = max(lower, centre_y + focal * height / z)
        for y in range(max(0, int(upper)), min(rows, int(lower) + 2)):
            for x in range(max(0, int(left)), min(columns, int(right) + 2)):
                ground = label[y, x]
                if (ground != sf.ROAD and ground != sf.SIDEWALK and ground != sf.TERRAIN) or shadow[
                    y, x
                ] >= depth_of_shade:
                    continue
                far = depth[y, x] - prop[f.PROP_Z]
                wide = (x + 0.5 - centre_x) / focal * depth[y, x] - prop[f.PROP_X]
                up = -(wide * hx + far * hz) * climb
                across = wide * hz - far * hx
                if up < 0.0 or up > prop[f.TALL] + 0.5 or abs(across) > reach:
                    continue
                part, _, _, _ = part_at(across, up, prop, 0.5 * depth[y, x] / focal, tile)
                if part != NOTHING:
                    shadow[y, x] = depth_of_shade
