"""Measures of attention where the answer is known: uniform heads, heads that look at themselves, heads that shift."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nearfar.evaluation.geometry.attention import (
    aligned_attention,
    attention_distance,
    attention_iou,
    attention_mask,
    attention_offset,
    attention_on_tokens,
    head_deviation,
    token_position_deviation,
)

K = 5
T = 1 + K * K
UNIFORM = torch.full((T, T), 1 / T)
SELF = torch.eye(T)


def shift(down: int, right: int) -> Tensor:
    """Every patch looks that far away, or at the class token where there is nothing."""
    found = torch.zeros(T, T)
    found[0, 0] = 1
    for i in range(K):
        for j in range(K):
            inside = 0 <= i + down < K and 0 <= j + right < K
            found[1 + i * K + j, 1 + (i + down) * K + j + right if inside else 0] = 1
    return found


def heads(*each: Tensor, images: int = 1) -> Tensor:
    return torch.stack(each).expand(images, -1, -1, -1).clone()


ALL = heads(UNIFORM, SELF, shift(1, 0), shift(0, -2), images=3)


def test_distance_of_known_heads() -> None:
    places = torch.cartesian_prod(torch.arange(K), torch.arange(K)).double() / (K - 1)
    expected = torch.cdist(places, places).mean().item()
    found = attention_distance(ALL)
    assert found.shape == (3, 4)
    assert found[0].tolist() == pytest.approx([expected, 0, 0.25 * (K - 1) / K, 0.5 * (K - 2) / K], abs=1e-6)


def test_deviations_of_known_heads() -> None:
    n = K * K
    one_of_n = (1 / n) ** 0.5  # unbiased deviation of a one and n - 1 zeros
    assert token_position_deviation(ALL)[0, :2].tolist() == pytest.approx([0, one_of_n], abs=1e-6)
    assert head_deviation(heads(SELF, SELF)).item() == pytest.approx(0)
    two = abs(1 / T - 1) / 2**0.5 / n + (1 / T) / 2**0.5 * (n - 1) / n
    assert head_deviation(heads(UNIFORM, SELF)).item() == pytest.approx(two, rel=1e-5)
    with pytest.raises(ValueError, match="at least 2 heads"):
        head_deviation(heads(SELF))


def test_attention_on_tokens_by_source() -> None:
    only_class = torch.zeros(T, T)
    only_class[:, 0] = 1
    given = heads(UNIFORM, only_class, shift(1, 0))
    assert torch.allclose(attention_on_tokens(given)[0, :2], torch.stack([UNIFORM[0], only_class[0]]))
    assert torch.equal(attention_on_tokens(given, "class")[0, 2], shift(1, 0)[0])
    assert attention_on_tokens(given, "patches")[0, 2, 0].item() == pytest.approx(1 / K)
    pure = attention_on_tokens(given, "patches-only")[0]
    assert torch.allclose(pure[0, 1:], torch.full((K * K,), 1 / K**2))
    assert pure[1].abs().sum() == 0
    assert pure[2].sum().item() == pytest.approx((K - 1) / K)


def test_aligned_maps_and_offsets_find_the_shift() -> None:
    maps = aligned_attention(ALL)
    assert maps.shape == (4, 2 * K - 1, 2 * K - 1)
    assert maps.sum((1, 2)).tolist() == pytest.approx([1, 1, (K - 1) / K, (K - 2) / K], abs=1e-6)
    assert maps[1, K - 1, K - 1] == 1
    assert maps[2, K, K - 1].item() == pytest.approx((K - 1) / K)
    step = 2 / (2 * K - 2)
    offsets = attention_offset(maps)
    expected = torch.tensor([[0, 0, 0], [0, 0, 0], [0, step, step], [-2 * step, 0, 2 * step]])
    assert torch.allclose(offsets, expected, atol=1e-6)
    assert attention_offset(torch.zeros(1, 3, 3)).abs().sum() == 0


def test_the_mask_is_the_smallest_set_that_holds_the_mass() -> None:
    row = torch.zeros(T)
    row[1:5] = torch.tensor([0.4, 0.3, 0.2, 0.1])
    given = heads(row.expand(T, T))
    for mass, kept in ((0.3, 1), (0.6, 2), (0.85, 3), (0.95, 4)):
        assert attention_mask(given, mass=mass)[0, 0].flatten().nonzero()[:, 0].tolist() == list(range(kept))
    assert attention_mask(heads(SELF), "centre")[0, 0].nonzero().tolist() == [[K // 2, K // 2]]
    assert 0.6 <= attention_mask(heads(UNIFORM), "patches").float().mean() < 0.6 + 1 / K**2 + 1e-6


def test_iou_with_objects() -> None:
    row = torch.zeros(T)
    row[1:3] = 0.5
    given = heads(row.expand(T, T), UNIFORM, images=2)
    masks = torch.zeros(2, 4 * K, 4 * K, dtype=torch.uint8)
    masks[0, :4, :7] = 3  # touches the first two patches
    masks[1, 1, 1] = 1  # one pixel of the first
    found = attention_iou(given, masks)
    assert found[:, 0].tolist() == [1.0, 0.5]
    assert 0 <= found[0, 1] < 0.2
    with pytest.raises(ValueError, match=r"masks must have shape \(2, H, W\)"):
        attention_iou(given, masks[:1])


def test_nothing_is_changed_and_the_order_of_calls_does_not_matter() -> None:
    given = torch.rand(2, 3, T, T).softmax(-1)
    copy = given.clone()
    masks = torch.ones(2, 10, 10)
    before = attention_distance(given)
    for source in ("class", "patches", "centre"):
        attention_iou(given, masks, source)
    for source in ("all", "class", "patches", "patches-only"):
        attention_on_tokens(given, source)
    aligned = aligned_attention(given)
    kept = aligned.clone()
    attention_offset(aligned)
    assert torch.equal(given, copy)
    assert torch.equal(aligned, kept)
    assert torch.equal(attention_distance(given), before)
    half = attention_distance(given.bfloat16())
    assert half.dtype == torch.float32
    assert torch.allclose(half, before, atol=0.01)


def test_what_is_no_attention_is_named() -> None:
    with pytest.raises(ValueError, match=r"1 \+ K\^2 tokens"):
        attention_distance(torch.full((1, 1, 7, 7), 1 / 7))
    with pytest.raises(ValueError, match="after the softmax"):
        attention_distance(torch.randn(1, 1, T, T))
    with pytest.raises(ValueError, match=r"shape \(N, heads, T, T\)"):
        token_position_deviation(torch.ones(T, T))
    with pytest.raises(ValueError, match="mass must lie"):
        attention_mask(ALL, mass=1.0)
    with pytest.raises(ValueError, match="source must be"):
        attention_mask(ALL, "cls")  # type: ignore[arg-type]


@pytest.mark.parametrize("source", ["all", "class", "patches"])
def test_double_precision_stays_double(source: str) -> None:
    weights = torch.rand(2, 3, 10, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).softmax(-1)
    found = attention_on_tokens(weights, source)
    exact = {"all": weights, "class": weights[..., :1, :], "patches": weights[..., 1:, :]}[source].mean(-2)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, exact, rtol=1e-14, atol=0)
    for measure in (token_position_deviation, head_deviation, attention_distance):
        assert measure(weights).dtype == torch.float64
        assert measure(weights.half()).dtype == torch.float32
