"""Frames of recorded episodes as a collection: each with the one before it, and with what is true of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nearfar.control.data.episodes import Episodes
from nearfar.sources.data import Data


class FramePairs(NamedTuple):
    """Frames (B, C, H, W) of pixels in [0, 255], each with the frame of the step before.

    Attributes:
        frames: (B, C, H, W) uint8.
        before: (B, C, H, W) uint8, one step earlier in the same episode.
        actions: (B, A) what was done between the two, choices as one-hot rows.
        rows: (B,) which rows of the recording they are.
    """

    frames: Tensor
    before: Tensor
    actions: Tensor
    rows: Tensor


class Frames(Data):
    """The frames of episodes from the second of each on.

    Args:
        episodes: recorded, of pixels.
        states: (R, V) what is true of each row, for probes; ``None`` where nobody knows.
        names: of the V variables.
        name: what people call it.
        held_out: another recording of the same world, for probes.
    """

    gives = FramePairs

    def __init__(
        self,
        episodes: Episodes,
        *,
        states: np.ndarray | None = None,
        names: tuple[str, ...] = (),
        name: str = "frames",
        held_out: Frames | None = None,
    ) -> None:
        episodes.spaces.needs_pixels(name)
        first = np.zeros(len(episodes.observations), bool)
        first[episodes.starts] = True
        self.rows = np.flatnonzero(~first)
        self.episodes, self.name, self.names = episodes, name, names
        if states is not None and len(states) != len(first):
            raise ValueError(f"{name} has {len(first)} rows, and states of {len(states)}")
        self.states = None if states is None else states[self.rows]
        self.held_out = held_out

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"spaces": self.episodes.spaces}

    def splits(self) -> Mapping[str, Data]:
        return {} if self.held_out is None else {"held out": self.held_out}

    def batch(self, indices: np.ndarray) -> FramePairs:
        rows = self.rows[indices]
        seen, spaces = self.episodes.observations, self.episodes.spaces
        acted = self.episodes.actions[rows - 1]
        if spaces.discrete:
            acted = (acted[:, None] == np.arange(spaces.actions)).astype(np.float32)
        return FramePairs(*(torch.from_numpy(x) for x in (seen[rows], seen[rows - 1], acted, rows)))
