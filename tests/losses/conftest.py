"""What the tests of the losses share."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nearfar.losses.engine import blocks, proxy, tiles
from tests.losses.cases import ROWS, WIDTH


@pytest.fixture
def tiny_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many ragged tiles and row blocks instead of one, on matrices of a dozen rows."""
    monkeypatch.setattr(tiles, "SINGLE_TILE_ENTRIES", 0)
    monkeypatch.setattr(tiles, "TILE", {"cpu": (3, 5), "accelerator": (3, 5)})
    monkeypatch.setattr(proxy, "BLOCK_ENTRIES", {"cpu": 0, "accelerator": 0})
    monkeypatch.setattr(proxy, "LEAST_ROWS", 4)
    monkeypatch.setattr(blocks, "BLOCK_ENTRIES", {"cpu": 40, "accelerator": 40})


@pytest.fixture
def rows() -> list[Tensor]:
    """Five noisy float64 copies of one matrix."""
    generator = torch.Generator().manual_seed(5)
    shared = torch.randn(ROWS, WIDTH, generator=generator, dtype=torch.float64)
    noise = torch.randn(5, ROWS, WIDTH, generator=generator, dtype=torch.float64)
    return list(shared + noise)
