"""Joining pixels to segments, compiled. This module imports numba, so it is itself imported on first use only."""

from __future__ import annotations

from typing import Any

import numpy as np

from nearfar.vision.views.kernels import inner, kernel


@inner
def _root(parent: Any, x: Any) -> Any:
    while parent[x] != x:
        parent[x] = parent[parent[x]]
        x = parent[x]
    return x


@kernel
def join(edges: Any, weights: Any, order: Any, scale: Any, min_size: Any, labels: Any) -> None:
    """Write the segments' numbers into ``labels`` (H * W,), from sorted edges; see
    :func:`nearfar.vision.regions.felzenszwalb`."""
    count = len(labels)
    parent = np.arange(count)
    size = np.ones(count, np.int64)
    inner = np.zeros(count, np.float32)
    for final in (False, True):
        for edge in order:
            a, b = _root(parent, edges[0, edge]), _root(parent, edges[1, edge])
            if a == b:
                continue
            weight = weights[edge]
            if final:
                joined = size[a] < min_size or size[b] < min_size
            else:
                joined = weight < min(inner[a] + scale / size[a], inner[b] + scale / size[b])
            if joined:
                # The larger one stays the root; of equals the one that comes first.
                if size[a] < size[b] or (size[a] == size[b] and b < a):
                    a, b = b, a
                parent[b] = a
                size[a] += size[b]
                inner[a] = max(inner[a], inner[b], weight)
    number = np.full(count, -1)
    found = 0
    for pixel in range(count):
        root = _root(parent, pixel)
        if number[root] < 0:
            number[root] = found
            found += 1
        labels[pixel] = number[root]
