"""A part of a memory for each row: the slow version, a plain queue, who gets a gradient, memory, refusals."""

from __future__ import annotations

import pytest
import torch

from nearfar import losses
from nearfar.losses.engine import tiles
from tests.losses.registry import draw, value_and_gradients
from tests.losses.test_memory import Largest
from tests.losses.video_cases import CASES
from tests.training.test_ranks import CASES as RANKS

MINE = [case for case in CASES if case.exported == "selective_contrast"]


@pytest.mark.parametrize("case", MINE, ids=str)
@pytest.mark.parametrize("blocks", [False, True])
def test_the_formula_in_one_block_and_in_many(case, blocks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if blocks:
        monkeypatch.setattr(tiles, "SINGLE_TILE_ENTRIES", 1)
        monkeypatch.setattr("nearfar.losses.engine.blocks.BLOCK_ENTRIES", {"cpu": 20, "accelerator": 20})
    inputs = case.data(torch.float64)
    found, gradients = value_and_gradients(case.loss, inputs)
    expected, right = value_and_gradients(case.slow, inputs)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradients, right)
    assert not gradients[1].any(), "the key got a gradient"
    assert not gradients[2].any(), "the memory got a gradient"


def test_without_a_choice_it_is_a_queue_and_what_is_dropped_does_not_count() -> None:
    q, k, bank = draw(4, 5), draw(4, 5, seed=1), draw(20, 5, seed=2)
    plain = losses.info_nce(q, k, negatives=bank, in_batch=False, temperature=0.2)
    torch.testing.assert_close(losses.selective_contrast(q, k, bank, temperature=0.2, drop=0.0), plain)
    same = torch.cat([k, bank])  # the memory has the keys themselves
    found = losses.selective_contrast(q, k, same, temperature=0.2, drop=1.01 / 24, reduction="none")
    alone = losses.info_nce(q[:1], k[:1], negatives=same[1:], in_batch=False, temperature=0.2)
    torch.testing.assert_close(found[0], alone)


def test_gradcheck() -> None:
    k, bank = draw(3, 4, seed=1), draw(8, 4, seed=2)
    loss = lambda q: losses.selective_contrast(q, k, bank, temperature=0.3, drop=0.4, neighbours=2)  # noqa: E731
    assert torch.autograd.gradcheck(loss, draw(3, 4).requires_grad_())


def test_no_matrix_over_the_memory_is_held() -> None:
    z, bank = torch.randn(512, 8, requires_grad=True), torch.randn(16384, 8)
    with Largest() as largest:
        losses.selective_contrast(z, z, bank, temperature=0.1, neighbours=2).backward()
    assert largest.bytes // 4 < 512 * 16384 // 8
    assert "selective_contrast" in RANKS


def test_refusals() -> None:
    z, bank = torch.randn(4, 5), torch.randn(9, 5)
    with pytest.raises(ValueError, match="leave no negative among the 9 rows"):
        losses.selective_contrast(z, z, bank, temperature=0.1, neighbours=9)
    with pytest.raises(ValueError, match="leave no negative"):
        losses.selective_contrast(z, z, bank, temperature=0.1, drop=1.0)
    with pytest.raises(ValueError, match="drop must be at least 0"):
        losses.selective_contrast(z, z, bank, temperature=0.1, drop=-0.1)
    with pytest.raises(ValueError, match=r"keys has shape \(3, 5\)"):
        losses.selective_contrast(z, z[:3], bank, temperature=0.1)
