"""Random views on the CPU: one compiled pass per image, from uint8 pixels to the finished float view.

Everything between the first read and the last write stays in a few hundred kilobytes per thread. Colours lie in
three planes until the end, because then every loop is over neighbouring floats and becomes vector code; only the
last loop interleaves them into channels-last order. What makes the difference, and is easy to lose in an edit:

- the index table of the horizontal taps is unsigned: a signed one makes numba guard every look-up against
  negative indices (0.4 ns per output against 0.7 ns);
- what a loop uses twice is read once into a local name, because a store in between could have changed it;
- the last loop writes a flat array: ``out[3 * i + c]`` becomes shuffles, ``out[i, c]`` single stores (0.22 ns per
  pixel against 0.81 ns);
- constants are float32: a Python float would make the arithmetic around it float64;
- few loops and few call sites: each costs about a tenth of a second of compilation, which the first call pays.

This module imports numba, so it is itself imported on first use only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit, uint32

F = np.float32
ZERO, HALF, ONE, TWO, THREE, FOUR, SIX = F(0), F(0.5), F(1), F(2), F(3), F(4), F(6)
SIXTH, TINY = F(1 / 6), F(1e-12)
RED, GREEN, BLUE = F(0.299), F(0.587), F(0.114)
BRIGHTNESS, CONTRAST, SATURATION, HUE, GRAY = 0, 1, 2, 3, 4

# Pixels that are worked on at a time, in whole rows: three planes of them fit in the first-level cache.
CHUNK = 2048
# A Gaussian tap below this share of the centre's is left out: far below one grey level in 255.
NEGLIGIBLE = 1e-6
# Reordering and fused multiply-add, but not the assumption that no value is infinite or NaN.
OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"contract", "reassoc", "nsz", "arcp"},
}


def inner(function: Callable[..., Any]) -> Any:
    """Compiled into the kernel that calls it, without wrappers of its own, which take time to compile."""
    bare: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return njit(**OPTIONS, **bare)(function)


def kernel(function: Callable[..., Any]) -> Any:
    """Callable from Python without the interpreter lock; kept compiled on disk where a place is writable."""
    try:
        return njit(cache=True, **OPTIONS)(function)
    except RuntimeError:
        return njit(**OPTIONS)(function)


@inner
def taps(length, mirrored, gain, start, weight):
    """Triangle-filter taps from ``length`` inputs to ``len(start)`` outputs; returns the most that one uses.

    Output i reads ``weight[k, i] * input[start[i] + k]``; unused taps have weight zero. The triangle is as
    wide as one output when that is wider than one input (antialiasing), and is cut and renormalised at the
    ends.
    """
    size = start.size
    scale = length / size
    support = max(scale, 1.0)
    most = 0
    for i in range(size):
        j = size - 1 - i if mirrored > 0 else i
        centre = (i + 0.5) * scale
        low = max(int(centre - support + 0.5), 0)
        high = min(int(centre + support + 0.5), length)
        total = 0.0
        for k in range(low, high):
            total += max(1.0 - abs(k + 0.5 - centre) / support, 0.0)
        for k in range(weight.shape[0]):
            w = gain * max(1.0 - abs(low + k + 0.5 - centre) / support, 0.0) / total
            weight[k, j] = F(w) if k < high - low else ZERO
        start[j] = low
        most = max(most, high - low)
    return most


@inner
def resize_rows(pixels, planar, shape, box, counts, across, down, row, ring, ready, planes, begin, end):
    """Rows ``begin`` to ``end`` of the cropped, mirrored and resized image, as floats in [0, 1].

    Rows of the crop are resized horizontally once, when the first output row needs them, and kept in
    ``ring`` for as long as one is needed; ``ready`` of them have been, and the new number is returned. Taps
    are taken in pairs, which halves the traffic on the accumulators.
    """
    height, width = shape
    count, count_down = counts
    start, weight = across
    start_down, weight_down = down
    top, left, crop_height, crop_width = box[0], box[1], box[2], box[3]
    red, green, blue = row[0], row[1], row[2]
    slots = ring.shape[0]
    for y in range(begin, end):
        first = start_down[y]
        needed = min(first + count_down, crop_height)
        while ready < needed:
            if planar:
                at = (top + ready) * width + left
                plane = height * width
                p0 = pixels[at : at + crop_width]
                p1 = pixels[at + plane : at + plane + crop_width]
                p2 = pixels[at + 2 * plane : at + 2 * plane + crop_width]
                for x in range(crop_width):
                    red[x] = F(p0[x])
                    green[x] = F(p1[x])
                    blue[x] = F(p2[x])
            else:
                at = 3 * ((top + ready) * width + left)
                rgb = pixels[at : at + 3 * crop_width]
                for x in range(crop_width):
                    red[x] = F(rgb[3 * x])
                    green[x] = F(rgb[3 * x + 1])
                    blue[x] = F(rgb[3 * x + 2])
            slot = ready % slots
            r, g, b = ring[slot, 0], ring[slot, 1], ring[slot, 2]
            for k in range(0, count, 2):
                keep = ONE if k > 0 else ZERO
                left_weight, right_weight = weight[k], weight[k + 1]
                for x in range(start.size):
                    s = start[x] + uint32(k)
                    u, v = left_weight[x], right_weight[x]
                    r[x] = keep * r[x] + u * red[s] + v * red[s + 1]
                    g[x] = keep * g[x] + u * green[s] + v * green[s + 1]
                    b[x] = keep * b[x] + u * blue[s] + v * blue[s + 1]
            ready += 1
        for c in range(3):
            out = planes[c, y]
            for k in range(0, count_down, 2):
                keep = ONE if k > 0 else ZERO
                above, below = ring[(first + k) % slots, c], ring[(first + k + 1) % slots, c]
                p, q = weight_down[k, y], weight_down[k + 1, y]
                for x in range(out.size):
                    out[x] = keep * out[x] + p * above[x] + q * below[x]
    return ready


@inner
def blend(r, g, b, factor, offset, gray):
    """clip(factor x + gray luma(x) + offset): the form of brightness, contrast, saturation and grayscale."""
    red, green, blue = gray * RED, gray * GREEN, gray * BLUE
    for i in range(r.size):
        x, y, z = r[i], g[i], b[i]
        common = red * x + green * y + blue * z + offset
        r[i] = min(max(factor * x + common, ZERO), ONE)
        g[i] = min(max(factor * y + common, ZERO), ONE)
        b[i] = min(max(factor * z + common, ZERO), ONE)


@inner
def turn_hue(r, g, b, sixths):
    """Move the hue by ``sixths`` of a sixth of the colour circle; value and chroma stay.

    With hue h in [0, 6), each colour is m + c t(h), where m is the smallest, c the chroma and t a trapezium
    over
    the circle: exact HSV without a branch, so that it becomes vector code.
    """
    for i in range(r.size):
        x, y, z = r[i], g[i], b[i]
        value = max(max(x, y), z)
        low = min(min(x, y), z)
        chroma = value - low
        inverse = ONE / max(chroma, TINY)
        h = (y - z) * inverse if value == x else ((z - x) * inverse + TWO if value == y else (x - y) * inverse + FOUR)
        h = h + sixths
        h = h - SIX * np.floor(h * SIXTH)
        r[i] = low + chroma * min(max(abs(h - THREE) - ONE, ZERO), ONE)
        g[i] = low + chroma * min(max(TWO - abs(h - TWO), ZERO), ONE)
        b[i] = low + chroma * min(max(TWO - abs(h - FOUR), ZERO), ONE)


@inner
def operate(r, g, b, factors, order, low, high, gray, mean):
    """Colour jitter's operations ``low`` to ``high`` in the drawn order; operation 4 is grayscale."""
    for j in range(low, high):
        operation = order[j] if j < 4 else GRAY
        factor = factors[operation] if j < 4 else ZERO
        if operation == HUE:
            if factor != ZERO:
                turn_hue(r, g, b, factor * SIX)
        elif factor != ONE and (operation != GRAY or gray):
            offset = (ONE - factor) * mean if operation == CONTRAST else ZERO
            luma = ONE - factor if operation >= SATURATION else ZERO
            blend(r, g, b, factor, offset, luma)


@inner
def luma_sum(r, g, b):
    """Sum of the pixels' luma."""
    total = ZERO
    for i in range(r.size):
        total += RED * r[i] + GREEN * g[i] + BLUE * b[i]
    return total


@inner
def gaussian(sigma, radius, weight):
    """Half of a normalised Gaussian of 2 radius + 1 taps, its centre halved; returns how far it reaches."""
    total = 0.0
    reach = 0
    for k in range(radius + 1):
        w = math.exp(-0.5 * (k / sigma) ** 2)
        if w > NEGLIGIBLE:
            weight[k] = F(w)
            total += w if k == 0 else 2 * w
            reach = k
    for k in range(reach + 1):
        weight[k] = F(weight[k] / total)
    weight[0] *= HALF
    return reach


@inner
def blur_rows(planes, begin, end, reach, weight, padded):
    """Blur rows ``begin`` to ``end`` along themselves in place, mirrored about their end pixels."""
    size = planes.shape[2]
    for c in range(3):
        for y in range(begin, end):
            out = planes[c, y]
            middle = padded[reach : reach + size]
            for x in range(size):
                middle[x] = out[x]
            for k in range(reach):
                padded[k] = out[reach - k]
                padded[reach + size + k] = out[size - 2 - k]
            for k in range(reach + 1):
                keep = ONE if k > 0 else ZERO
                w = weight[k]
                left, right = padded[reach - k : reach - k + size], padded[reach + k : reach + k + size]
                for x in range(size):
                    out[x] = keep * out[x] + w * (left[x] + right[x])


@inner
def blur_columns(planes, begin, end, reach, weight, soft):
    """Rows ``begin`` to ``end`` of the vertically blurred planes, into ``soft`` (3, rows, width)."""
    size = planes.shape[1]
    for c in range(3):
        for y in range(begin, end):
            out = soft[c, y - begin]
            for k in range(reach + 1):
                keep = ONE if k > 0 else ZERO
                w = weight[k]
                above = planes[c, abs(y - k)]
                below = planes[c, y + k if y + k < size else 2 * size - 2 - y - k]
                for x in range(out.size):
                    out[x] = keep * out[x] + w * (above[x] + below[x])


@inner
def emit(r, g, b, threshold, out):
    """Solarise at ``threshold`` (above 1: not at all) and write the colours interleaved."""
    for i in range(r.size):
        x, y, z = r[i], g[i], b[i]
        out[3 * i] = ONE - x if x >= threshold else x
        out[3 * i + 1] = ONE - y if y >= threshold else y
        out[3 * i + 2] = ONE - z if z >= threshold else z


@kernel
def render(pixels, planar, height, width, draws, radius, out, out_height, out_width, begin, end):
    """Views of images ``begin`` to ``end``.

    Each image is worked on a few rows at a time, in up to three rounds. Contrast needs the mean luma of the
    image as the operations before it left it, and the vertical blur its neighbours' rows, so each of them
    begins a new
    round: before contrast (0), contrast and after with the horizontal blur (1), vertical blur (2). The first
    round of an image resizes and the last one writes.

    Args:
        pixels: (N, 3 * height * width) uint8, colours in planes where ``planar``, else interleaved.
        draws: boxes (N, 4) int64, mirrored (N,) int64, factors (N, 4) float32, order (N, 4) int64, gray (N,)
            bool, sigma (N,) float32, threshold (N,) float32.
        radius: of the blur's kernel.
        out: (N, out_height * out_width * 3) float32, written.
    """
    boxes, mirrored, factors, order, gray, sigma, threshold = draws
    # A tap that is not used may be read: everything it can touch exists and starts as zero.
    most = 2 * math.ceil(max(1.0, width / out_width))
    most_down = 2 * math.ceil(max(1.0, height / out_height))
    across = (np.zeros(out_width, np.uint32), np.zeros((most, out_width), F))
    down = (np.zeros(out_height, np.uint32), np.zeros((most_down, out_height), F))
    row = np.zeros((3, width + most), F)
    ring = np.zeros((most_down, 3, out_width), F)
    rows = min(max(CHUNK // out_width, 1), out_height)
    planes = np.zeros((3, out_height, out_width), F)
    soft = np.zeros((3, rows, out_width), F)
    flat, flat_soft = planes.reshape(3, -1), soft.reshape(3, -1)
    weight = np.zeros(radius + 1, F)
    padded = np.zeros(out_width + 2 * radius, F)
    for n in range(begin, end):
        count = taps(boxes[n, 3], mirrored[n], 1 / 255, across[0], across[1])
        count_down = taps(boxes[n, 2], 0, 1.0, down[0], down[1])
        reach = gaussian(sigma[n], radius, weight) if sigma[n] > ZERO else 0
        split = 0
        for j in range(4):
            if order[n, j] == CONTRAST:
                split = j
        first = 0 if factors[n, CONTRAST] != ONE else 1
        last = 2 if reach > 0 else 1
        ready = 0
        total = 0.0
        for turn in range(first, last + 1):
            low, high = (0 if turn == first else split), (split if turn == 0 else 5)
            mean = F(total / (out_height * out_width))
            for y in range(0, out_height, rows):
                stop = min(y + rows, out_height)
                if turn == first:
                    ready = resize_rows(
                        pixels[n],
                        planar,
                        (height, width),
                        boxes[n],
                        (count, count_down),
                        across,
                        down,
                        row,
                        ring,
                        ready,
                        planes,
                        y,
                        stop,
                    )
                at, until = y * out_width, stop * out_width
                r, g, b = flat[0, at:until], flat[1, at:until], flat[2, at:until]
                if turn < 2:
                    operate(r, g, b, factors[n], order[n], low, high, gray[n], mean)
                if turn == 0:
                    total += luma_sum(r, g, b)
                if turn == 1 and reach > 0:
                    blur_rows(planes, y, stop, reach, weight, padded)
                if turn == last:
                    if reach > 0:
                        blur_columns(planes, y, stop, reach, weight, soft)
                        size = until - at
                        r, g, b = flat_soft[0, :size], flat_soft[1, :size], flat_soft[2, :size]
                    emit(r, g, b, threshold[n], out[n, 3 * at : 3 * until])
