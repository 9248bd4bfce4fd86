"""AMCL learns, gives pairs temperatures of their own, and holds SimCLR."""

from __future__ import annotations

import pytest
import torch

from nearfar.losses import amcl, nt_xent
from nearfar.losses.contrast.adaptive import NEGATIVES, Negatives
from nearfar.reproductions.arms import build
from nearfar.vision.methods import AMCL
from tests.vision.learning import digits, learn, one_loss


@pytest.mark.parametrize("negatives", NEGATIVES)
def test_it_beats_its_untrained_encoder_without_collapse(negatives: str) -> None:
    _, before, after = learn("amcl", steps=60, heads=2, negatives=negatives)
    assert after["linear seen styles"] > before["linear seen styles"] + 0.05, (before, after)
    assert after["effective_rank"] > 15


def test_one_temperature_for_all_and_every_negative_is_nt_xent() -> None:
    z = torch.randn(4, 9, 6, dtype=torch.float64)
    terms = amcl(*z, low=0.3, high=0.3, negatives="logsumexp")
    torch.testing.assert_close(terms["contrast"], nt_xent(z[0], z[1], temperature=0.3))
    assert abs(float(terms["temperature"])) < 1e-12
    twice = build("amcl", digits(), 0, heads=2, low=0.2, high=0.2, negatives="logsumexp")
    assert isinstance(twice, AMCL)
    one_loss(twice)["contrast"].backward()  # type: ignore[index]
    assert all(p.grad is None or not p.grad.any() for p in twice.scores.parameters())
    assert all(p.grad is not None for head in twice.heads for p in head.parameters())


@pytest.mark.parametrize("negatives", NEGATIVES)
def test_temperatures_stay_within_their_bounds(negatives: Negatives) -> None:
    z = torch.randn(2, 9, 6, dtype=torch.float64)
    scores = 1e3 * torch.randn(2, 9, 6, dtype=torch.float64)
    for low, high in ((0.05, 2.0), (0.5, 0.6)):
        found = amcl(*z, *scores, low=low, high=high, beta=0.0, negatives=negatives)
        assert abs(float(found["contrast"])) <= 2 / low + 4
        assert found["temperature"] == 0


def test_heads_see_different_things_and_share_their_scores() -> None:
    method = build("amcl", digits(), 0)
    assert isinstance(method, AMCL)
    assert len(method.heads) == 3
    terms = one_loss(method)
    assert set(terms) == {"contrast", "temperature"}
    sum(terms.values()).backward()  # type: ignore[union-attr]
    assert all(p.grad is not None and p.grad.any() for p in method.scores.parameters() if p.ndim > 1)
    first, second = (next(iter(head.parameters())) for head in method.heads[:2])
    assert not torch.equal(first, second)


@pytest.mark.parametrize("negatives", NEGATIVES)
def test_gradcheck(negatives: Negatives) -> None:
    z = [torch.randn(5, 4, dtype=torch.float64, requires_grad=True) for _ in range(4)]

    def contrast(*x: torch.Tensor) -> torch.Tensor:  # the softmax's weights of prices are held constant
        return amcl(*x, low=0.2, high=1.0, negatives=negatives)["contrast"]

    assert torch.autograd.gradcheck(contrast, z, fast_mode=True)


def test_wrong_arguments_are_named() -> None:
    z = torch.randn(4, 6, 4)
    with pytest.raises(ValueError, match=r"high must be at least 0.5, got 0.2"):
        amcl(*z, low=0.5, high=0.2)
    with pytest.raises(ValueError, match="low must be greater than 0, got 0"):
        amcl(*z, low=0.0, high=0.2)
    with pytest.raises(ValueError, match="at least 2 images and a row of scores for each, got 6 and 5"):
        amcl(z[0], z[1], z[2, :5], z[3, :5], low=0.1, high=1.0)
    with pytest.raises(ValueError, match="negatives must be one of 'max', 'logsumexp', got 'mean'"):
        amcl(*z, low=0.1, high=1.0, negatives="mean")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="heads must be at least 1, got 0"):
        AMCL("small-conv", heads=0)
