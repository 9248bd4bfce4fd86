"""Views on the CPU: hands images to the compiled kernel, on as many threads as torch may use.

Microseconds per view of 32 / 96 / 224 pixels, SimCLR's crop, flip and colours without blur, on one thread of an
AMD EPYC with AVX-512: this 6 / 36 / 200; OpenCV image by image, on 8-bit values and without antialiasing,
31 / 92 / 370; torch operations on the whole batch 122 / 1,040 / 5,750; lightly with PIL 425 / 850 / 2,840.
``benchmarks/views.py`` repeats the comparison.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nearfar.vision.views.buffers import empty
from nearfar.vision.views.draws import Draws
from nearfar.vision.views.kernels import render as render_range

# The kernel's numbers in its order: their type, and the value that changes nothing.
NUMBERS: dict[str, tuple[type, Any]] = {
    "boxes": (np.int64, None),
    "flip": (np.int64, 0),
    "factors": (np.float32, (1, 1, 1, 0)),
    "order": (np.int64, (0, 1, 2, 3)),
    "gray": (np.bool_, False),
    "sigma": (np.float32, 0),
    "solarize": (np.float32, 2),
}

_pool: ThreadPoolExecutor | None = None


def render(images: Tensor, draws: Draws, height: int, width: int, radius: int) -> Tensor:
    """See :func:`nearfar.vision.views.apply`, which has checked the arguments."""
    n = len(images)
    views = empty(n, height * width * 3)
    if n > 0:
        fill(views.numpy(), images, draws, height, width, radius)
    return views.view(n, height, width, 3).permute(0, 3, 1, 2)


def fill(out: np.ndarray, images: Tensor, draws: Draws, height: int, width: int, radius: int) -> None:
    """Write the views into ``out`` (N, height * width * 3)."""
    n, _, rows, columns = images.shape
    interleaved = images.permute(0, 2, 3, 1)
    planar = images.is_contiguous() or not interleaved.is_contiguous()
    pixels = (images.contiguous() if planar else interleaved).view(n, -1).numpy()
    threads = min(torch.get_num_threads(), n)
    step = n if threads == 1 else -(-n // (4 * threads))
    tasks = deque(range(0, n, step))
    numbers = plain(draws)

    def work() -> None:
        while tasks:
            try:
                begin = tasks.popleft()
            except IndexError:
                return
            end = min(begin + step, n)
            render_range(pixels, planar, rows, columns, numbers, radius, out, height, width, begin, end)

    others = [pool().submit(work) for _ in range(threads - 1)]
    work()
    for other in others:
        other.result()


def plain(draws: Draws) -> tuple[np.ndarray, ...]:
    """The draws as the kernel takes them, with what changes nothing in place of ``None``."""
    given = draws.given()
    arrays: list[np.ndarray] = []
    for name, (kind, neutral) in NUMBERS.items():
        missing = np.broadcast_to(neutral, (len(draws), *np.shape(neutral)))
        values = given[name].numpy() if name in given else missing
        arrays.append(np.ascontiguousarray(values, kind))
    return tuple(arrays)


def pool() -> ThreadPoolExecutor:
    """Threads for everything but the caller's share; they start when first needed.

    Plain threads around a kernel that releases the interpreter lock, and not numba's parallel loops: those
    crash when two threads enter them at once or, with GNU OpenMP, after a fork.
    """
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(max(os.cpu_count() or 1, 64), thread_name_prefix="nearfar-views")
    return _pool


def _forget_pool() -> None:
    global _pool
    _pool = None


# Threads do not survive a fork.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
