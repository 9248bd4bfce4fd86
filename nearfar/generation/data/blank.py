"""Nothing to begin with: how a system is asked for new things."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from nearfar.training import Data

COUNT = 16
MOST = 1_000_000


class BlankBatch(NamedTuple):
    """Things to be made from nothing: their numbers (N,) int64."""

    rows: Tensor


class Blank(Data):
    """``count`` things that are to be made from noise alone.

    Raises:
        ValueError: fewer than one, or more than a million.
    """

    gives = BlankBatch
    name = "new"

    def __init__(self, count: int = COUNT) -> None:
        if not 1 <= count <= MOST:
            raise ValueError(f"between 1 and {MOST:,} new things can be asked for, got {count}")
        self.count = count

    def __len__(self) -> int:
        return self.count

    def batch(self, indices: np.ndarray) -> BlankBatch:
        return BlankBatch(torch.as_tensor(indices, dtype=torch.int64))
