"""Views of growing strength: released values, the slow version, who gets a gradient, memory, refusals."""

from __future__ import annotations

import pytest
import torch

from nearfar import losses
from nearfar.losses.engine import tiles
from tests.losses.registry import draw, value_and_gradients
from tests.losses.test_memory import Largest
from tests.losses.video_cases import CASES
from tests.parity import ParityCase, assert_parity, parity

CASES_OF = parity("hiclr", "hiclr_loss", "hiclr_mining_loss")


@pytest.mark.parametrize("case", CASES_OF, ids=str)
def test_released_values(case: ParityCase) -> None:
    arrays = case.load()
    views = [arrays[f"in_{name}"] for name in ("q", "q1", "q2")]
    rest = arrays["in_k"], arrays["in_queue"].t()
    options = {"temperature": case.hyper["temperature"], "neighbours": case.hyper.get("topk", 0)}
    found = losses.growing_consistency(views, *rest, **options)
    torch.testing.assert_close(found["identification"], arrays["out_loss1"], rtol=1e-9, atol=1e-10)
    links = [
        losses.growing_consistency(pair, *rest, temperature=case.hyper["temperature"], weight=1.0)["consistency"]
        for pair in (views[:2], views[1:])
    ]
    torch.testing.assert_close(torch.stack(links), torch.stack([arrays["out_loss2"], arrays["out_loss3"]]))
    assert_parity(case, arrays, sum(found.values()), rtol=1e-9)


@pytest.mark.parametrize("case", [case for case in CASES if case.exported == "growing_consistency"], ids=str)
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
    assert not gradients[3].any(), "the key got a gradient"
    assert not gradients[4].any(), "the queue got a gradient"


def test_agreement_has_no_gradient_and_one_view_is_momentum_contrast() -> None:
    q, key, queue = draw(4, 5).requires_grad_(), draw(4, 5, seed=1), draw(9, 5, seed=2)
    terms = losses.growing_consistency([q, q], key, queue, temperature=0.2)
    (gradient,) = torch.autograd.grad(terms["consistency"], q)
    assert gradient.abs().max() < 1e-12  # a distribution that equals its teacher stays
    alone = losses.growing_consistency([q], key, queue, temperature=0.2)
    moco = losses.info_nce(q, key, negatives=queue, in_batch=False, temperature=0.2)
    torch.testing.assert_close(alone, {"identification": moco})


def test_gradcheck_of_the_strongest_view() -> None:
    fixed = [draw(3, 4, seed=seed) for seed in range(3)]
    queue = draw(6, 4, seed=5)

    def loss(strongest: torch.Tensor) -> torch.Tensor:
        terms = losses.growing_consistency([*fixed[:2], strongest], fixed[2], queue, temperature=0.3, neighbours=1)
        return sum(terms.values())

    assert torch.autograd.gradcheck(loss, draw(3, 4, seed=9).requires_grad_())


def test_no_matrix_over_the_queue_is_held() -> None:
    views = [torch.randn(512, 8, requires_grad=True) for _ in range(3)]
    queue = torch.randn(16384, 8)
    with Largest() as largest:
        sum(losses.growing_consistency(views, views[0], queue, temperature=0.1).values()).backward()
    assert largest.bytes // 4 < 512 * 16384 // 8


def test_refusals() -> None:
    z, queue = torch.randn(4, 5), torch.randn(9, 5)
    with pytest.raises(ValueError, match="at least one view"):
        losses.growing_consistency([], z, queue, temperature=0.1)
    with pytest.raises(ValueError, match="at most the 9 rows of the queue, got 10"):
        losses.growing_consistency([z], z, queue, temperature=0.1, neighbours=10)
    with pytest.raises(ValueError, match=r"key has shape \(3, 5\)"):
        losses.growing_consistency([z], z[:3], queue, temperature=0.1)
    with pytest.raises(ValueError, match="weight must be at least 0"):
        losses.growing_consistency([z], z, queue, temperature=0.1, weight=-1.0)
