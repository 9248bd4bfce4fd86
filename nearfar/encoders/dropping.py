"""Dropout whose masks are functions of a key, an example and a place, and are never kept.

Sixteen bits decide over an entry. They come from a hash of (key of the pass, layer, example, token, place), which is a
few machine instructions for two entries in one compiled loop that reads a number and writes it or nothing: about a
twentieth of the time of torch's dropout on a processor. The backward pass hashes again. As nothing is drawn in an
order, an example's mask is the same beside whatever other examples it stands.

This module imports numba, so it is itself imported on first use only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit, uint32
from torch import Tensor

STEPS = 1 << 16
"""Of the probability of an entry to be dropped, which is rounded to a multiple of 1 / STEPS."""


@njit(cache=True, inline="always")
def _mixed(x):  # type: ignore[no-untyped-def]
    """Thirty-two bits that each depend on all of ``x``'s: shifts and the two multiplications of C. Wellons' search."""
    x = uint32(x ^ (x >> uint32(16)))
    x = uint32(x * uint32(0x7FEB352D))
    x = uint32(x ^ (x >> uint32(15)))
    x = uint32(x * uint32(0x846CA68B))
    return uint32(x ^ (x >> uint32(16)))


@njit(cache=True, nogil=True)
def _drop(x, keys, site, limit):  # type: ignore[no-untyped-def]
    """Set entries of the unsigned numbers ``x`` (M, W) to nothing, in place; one hash decides over two of them."""
    rows, width = x.shape
    none = x.dtype.type(0)
    half = width // 2
    for i in range(rows):
        key = _mixed(uint32(keys[i] ^ site))
        for j in range(half):
            bits = _mixed(uint32(key ^ uint32(uint32(j + 1) * uint32(0x9E3779B9))))
            x[i, j] = x[i, j] if uint32(bits & uint32(0xFFFF)) >= limit else none
            x[i, half + j] = x[i, half + j] if uint32(bits >> uint32(16)) >= limit else none
        if width % 2:
            bits = _mixed(uint32(key ^ uint32(uint32(half + 1) * uint32(0x9E3779B9))))
            x[i, width - 1] = x[i, width - 1] if uint32(bits & uint32(0xFFFF)) >= limit else none


@njit(cache=True)
def _keys(key, examples, places):  # type: ignore[no-untyped-def]
    found = np.empty(len(examples), np.uint32)
    key = _mixed(uint32(key))
    for i in range(len(examples)):
        found[i] = _mixed(uint32(_mixed(uint32(key ^ uint32(examples[i]))) ^ uint32(places[i])))
    return found


def keys_of(key: int, examples: Tensor, places: Tensor) -> np.ndarray:
    """One key (M,) uint32 for each of M rows, by the pass's key, the rows' examples and their places in them."""
    return np.asarray(_keys(np.uint32(key % (1 << 32)), examples.numpy(), places.numpy()))


def drop_(x: Tensor, keys: np.ndarray, site: int, p: float) -> Tensor:
    """Drop entries of ``x`` (M, W) in place with probability ``p``, and scale the others by 1 / (1 - p).

    Args:
        x: contiguous, float32 or bfloat16, on the processor.
        keys: (M,) uint32 of :func:`keys_of`.
        site: a number of the layer; other numbers give other masks.
    """
    limit = min(round(p * STEPS), STEPS - 1)
    bits: Any = x.view(torch.int16).numpy().view(np.uint16) if x.element_size() == 2 else x.numpy().view(np.uint32)
    _drop(bits, keys, np.uint32(site * 0x85EBCA6B % (1 << 32)), np.uint32(limit))
    return x.mul_(STEPS / (STEPS - limit))


class _Dropped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, keys: np.ndarray, site: int, p: float) -> Tensor:
        ctx.how = keys, site, p
        ctx.mark_dirty(x)
        drop_(x.detach(), keys, site, p)
        return x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return drop_(grads[0].clone(memory_format=torch.contiguous_format), *ctx.how), None, None, None


def dropped(x: Tensor, keys: np.ndarray, site: int, p: float) -> Tensor:
    """:func:`drop_` with a gradient; ``x`` is changed."""
    found: Tensor = _Dropped.apply(x, keys, site, p)  # type: ignore[no-untyped-call]
    return found
