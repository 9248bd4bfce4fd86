"""CPC and TNC: their windows, learning, and the states of windows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nearfar.reproductions.arms import build, train
from nearfar.series.data import SeriesSet, load
from nearfar.series.data.generated import states
from nearfar.series.windows import consecutive, near_and_far


def test_near_windows_are_near_and_distant_ones_are_not() -> None:
    steps = torch.arange(2000.0).expand(6, -1)[:, :, None].clone()
    here, near, far = near_and_far(steps, 20, 300, 1.0, torch.Generator().manual_seed(0))
    assert torch.equal(near[0, 0, :, 0].diff(), torch.ones(19))
    apart = (far[:, :, 0, 0] - here[:, :, 0, 0]).abs()
    assert (apart >= 100).all()
    close = near[:, :, 0, 0] - here[:, :, 0, 0]
    assert close.std() == pytest.approx(20, rel=0.15)
    short = near_and_far(steps[:, :60], 20, 4, 2.0)
    assert all(w.shape == (6, n, 20, 1) for w, n in zip(short, (1, 4, 4), strict=True))


def test_windows_side_by_side() -> None:
    windows = consecutive(torch.arange(7.0)[None, :, None], 3)
    assert windows[0, :, :, 0].tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(ValueError, match="2 steps, fewer than a window of 3"):
        consecutive(torch.zeros(1, 2, 1), 3)


def test_negatives_of_cpc_are_not_within_two_of_the_present_window() -> None:
    data = states(4, steps=900, held_out=2)
    method = build("cpc", data, 0)
    for step in range(20):
        method.seed_step(0, step)
        _, now, others = method.views(data.batch(np.arange(4)))
        assert ((others - now[:, None]).abs() > 2).all()


@pytest.mark.parametrize("objective", ["cpc", "tnc"])
def test_windows_tell_their_state_after_training(objective: str) -> None:
    data = states(12, steps=900, held_out=6)
    method = build("cpc", data, 0, objective=objective, hidden=24)
    before = method.evaluate(data)["state accuracy"]
    train("cpc", method, data, 0, steps=60)
    after = method.evaluate(data)["state accuracy"]
    assert after > before + 0.05
    with method.frozen():
        codes = method.encode_windows(torch.from_numpy(data.series[0])[None])[0]
    assert torch.linalg.matrix_rank(codes - codes.mean(0)) > 3


def test_gaps_and_unequal_lengths_train() -> None:
    rng = np.random.default_rng(0)
    series = [rng.normal(size=(n, 1)) for n in (300, 350, 420)]
    series[1][40:60] = np.nan
    data = SeriesSet(series)
    method = build("cpc", data, 0)
    train("cpc", method, data, 0, steps=2, batch_size=3)
    with method.frozen():
        assert torch.isfinite(method.encode(data.batch(np.arange(3)))).all()


def test_series_that_are_too_short_get_one_sentence() -> None:
    data = load(count=8)
    method = build("cpc", data, 0)
    method.seed_step(0, 0)
    with pytest.raises(ValueError, match="has 128 steps; at least six windows of 40 are needed"):
        method.views(data.batch(np.arange(4)))
    with pytest.raises(ValueError, match="objective must be one of cpc, tnc, got 'both'"):
        build("cpc", data, 0, objective="both")
