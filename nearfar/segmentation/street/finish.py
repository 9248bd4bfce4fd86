"""The steps that turn linear light into a photograph: halos, wet ground, rain, lens and sensor."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from . import fields as f
from . import surfaces as sf
from .jit import helper, kernel


@kernel
def add_glow(camera, lights, emitted, spread, fog, depth, light):
    """Add the halo of every visible lamp to `light` (H, W, 3)."""
    rows, columns = depth.shape
    focal, centre_x, centre_y, height = (
        camera[f.FOCAL],
        camera[f.CENTRE_X],
        camera[f.CENTRE_Y],
        camera[f.HEIGHT],
    )
    for n in range(lights.shape[0]):
        code = int(lights[n, 3])
        power = max(emitted[code, 0], emitted[code, 1])
        if power <= 0.0:
            continue
        z = lights[n, 2]
        middle_x = centre_x + focal * lights[n, 0] / z
        middle_y = centre_y - focal * (lights[n, 1] - height) / z
        seen = 0
        for dy in range(-1, 2):
            for dx in range(-1, 2):
                y, x = int(middle_y) + dy, int(middle_x) + dx
                if 0 <= y < rows and 0 <= x < columns and depth[y, x] > z - 0.6:
                    seen += 1
        if seen == 0:
            continue
        size = spread * lights[n, 4] * (1.7 if code == sf.LAMP or code == sf.HEADLIGHT else 1.0)
        core = max(size * focal / z, 0.0035 * columns * (0.6 if code > sf.HEADLIGHT else 1.0))
        core = min(core, 0.016 * columns)
        reach = 9.0 * core
        strength = seen / 9.0 / (1.0 + fog * z) * min(1.0, 30.0 / z + 0.35)
        for y in range(max(0, int(middle_y - reach)), min(rows, int(middle_y + reach) + 1)):
            for x in range(max(0, int(middle_x - reach)), min(columns, int(middle_x + reach) + 1)):
                dx, dy = x + 0.5 - middle_x, y + 0.5 - middle_y
                square = (dx * dx + dy * dy) / (core * core)
                edge = 1.0 - square / 81.0
                if edge <= 0.0:
                    continue
                halo = (0.55 / (1.0 + square * square) + 0.06 / (1.0 + 0.25 * square)) * edge * strength
                for c in range(3):
                    light[y, x, c] += halo * emitted[code, c]


@kernel
def mirror(camera, wet, tile, label, depth, normal, light):
    """Let wet ground mirror what stands above it, in place.

    Whatever is upright keeps one depth down a column, so its mirror image is found by counting rows from its
    foot; above it the ground mirrors what lies as far above the horizon as the ground point lies below.
    """
    rows, columns = label.shape
    focal, centre_y, height = camera[f.FOCAL], camera[f.CENTRE_Y], camera[f.HEIGHT]
    column = np.empty((rows, 3), np.float32)
    for x in range(columns):
        for y in range(rows):
            for c in range(3):
                column[y, c] = light[y, x, c]
        foot, far = -1, 0.0
        for y in range(rows):
            if normal[y, x, 1] < 0.7 or (label[y, x] != sf.ROAD and label[y, x] != sf.SIDEWALK):
                foot, far = y, depth[y, x]
                continue
            z = depth[y, x]
            lean = height / math.sqrt(height * height + z * z)
            flat = (1.0 - lean) * (1.0 - lean)
            puddle = tile[int(z * 2.6) & 511, int((x - camera[f.CENTRE_X]) / focal * z * 6.0) & 511] / 255.0
            pool = min(1.0, max(0.12, (puddle - 0.42) * 6.0))
            share = wet * (0.04 + 0.80 * flat * flat) * (0.35 + 0.65 * pool)
            ripple = (tile[int(z * 31.0) & 511, int(x * 3.0) & 511] - 128.0) / 128.0
            jitter = ripple * (0.6 + 2.5 * (1.0 - pool)) * rows / 128.0
            at = int(2 * foot - y + 1 + jitter)
            if foot < 0 or at < 0 or at > foot or depth[at, x] > 1.2 * far + 0.5:
                at = int(2.0 * centre_y - y - 1.0 + jitter)
            at = min(max(at, 0), rows - 1)
            step = 1 + int(rows / 128.0 * (1.0 + 2.0 * (1.0 - pool)))
            before, after = max(0, at - step), min(rows - 1, at + step)
            for c in range(3):
                image = 0.5 * column[at, c] + 0.25 * (column[before, c] + column[after, c])
                light[y, x, c] = column[y, c] * (1.0 - 0.6 * share) + share * image


def add_rain(count: int, seed: int, light: npt.NDArray[np.float32]) -> None:
    """Draw `count` slanted, translucent streaks into `light`; nearer ones are longer and denser."""
    rows, columns = light.shape[:2]
    rng = np.random.default_rng(seed)
    slant = rng.uniform(-0.25, 0.25)
    across, down, depth, strength = rng.random((4, count, 1))
    near = depth * depth
    length = (0.03 + 0.10 * near) * rows + 2.0
    step = np.arange(int(0.13 * rows) + 3)
    x = ((1.2 * across - 0.1) * columns + slant * step).astype(np.int64)
    y = ((1.1 * down - 0.1) * rows + step).astype(np.int64)
    fade = (0.10 + 0.26 * near) * (0.5 + 0.5 * strength) * (1.0 - np.abs(2.0 * step / length - 1.0))
    seen = (fade > 0.0) & (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
    x, y, fade = x[seen], y[seen], fade[seen, None]
    light[y, x] += fade * (np.array([0.62, 0.64, 0.66]) - light[y, x])


@helper
def _soften(source, target):
    """Binomial 3 x 3 blur of (h, w, 3), leaving the outermost rows and columns of `target` as they are."""
    for y in range(1, source.shape[0] - 1):
        for x in range(1, source.shape[1] - 1):
            for c in range(3):
                total = 0.0
                for dy in range(-1, 2):
                    for dx in range(-1, 2):
                        weight = 0.25 if dy == 0 and dx == 0 else (0.125 if dy == 0 or dx == 0 else 0.0625)
                        total += weight * source[y + dy, x + dx, c]
                target[y, x, c] = total


@helper
def _bloom_of(light, exposure, cell):
    """What is brighter than the sensor takes, blurred, in cells of `cell` pixels with a rim of one cell."""
    rows, columns = light.shape[0], light.shape[1]
    bright = np.zeros(((rows + cell - 1) // cell + 2, (columns + cell - 1) // cell + 2, 3), np.float32)
    for y in range(rows):
        for x in range(columns):
            for c in range(3):
                extra = light[y, x, c] * exposure - 0.9
                if extra > 0.0:
                    bright[y // cell + 1, x // cell + 1, c] += min(4.0, extra) / (cell * cell)
    spread = np.zeros_like(bright)
    _soften(bright, spread)
    _soften(spread, bright)
    return bright


@kernel
def develop(light, exposure, warmth, softness, grain, noise, seed, tones, out):
    """Lens blur, bloom, vignette, sensor noise and tone curve: `light` (H, W, 3) to `out` uint8.

    `noise` holds RGB triples of normal numbers, flattened, for more than W pixels; `tones` the display values
    for v / (v + 1) in equal steps, v being exposed light. The passes over a row are in single precision so
    that they become vector code.
    """
    rows, columns = light.shape[0], light.shape[1]
    cell = max(1, columns // 64)
    bright = _bloom_of(light, exposure, cell)
    flat, picture = light.reshape(rows, 3 * columns), out.reshape(rows, 3 * columns)
    cells = bright.reshape(bright.shape[0], 3 * bright.shape[1])
    centre = np.float32((1.0 - 2.0 * softness) ** 2)
    edge = np.float32(softness * (1.0 - 2.0 * softness))
    corner = np.float32(softness * softness)
    bloomed, one, grain = np.float32(0.30), np.float32(1.0), np.float32(grain)
    floor, top = np.float32(0.10), np.float32(tones.shape[0] - 0.01)
    line, glare = np.empty(3 * columns, np.float32), np.empty(3 * columns, np.float32)
    gain, fall = np.empty(3 * columns, np.float32), np.empty(3 * columns, np.float32)
    left, share = np.empty(3 * columns, np.int64), np.empty(3 * columns, np.float32)
    across = np.empty(3 * bright.shape[1], np.float32)
    for j in range(3 * columns):
        at = (j // 3 + 0.5) / cell + 0.5
        cell_x = min(bright.shape[1] - 2, int(at))
        left[j] = 3 * cell_x + j % 3
        share[j] = at - cell_x
        off = (j // 3 + 0.5) / columns - 0.5
        gain[j] = 1.0 + warmth * (1 - j % 3)
        fall[j] = 0.55 * exposure * off * off
    state = seed
    for y in range(rows):
        above, under = flat[max(0, y - 1)], flat[min(rows - 1, y + 1)]
        here = flat[y]
        for j in range(3 * columns):
            before, after = (j - 3 if j >= 3 else j), (j + 3 if j < 3 * columns - 3 else j)
            line[j] = (
                centre * here[j]
                + edge * (above[j] + under[j] + here[before] + here[after])
                + corner * (above[before] + above[after] + under[before] + under[after])
            )
        sy = (y + 0.5) / cell + 0.5
        iy = min(bright.shape[0] - 2, int(sy))
        fy = np.float32(sy - iy)
        for k in range(bright.shape[1] * 3):
            across[k] = cells[iy, k] * (one - fy) + cells[iy + 1, k] * fy
        for j in range(3 * columns):
            glare[j] = across[left[j]] * (one - share[j]) + across[left[j] + 3] * share[j]
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        start = 3 * ((state >> 8) % (noise.shape[0] // 3 - columns))
        open_lens = np.float32(exposure * (1.0 - 0.55 * ((y + 0.5) / rows - 0.5) ** 2))
        for j in range(3 * columns):
            value = (line[j] * (open_lens - fall[j]) + bloomed * glare[j]) * gain[j]
            value = max(value + grain * noise[start + j] * (floor + np.sqrt(value)), np.float32(0.0))
            line[j] = top * value / (value + one)
        for j in range(3 * columns):
            picture[y, j] = tones[int(line[j])]
