"""Pictures in files at their own sizes, for what works on whole pictures."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from nearfar.generation.data.pictures import Pictures
from nearfar.sources.data import Subset
from nearfar.sources.skipped import BadDataError
from nearfar.training import Data
from nearfar.vision.data.decode import PictureError, decode, quiet
from nearfar.vision.data.encoded import EncodedPictures


class WholeBatch(NamedTuple):
    """Whole pictures: N tensors (3, H, W) uint8 of any sizes, and their places in the collection (N,) int64."""

    images: list[Tensor]
    rows: Tensor


class WholePictures(Data):
    """The pictures of a folder or of shards, each at its own size; they are read when they are asked for."""

    gives = WholeBatch

    def __init__(self, folder: EncodedPictures) -> None:
        self.folder, self.name = folder, folder.name

    def __len__(self) -> int:
        return len(self.folder)

    @property
    def ids(self) -> np.ndarray:
        return self.folder.ids

    def batch(self, indices: np.ndarray) -> WholeBatch:
        return WholeBatch([self._read(int(i)) for i in indices], torch.as_tensor(np.asarray(indices, np.int64)))

    def _read(self, row: int) -> Tensor:
        try:
            with quiet():
                return torch.from_numpy(np.ascontiguousarray(decode(self.folder.encoded(row)).transpose(2, 0, 1)))
        except PictureError as error:
            raise BadDataError(f"{self.folder.place(row)} cannot be used: {error}") from error


def at_own_sizes(data: Data) -> Data:
    """A folder of pictures, or a part of one, with its pictures whole; any other collection as it is."""
    if isinstance(data, Subset):
        whole = at_own_sizes(data.data)
        return data if whole is data.data else Subset(whole, data.indices)
    if isinstance(data, Pictures) and isinstance(data.source, EncodedPictures):
        return WholePictures(data.source)
    return data
