"""Memory for views, used again once nobody holds it."""

from __future__ import annotations

import math
import weakref
from collections import deque

import numpy as np
import torch
from torch import Tensor

# Numbers. Smaller tensors come from the C library's heap, which keeps its pages by itself.
SMALLEST = 1 << 20
# What a step with a few views gives back and the next one takes; older ones are dropped.
_free: deque[np.ndarray] = deque(maxlen=8)


def empty(*shape: int) -> Tensor:
    """An uninitialised float32 tensor of this shape, in memory of a tensor of about this size that has gone.

    Fresh memory of many megabytes is zeroed page by page on its first touch. For views of 224 pixels that
    costs a quarter of the time of making them with numpy's huge pages, and several times as much with 4 KiB
    pages as ``torch.empty`` has them. A buffer is free when the last tensor or array that looks into it has
    gone.
    """
    size = math.prod(shape)
    if size < SMALLEST:
        return torch.empty(shape)
    buffer = _take(size)
    lent = buffer[:size]
    # The tensor holds this very array; no other reference to it remains here.
    weakref.finalize(lent, _free.append, buffer).atexit = False
    return torch.from_numpy(lent).view(shape)


def _take(size: int) -> np.ndarray:
    """A free buffer that fits without wasting half of it, or a new one."""
    for _ in range(len(_free)):
        try:
            buffer = _free.popleft()
        except IndexError:
            break
        if size <= buffer.size <= 2 * size:
            return buffer
        _free.append(buffer)
    return np.empty(size, np.float32)
