"""Kernel that lights a street: sun, sky, shadows of houses, lamps, fog."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from . import fields as f
from . import surfaces as sf
from .jit import kernel
from .scene import Layout

__all__ = ["roofline", "shade"]

# The roofline is sampled every metre, starting this far behind the camera.
_BEHIND = 60
_ROOFLINE = 260


def roofline(layout: Layout) -> npt.NDArray[np.float64]:
    """(2, 260) height of what stands at the building line, every metre from 60 m behind the camera on."""
    line = np.zeros((2, _ROOFLINE))
    z = np.arange(_ROOFLINE) - float(_BEHIND)
    for side in range(2):
        lots = layout.lots[side, : layout.counts[side]]
        here = np.clip(np.searchsorted(lots[:, f.LOT_START], z, side="right") - 1, 0, len(lots) - 1)
        solid = (lots[:, f.LOT_KIND] == f.HOUSE) | (lots[:, f.LOT_KIND] == f.WALLED)
        line[side] = np.where(solid, lots[:, f.LOT_TOP], 0.0)[here]
    return line


@kernel
def shade(
    camera, street, roofs, colours, tile, label, depth, material, texture, normal, emission, occlusion,
    shadow,
    sun, sunlight, above, below, zenith, horizon, cloud, cover, drift, haze, fog, emitted, beam, coarse, wet,
    lights, out,
):  # fmt: skip
    """Write the linear light (H, W, 3) that reaches the camera into `out`.

    `colours` (materials, 3) is the palette in use, `sun` the direction towards the sun, `lights` the layout's
    table, `drift` shifts the clouds, `coarse` exaggerates textures. Everything else is as in `Appearance`.
    """
    rows, columns = label.shape
    focal, centre_x, centre_y = camera[f.FOCAL], camera[f.CENTRE_X], camera[f.CENTRE_Y]
    height, bend, offset = camera[f.HEIGHT], camera[f.BEND], camera[f.OFFSET]
    sunny = sunlight[0] > 0.0 and sun[1] > 0.02
    lamp_count = 0
    lamps = np.empty((lights.shape[0], 3))
    if emitted[sf.LAMP, 0] > 0.0:
        for n in range(lights.shape[0]):
            if int(lights[n, 3]) == sf.LAMP:
                for axis in range(3):
                    lamps[lamp_count, axis] = lights[n, axis]
                lamp_count += 1
    for y in range(rows):
        rise = (centre_y - y - 0.5) / focal
        for x in range(columns):
            slope = (x + 0.5 - centre_x) / focal
            if label[y, x] == sf.SKY:
                length = math.sqrt(1.0 + slope * slope + rise * rise)
                up = max(0.0, rise / length)
                blend = math.sqrt(min(1.0, up * 1.9))
                plane = 1.0 / (up + 0.10)
                cx, cy = slope * plane * 34.0 + drift, plane * 40.0 + 0.7 * drift
                puff = 0.62 * tile[int(cy) & 511, int(cx) & 511] + 0.38 * tile[int(3.1 * cy) & 511, int(3.1 * cx) & 511]
                dense = min(1.0, max(0.0, (puff / 255.0 - 0.80 + 0.62 * cover) * 3.2)) * min(1.0, up * 9.0)
                flare = 0.0
                if sunny:
                    near = (slope * sun[0] + rise * sun[1] + sun[2]) / length
                    if near > 0.0:
                        p2 = near * near
                        p8 = p2 * p2 * p2 * p2
                        p64 = p8 * p8 * p8 * p8 * p8 * p8 * p8 * p8
                        flare = 0.18 * p8 + 0.9 * p64 * p64 * p64 + (6.0 if near > 0.9993 else 0.0)
                for c in range(3):
                    tint = horizon[c] + (zenith[c] - horizon[c]) * blend
                    tint += (cloud[c] * (0.7 + 0.45 * puff / 255.0) - tint) * dense * 0.85
                    out[y, x, c] = tint + flare * sunlight[c] * 0.30
                continue
            z = depth[y, x]
            px, py = slope * z, height + rise * z
            nx, ny, nz = normal[y, x, 0], normal[y, x, 1], normal[y, x, 2]
            tone = texture[y, x]
            ground = ny > 0.95 and py < 0.1
            code = int(emission[y, x])
            glassy = code == sf.GLASS or (code == sf.WINDOW and emitted[sf.WINDOW, 0] < 0.05)
            if coarse > 0.0 and code == sf.MATT:
                grit = tile[int(py * 19.0 + z * 7.0) & 511, int(px * 19.0 + z * 3.0) & 511] / 255.0
                tone = 0.55 + 0.45 * tone + coarse * (grit - 0.5)
                tone = max(0.15, tone)
            direct = 0.0
            if sunny:
                direct = nx * sun[0] + ny * sun[1] + nz * sun[2]
                if direct > 0.0:
                    u = px - bend * z * z + offset
                    side = 1 if sun[0] > 0.0 else 0
                    gap = street[f.FRONT_LEFT + side] - 0.1 - (u if side == 1 else -u)
                    if gap > 0.0:
                        t = gap / max(abs(sun[0]), 1e-3)
                        at = int(z + t * sun[2] + _BEHIND)
                        roof = roofs[side, min(_ROOFLINE - 1, max(0, at))]
                        direct *= min(1.0, max(0.0, (py + t * sun[1] - roof) * (0.8 / (1.0 + 0.05 * t)) + 0.5))
                    direct *= 1.0 - shadow[y, x]
                else:
                    direct = 0.0
            open_sky = (0.5 + 0.5 * ny) * occlusion[y, x]
            closed = (0.5 - 0.5 * ny) * occlusion[y, x]
            canyon = 0.72 + 0.28 * min(1.0, max(0.0, py) / 9.0)
            lit = 0.0
            for n in range(lamp_count):
                dz = lamps[n, 2] - z
                if dz > 22.0 or dz < -22.0:
                    continue
                dx, dy = lamps[n, 0] - px, lamps[n, 1] - py
                square = dx * dx + dy * dy + dz * dz + 0.6
                facing = nx * dx + ny * dy + nz * dz
                inverse = 1.0 / math.sqrt(square)
                cut = 1.0 if dy > 0.0 else 0.25
                lit += cut * (0.18 + max(0.0, facing) * inverse) / square
            lit *= 5.0 * occlusion[y, x]
            own = 0.0
            if beam > 0.0:
                aim = slope + 0.02
                low = rise + 0.015
                cone = 1.0 / (1.0 + 9.0 * aim * aim)
                spread = 1.0 / (1.0 + (240.0 if low > 0.0 else 14.0) * low * low)
                facing = 0.35 + 0.65 * (ny * 0.55 if ground else max(0.0, -nz))
                own = beam * cone * cone * spread * facing * 15.0 / (14.0 + 0.30 * z * z)
            shine = (0.03 + 0.22 * tone) if glassy else 0.0
            dull = 1.0 - 0.42 * wet if ground and label[y, x] != sf.TERRAIN else 1.0 - 0.15 * wet
            reach = fog * z * (1.0 if py < 6.0 else 6.0 / py * 0.4 + 0.6)
            clear = 1.0 / (1.0 + reach + 0.5 * reach * reach + 0.16667 * reach * reach * reach)
            for c in range(3):
                falling = sunlight[c] * direct + canyon * (above[c] * open_sky + below[c] * closed)
                falling += emitted[sf.LAMP, c] * lit + own * (1.0 - 0.07 * c)
                value = colours[material[y, x], c] * tone * dull * falling
                if glassy:
                    mirrored = horizon[c] + (zenith[c] - horizon[c]) * 0.5 * (1.0 + rise)
                    value = 0.5 * value + shine * (mirrored + 0.35 * direct * sunlight[c])
                elif code >= sf.WINDOW:
                    value += emitted[code, c] * (0.25 + 0.75 * min(1.3, tone) if code == sf.WINDOW else 1.0)
                out[y, x, c] = value * clear + haze[c] * (1.0 - clear)
