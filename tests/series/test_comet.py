"""COMET: its levels, its batches, learning, what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nearfar.evaluation import effective_rank
from nearfar.losses import hierarchical_contrast, id_contrast
from nearfar.reproductions.arms import build, train
from nearfar.series.data import SeriesSet, load
from nearfar.series.data.generated import patients
from nearfar.series.methods.comet import COMET
from nearfar.training import embed


def test_segments_of_a_trial_stay_together() -> None:
    data = patients(4, held_out=2)
    method = build("comet", data, 0)
    order = method.order(data, np.random.default_rng(0))
    assert sorted(order) == list(range(len(data)))
    trials = data.groups[order, 1]
    assert (np.diff(trials) != 0).sum() == len(np.unique(trials)) - 1
    assert not np.array_equal(order, method.order(data, np.random.default_rng(1)))


def test_the_four_levels_have_their_factors() -> None:
    data = patients(4, held_out=2)
    method = build("comet", data, 0, patient=0.1, trial=0.7, sample=0.15, observation=0.05)
    legacy = build("comet", data, 0, patient=0.1, trial=0.7, sample=0.15, observation=0.05, legacy_weights=True)
    found = []
    for each in (method, legacy):
        each.eval()  # without dropout both passes are equal
        each.seed_step(0, 0)
        views = each.views(data.batch(np.arange(24)))
        found.append(each.loss(views))
    values, masks, groups = views
    z1, z2 = (legacy.network(values, mask) for mask in masks)
    plain = legacy.network(values)
    torch.testing.assert_close(found[0]["observation"], 0.05 * hierarchical_contrast(z1, z2, alpha=0.0, last=False))
    torch.testing.assert_close(found[0]["sample"], 0.15 * hierarchical_contrast(z1, z2, alpha=1.0, last=False))
    torch.testing.assert_close(found[0]["trial"], 0.7 * id_contrast(plain, plain, groups[:, 1]))
    torch.testing.assert_close(found[1]["patient"], id_contrast(plain, plain, groups[:, 0]))
    assert set(build("comet", data, 0, sample=0.0, observation=0.0).loss(views)) == {"trial", "patient"}


def test_what_comet_learns_holds_for_patients_it_has_not_seen() -> None:
    data = patients(4, steps=64, held_out=4)
    method = build("comet", data, 0, hidden=16, out_features=32, depth=3)
    before, rank_before = held_out(method, data.test)
    train("comet", method, data, 0, steps=20, batch_size=48)
    after, rank = held_out(method, data.test)
    assert after < 0.95 * before
    assert rank > rank_before / 2


def held_out(method: COMET, data: SeriesSet) -> tuple[float, float]:
    """The loss of the latest weights on held-out segments, and the effective rank of the kept ones."""
    method.seed_step(0, 0)
    with method.frozen():
        loss = sum(method.loss(method.views(data.batch(np.arange(48)))).values())
    found = embed(method, data).array
    return float(loss), effective_rank(found - found.mean(0))


def test_data_without_patients_gets_one_sentence() -> None:
    data = load(count=8)
    method = build("comet", data, 0)
    with pytest.raises(ValueError, match="does not say which patient a series is of"):
        train("comet", method, data, 0, steps=1)
    groups = np.array([[-1, 0], [-1, 0], [-1, 1], [-1, 1]])
    trials = SeriesSet([np.random.default_rng(i).normal(size=20) for i in range(4)], groups=groups)
    train("comet", build("comet", trials, 0, patient=0.0), trials, 0, steps=1, batch_size=4)
    with pytest.raises(ValueError, match="not all 0"):
        build("comet", data, 0, patient=0.0, trial=0.0, sample=0.0, observation=0.0)
