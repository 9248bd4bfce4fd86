"""Contrast between cells of two maps: each loss against its formula in loops, its mask and its negatives."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from nearfar import losses
from nearfar.losses.dense import dense_contrast

N, S, T, C = 4, 5, 6, 7


def cells(count: int, size: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, size, C, generator=generator, dtype=torch.float64).to(dtype)


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    return cells(N, S, 0), cells(N, T, 1)


@pytest.fixture
def mask() -> Tensor:
    mask = torch.rand(N, S, T, generator=torch.Generator().manual_seed(2)) < 0.3
    mask[1] = False  # an image whose views do not overlap
    return mask


def cosine(a: Tensor, b: Tensor) -> float:
    return float(a @ b / (a.norm() * b.norm()))


def test_pixel_consistency_is_the_mean_over_close_pairs(pair, mask) -> None:
    y, z = pair
    total = 0.0
    for n in range(N):
        found = [cosine(y[n, i], z[n, j]) for i in range(S) for j in range(T) if mask[n, i, j]]
        total += sum(found) / (len(found) + 1e-6)
    assert losses.pixel_consistency(y, z, mask).item() == pytest.approx(-2 * total / N, rel=1e-9)
    single = losses.pixel_consistency(y.float(), z.float(), mask)
    assert single.dtype == torch.float32
    assert single.item() == pytest.approx(-2 * total / N, rel=1e-5)


def test_pixel_consistency_holds_the_target_side(pair, mask) -> None:
    y, z = (x.clone().requires_grad_() for x in pair)
    losses.pixel_consistency(y, z, mask).backward()
    assert z.grad is None
    assert y.grad[0].abs().sum() > 0
    assert y.grad[1].abs().sum() == 0
    assert torch.autograd.gradcheck(lambda a: losses.pixel_consistency(a, pair[1], mask), pair[0].requires_grad_())


def test_pixel_contrast_against_its_formula(pair, mask) -> None:
    q, k = pair
    images = []
    for n in range(N):
        rows = []
        for i in range(S):
            e = [math.exp(cosine(q[n, i], k[n, j]) / 0.3) for j in range(T)]
            near = sum(v for v, m in zip(e, mask[n, i].tolist(), strict=True) if m)
            if near:
                rows.append(-math.log(near / sum(e)))
        images.append(sum(rows) / max(len(rows), 1))
    assert losses.pixel_contrast(q, k, mask).item() == pytest.approx(sum(images) / N, rel=1e-9)
    q.requires_grad_()
    k.requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: losses.pixel_contrast(a, b, mask, temperature=0.5), (q, k))


def test_nothing_close_gives_zero_and_no_gradient(pair) -> None:
    q = pair[0].clone().requires_grad_()
    nothing = torch.zeros(N, S, T, dtype=torch.bool)
    for loss in (losses.pixel_consistency, losses.pixel_contrast):
        value = loss(q, pair[1], nothing)
        assert value.item() == 0
        (gradient,) = torch.autograd.grad(value, q)
        assert gradient.abs().sum() == 0


def test_correspondence_finds_shuffled_cells() -> None:
    a = cells(N, S, 3)
    order = torch.stack([torch.randperm(S, generator=torch.Generator().manual_seed(n)) for n in range(N)])
    shuffled = a.gather(1, order.unsqueeze(2).expand(-1, -1, C))
    # Lengths differ: only directions are compared.
    match = losses.dense_correspondence(a * 3, shuffled * torch.rand(N, S, 1) + 1e-3 * shuffled)
    assert torch.equal(order.gather(1, match), torch.arange(S).expand(N, S))


def slow_dense(
    g1: Tensor, g2: Tensor, forth: Tensor, back: Tensor, bank: list[Tensor], temperature: float, cross_view: bool
) -> float:
    """``bank[n]``: what image n gives to the others."""
    found = []
    for queries, keys, mask in ((g1, g2, forth), (g2, g1, back)):
        for n in range(len(queries)):
            far = [k for m, rows in enumerate(bank) if m != n for k in rows]
            for i in range(queries.shape[1]):
                q, positive = queries[n, i], mask[n, i]
                own = list(keys[n][~positive]) if cross_view else []
                negative = sum(math.exp(cosine(q, k) / temperature) for k in [*far, *own])
                e = [math.exp(cosine(q, k) / temperature) for k in keys[n][positive]]
                if e:
                    found.append(sum(-math.log(v / (v + negative)) for v in e) / len(e))
    return sum(found) / len(found)


def banks(g1: Tensor, g2: Tensor, forth: Tensor, back: Tensor, negatives: str) -> list[Tensor]:
    if negatives == "all":
        return [torch.cat([g1[n], g2[n]]) for n in range(N)]
    if negatives == "pooled":
        return [torch.stack([g1[n].mean(0), g2[n].mean(0)]) for n in range(N)]
    found = []
    for n in range(N):
        rows = [g2[n][forth[n, i]][0] for i in range(g1.shape[1]) if forth[n, i].any()]
        rows += [g1[n][back[n, j]][0] for j in range(g2.shape[1]) if back[n, j].any()]
        found.append(rows)
    return found


@pytest.mark.parametrize("cross_view", [False, True])
@pytest.mark.parametrize("negatives", ["all", "pooled", "matched"])
def test_dense_nt_xent_against_its_formula(pair, mask, negatives: str, cross_view: bool) -> None:
    back = mask.mT.clone()
    back[0, 0] = True
    expected = slow_dense(*pair, mask, back, banks(*pair, mask, back, negatives), 0.4, cross_view)
    found = losses.dense_nt_xent(*pair, mask, back, temperature=0.4, negatives=negatives, cross_view=cross_view)
    assert found.item() == pytest.approx(expected, rel=1e-8)


def test_random_negatives_are_drawn_cells_of_the_others(pair, mask) -> None:
    options = {"temperature": 0.4, "cross_view": False}
    every = losses.dense_nt_xent(*pair, mask, mask.mT, negatives="all", **options)
    drawn = losses.dense_nt_xent(*pair, mask, mask.mT, negatives="random", count=S + T, **options)
    assert drawn.item() == pytest.approx(every.item(), rel=1e-9)
    draws = [
        losses.dense_nt_xent(
            *pair, mask, mask.mT, count=3, generator=torch.Generator().manual_seed(s), **options
        ).item()
        for s in (0, 0, 1)
    ]
    assert draws[0] == draws[1] != draws[2]
    assert max(draws) < every.item()  # fewer negatives, less to beat


def test_blocks_change_neither_value_nor_gradient(pair, mask, monkeypatch) -> None:
    def run() -> tuple[float, Tensor]:
        q = pair[0].clone().requires_grad_()
        value = losses.dense_nt_xent(q, pair[1], mask, mask.mT, temperature=0.3, negatives="all")
        return value.item(), torch.autograd.grad(value, q)[0]

    whole = run()
    monkeypatch.setattr(dense_contrast, "KEPT_ENTRIES", 1)
    parts = run()
    assert parts[0] == pytest.approx(whole[0], rel=1e-12)
    torch.testing.assert_close(parts[1], whole[1])


def test_the_length_of_cells_is_of_no_account(pair, mask) -> None:
    q, k = pair
    longer = q * torch.linspace(0.1, 9, S).view(1, S, 1)
    for loss in (
        lambda a: losses.pixel_consistency(a, k, mask),
        lambda a: losses.pixel_contrast(a, k, mask),
        lambda a: losses.dense_nt_xent(a, k, mask, mask.mT, temperature=0.3, negatives="all"),
    ):
        assert loss(longer).item() == pytest.approx(loss(q).item(), rel=1e-9)


def test_bad_arguments_are_named(pair, mask) -> None:
    q, k = pair
    with pytest.raises(TypeError, match="positive must be a boolean tensor"):
        losses.pixel_contrast(q, k, mask.float())
    with pytest.raises(ValueError, match=r"positive must have shape \(4, 5, 6\)"):
        losses.pixel_consistency(q, k, mask.mT)
    with pytest.raises(ValueError, match=r"cells \(N, S, C\), got shape \(5, 7\)"):
        losses.dense_correspondence(q[0], k[0])
    with pytest.raises(ValueError, match="of the same images and of one width"):
        losses.dense_correspondence(q, k[:2])
    with pytest.raises(ValueError, match="negatives must be one of 'pooled'"):
        losses.dense_nt_xent(q, k, mask, mask.mT, temperature=0.2, negatives="dense")
    with pytest.raises(ValueError, match=r"count must be in 1\.\.11"):
        losses.dense_nt_xent(q, k, mask, mask.mT, temperature=0.2, count=12)
    with pytest.raises(ValueError, match="temperature must be greater than 0"):
        losses.pixel_contrast(q, k, mask, temperature=0.0)
