"""CACR learns, weighs the far positives and the near negatives, and does so with linear memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nearfar.losses import cacr
from nearfar.losses.engine import blocks, tiles
from nearfar.reproductions.arms import build
from nearfar.reproductions.vision.cacr import RATIO, long_tailed
from nearfar.vision.methods import CACR
from tests.vision.learning import digits, learn


def test_it_beats_its_untrained_encoder_without_collapse() -> None:
    _, before, after = learn("cacr", view_count=3)
    assert after["linear seen styles"] > before["linear seen styles"] + 0.05, (before, after)
    assert after["effective_rank"] > 20


def on_circle(*degrees: float) -> torch.Tensor:
    angle = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    return torch.stack([angle.cos(), angle.sin()], 1).requires_grad_()


def test_the_farther_and_the_nearer_weigh_more_with_sharpness() -> None:
    z = torch.randn(4, 8, 5, dtype=torch.float64).unbind()
    found = [cacr(z, tau_pos=tau, tau_neg=tau) for tau in (0.0, 1.0, 5.0, 1e4)]
    pulled, pushed = ([float(terms[name]) for terms in found] for name in ("attraction", "repulsion"))
    assert pulled == sorted(pulled)
    assert pushed == sorted(pushed)
    unit = [x / x.norm(dim=1, keepdim=True) for x in z]
    farthest = [max(((unit[a][i] - y[i]) ** 2).sum() for y in unit) for a in range(4) for i in range(8)]
    assert pulled[-1] == pytest.approx(float(sum(farthest)) / 32)


def test_near_negatives_are_pushed_harder() -> None:
    def push(tau: float, weighted: bool = True) -> list[float]:
        queries, keys = on_circle(0, 90, 90), on_circle(0, 30, 150)
        terms = cacr([queries, keys], tau_neg=tau, weighted=weighted, detach_weights=True)
        (gradient,) = torch.autograd.grad(terms["repulsion"], queries)
        return gradient[0].tolist()

    # The first query's negatives lie at 30 and 150 degrees: equal weights push it neither way.
    assert push(0.0) == pytest.approx([0.0, push(0.0)[1]], abs=1e-9)
    assert push(0.0) == pytest.approx(push(5.0, weighted=False))
    assert push(5.0)[1] > 0


def test_a_sharpness_of_zero_is_equal_weights() -> None:
    z = torch.randn(4, 8, 5, dtype=torch.float64).unbind()
    torch.testing.assert_close(cacr(z, tau_pos=0.0, tau_neg=0.0), cacr(z, tau_pos=9.0, tau_neg=9.0, weighted=False))


def test_blocks_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    z = torch.randn(3, 8, 5, dtype=torch.float64, requires_grad=True)

    def found() -> tuple[torch.Tensor, torch.Tensor]:
        loss = torch.stack([*cacr(z.unbind(), tau_neg=3.0).values()]).sum()
        return loss.detach(), torch.autograd.grad(loss, z)[0]

    whole = found()
    monkeypatch.setattr(tiles, "SINGLE_TILE_ENTRIES", 0)
    monkeypatch.setattr(blocks, "BLOCK_ENTRIES", {"cpu": 24})
    torch.testing.assert_close(found(), whole)


def test_detached_weights_change_gradients_only() -> None:
    z = torch.randn(3, 8, 5, dtype=torch.float64, requires_grad=True)
    found = []
    for detach in (False, True):
        terms = cacr(z.unbind(), detach_weights=detach)
        found.append((sum(terms.values()), torch.autograd.grad(sum(terms.values()), z)[0]))
    torch.testing.assert_close(found[0][0], found[1][0])
    assert not torch.allclose(found[0][1], found[1][1])


def test_the_long_tail_has_its_ratio() -> None:
    data = digits()
    tailed = long_tailed(data, 0)
    assert tailed.labels is not None
    counts = np.sort(np.bincount(tailed.labels, minlength=10))
    assert counts[-1] / counts[0] == pytest.approx(RATIO, rel=0.25)
    assert (np.diff(counts) > 0).all()
    assert np.argmax(np.bincount(tailed.labels)) != np.argmax(np.bincount(long_tailed(data, 1).labels))


def test_the_method_shows_both_terms() -> None:
    method = build("cacr", digits(), 0, view_count=3, beta=2.0)
    assert isinstance(method, CACR)
    method.seed_step(0, 0)
    terms = method.loss(method.views(digits().batch(np.arange(16))))
    assert 0 < terms["attraction"] < 4
    assert -8 < terms["repulsion"] < 0


def test_wrong_arguments_are_named() -> None:
    z = torch.randn(3, 6, 4)
    with pytest.raises(ValueError, match="needs at least 2, got 1"):
        cacr([z[0]])
    with pytest.raises(ValueError, match="at least 2 rows in each view, got 1"):
        cacr(z[:, :1].unbind())
    with pytest.raises(ValueError, match="tau_neg must be at least 0, got -1"):
        cacr(z.unbind(), tau_neg=-1)
    with pytest.raises(ValueError, match=r"views\[1\] has width 3"):
        cacr([z[0], z[1, :, :3]])
