"""Every random number of a run is a function of (seed, stream, step, rank)."""

from __future__ import annotations

import hashlib

import torch


def derive_seed(seed: int, *context: int | str) -> int:
    """A 63-bit seed for one use of randomness, independent of every other ``context``.

    Because nothing depends on how many numbers were drawn before, a run resumed at step k draws exactly what
    the uninterrupted run drew, with no generator state in the checkpoint.
    """
    text = ":".join(str(part) for part in (seed, *context))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def seed_torch(seed: int, device: torch.device) -> None:
    """Seed torch's global generators of the processor and of ``device``.

    ``torch.manual_seed`` does the same for every kind of device there could be. Where one is not in use it takes a
    trace of the stack for later, which costs several milliseconds, and memory that is never given back: too much for
    every step.
    """
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        getattr(torch, device.type).manual_seed(seed)
