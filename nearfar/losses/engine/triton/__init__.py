"""Fused log-sum-exp for GPUs: chosen where it fits, and the tiles of :mod:`nearfar.losses.engine.logsumexp` elsewhere.

Not timed on a GPU yet; ``use(False)`` turns it off. Nothing here imports Triton before a tensor on a GPU arrives.
"""

from __future__ import annotations

import functools
import importlib.util

import torch
from torch import Tensor

# Above this width a program would make each tile of logits more than twice for the gradient.
MOST_WIDTH = 256
# Smaller matrices are kept whole by the tiled engine, which then has nothing to make again.
LEAST_ENTRIES = 1 << 20
HALVES = (torch.float16, torch.bfloat16)

_wanted = True


def use(fused: bool) -> None:
    """Whether losses on a GPU may use the fused kernels, in this process."""
    global _wanted
    _wanted = fused


def fits(left: Tensor, right: Tensor) -> bool:
    """Whether the fused kernels take these float32 embeddings (N, D) and (M, D)."""
    return (
        _wanted
        and left.dtype == torch.float32
        and left.shape[1] <= MOST_WIDTH
        and len(left) * len(right) > LEAST_ENTRIES
        and _runs_on(left.device)
    )


def half(*given: Tensor) -> Tensor | None:
    """The embeddings as they were given, stacked, if all are in one half precision; otherwise None."""
    if not given or given[0].dtype not in HALVES or any(x.dtype != given[0].dtype for x in given):
        return None
    return torch.cat(given) if len(given) > 1 else given[0]


def halves(left: Tensor, right: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """Both sides as they were given, if both are in one half precision; otherwise neither."""
    alike = left.dtype in HALVES and left.dtype == right.dtype
    return (left, right) if alike else (None, None)


@functools.cache
def _runs_on(device: torch.device) -> bool:
    """Compute capability 8.0 brought what the tiles need: shared memory, TF32 and bfloat16."""
    if device.type != "cuda" or torch.version.hip is not None or importlib.util.find_spec("triton") is None:
        return False
    return torch.cuda.get_device_capability(device) >= (8, 0)
