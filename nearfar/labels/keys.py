"""Stored keys with a guaranteed place for every class, and a reservoir of pictures."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ClassQueue(nn.Module):
    """The last keys of every class, in a segment of its own (GML; released ``moco/builder.py``).

    Class c ends at slot ``ceil(base (c + 1) + (size - C base) cumsum(prior)_c)``: ``base`` slots each, the others
    shared out by the prior; inside its segment the oldest key goes first. Of more keys of a class in a batch than it
    has slots the first ones stay. Slots never written have the label -1.

    Args:
        size: number of keys.
        dim: width of a key.
        classes: their number C.
        base: slots that every class has, at least 1; 2 or more leave a key beside one's own.
    """

    keys: Tensor
    labels: Tensor
    rows: Tensor
    start: Tensor
    slots: Tensor
    position: Tensor

    def __init__(self, size: int, dim: int, classes: int, base: int = 2) -> None:
        super().__init__()
        if base < 1 or size < classes * base:
            raise ValueError(f"a queue for {classes} classes needs base slots for each: got size {size}, base {base}")
        self.base = base
        self.register_buffer("keys", torch.zeros(size, dim))
        self.register_buffer("labels", torch.full((size,), -1))
        self.register_buffer("rows", torch.full((size,), -1))
        for name in ("start", "slots", "position"):
            self.register_buffer(name, torch.zeros(classes, dtype=torch.long))
        self.divide(torch.full((classes,), 1 / classes))

    @torch.no_grad()
    def divide(self, prior: Tensor) -> None:
        """Give every class its slots, for a prior (C,) of their shares."""
        classes, size = len(self.start), len(self.keys)
        shared = (size - classes * self.base) * prior.double().cumsum(0)
        ends = torch.ceil(self.base * torch.arange(1, classes + 1) + shared.cpu() - 1e-4).long().clamp_max(size)
        starts = torch.cat([ends.new_zeros(1), ends[:-1]])
        self.start.copy_(starts)
        self.slots.copy_(ends - starts)

    @torch.no_grad()
    def enqueue(self, keys: Tensor, labels: Tensor, rows: Tensor) -> None:
        """Write keys (N, dim) of classes (N,) and pictures (N,)."""
        same = labels[:, None] == labels
        number = same.tril(-1).sum(1)  # how many of its class come before it
        fits = number < self.slots[labels]
        place = self.start[labels] + (self.position[labels] + number) % self.slots[labels]
        at, kept = place[fits], labels[fits]
        self.keys[at] = keys[fits].to(self.keys.dtype)
        self.labels[at], self.rows[at] = kept, rows[fits]
        counts = torch.bincount(kept, minlength=len(self.start))
        self.position.copy_((self.position + counts) % self.slots)


class Reservoir(nn.Module):
    """A uniform sample of all pictures that went by (Vitter's algorithm R; released ``src/buffers/reservoir.py``).

    The n-th picture, from 0, is kept while there is room, and afterwards takes the place ``floor(u (n + 1))`` where
    that exists.

    Args:
        size: number of pictures kept.
        shape: of a picture, (C, H, W).
    """

    pictures: Tensor
    labels: Tensor
    met: Tensor

    def __init__(self, size: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(f"a reservoir holds at least 1 picture, got {size}")
        self.register_buffer("pictures", torch.zeros(size, *shape, dtype=torch.uint8))
        self.register_buffer("labels", torch.full((size,), -1))
        self.register_buffer("met", torch.zeros((), dtype=torch.long))

    def __len__(self) -> int:
        return min(int(self.met), len(self.labels))

    def slots(self, draws: Tensor) -> list[int]:
        """Where each picture goes, -1 for nowhere, by uniform draws (N,) in [0, 1)."""
        size, found = len(self.labels), []
        for n, u in enumerate(draws.tolist(), int(self.met)):
            slot = n if n < size else int(u * (n + 1))
            found.append(slot if slot < size else -1)
        return found

    @torch.no_grad()
    def admit(self, pictures: Tensor, labels: Tensor, draws: Tensor) -> int:
        """Let pictures (N, C, H, W) uint8 go by; how many were kept, of which one must know the label."""
        places = self.slots(draws)
        for row, slot in enumerate(places):
            if slot >= 0:
                self.pictures[slot], self.labels[slot] = pictures[row], labels[row]
        self.met += len(pictures)
        return sum(slot >= 0 for slot in places)
