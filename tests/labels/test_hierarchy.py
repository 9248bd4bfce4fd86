"""HMLC with masks and WSP: what the levels get, order of examples, learning, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nearfar.labels.level_masks import dimensions_of_levels
from nearfar.labels.methods.hmlc import beside_relatives
from nearfar.reproductions.arms import build
from tests.labels.learning import learn, one_loss, small


def test_dimensions_go_to_the_level_that_they_tell_of() -> None:
    rng = np.random.default_rng(0)
    fine = rng.integers(0, 8, 600)
    coarse = fine // 4
    z = rng.normal(size=(600, 20))
    z[:, :8] += 3 * rng.normal(size=(2, 8))[coarse]
    inside = rng.normal(size=(2, 4, 8))
    z[:, 8:16] += 3 * (inside - inside.mean(1, keepdims=True)).reshape(8, 8)[fine]
    found = dimensions_of_levels(z, np.stack([coarse, fine], 1))
    assert (found.sum(0) == 1).all()
    assert found[0, :8].mean() > 0.8
    assert found[1, 8:16].mean() > 0.8
    assert found.sum(1).min() >= 20 // 8


def test_relatives_of_every_level_stand_together_and_none_is_lost() -> None:
    rng = np.random.default_rng(0)
    fine = np.repeat(np.arange(12), 8)
    levels = np.stack([fine // 6, fine // 2, fine], 1)
    order = beside_relatives(levels, rng)
    assert sorted(order.tolist()) == list(range(96))
    blocks = levels[order].reshape(-1, 8, 3)
    assert (blocks[:, 0, 2] == blocks[:, 1, 2]).mean() > 0.9
    assert (blocks[:, 0, 1] == blocks[:, 2, 1]).mean() > 0.8
    assert (blocks[:, 0, 0] == blocks[:, 4, 0]).mean() > 0.7


@pytest.mark.parametrize("features", ["gaussian", "attention", "all"])
def test_hmlc_has_a_finite_loss_in_every_form(features: str) -> None:
    data = small("digit-tree")
    method = build("hmlc", data, 0, features=features)
    loss = one_loss(method, data)
    loss.backward()
    assert torch.isfinite(loss)
    moved = any(p.grad is not None and p.grad.any() for p in method.attention.parameters())
    assert moved == (features == "attention")


def test_hmlc_learns_every_level() -> None:
    method, before, after = learn("hmlc", small("digit-tree", 16), steps=60, memory=256, refit=20)
    for name in ("linear test", "linear level 1 test", "linear level 2 test"):
        assert after[name] > before[name] + 0.02, name
    chosen = method.masks.chosen
    assert (chosen.sum(0) == 1).all()
    assert chosen.sum(1).min() >= chosen.shape[1] // 12


def test_wsp_meets_one_slice_of_a_volume_in_a_batch() -> None:
    data = small("slices")
    method = build("wsp", data, 0)
    order = method.order(data, np.random.default_rng(0))
    assert sorted(order.tolist()) == list(range(len(data)))
    subject = data.marks["subject"][order]
    for first in range(0, len(order) - 64, 64):
        assert len(set(subject[first : first + 64].tolist())) == 64


def test_wsp_ranks_other_subjects_and_learns_from_weak_labels_alone() -> None:
    data = small("slices", 16)
    method, before, after = learn("wsp", data, steps=120)
    assert after["subject auc test"] > 0.6
    assert after["linear test"] > before["linear test"] - 0.05
    blind = data.hiding(np.ones(len(data), bool))
    assert torch.equal(one_loss(method, blind), one_loss(method, data)), "the true labels are not looked at"


def test_data_without_what_is_needed_gets_one_sentence() -> None:
    data = small("labelled-digits")
    with pytest.raises(ValueError, match="num_levels is needed"):
        build("hmlc", data, 0)
    with pytest.raises(ValueError, match="WSP learns from the position of pictures"):
        build("wsp", data, 0).begin(data)
    with pytest.raises(ValueError, match="features must be one of gaussian, attention, all"):
        build("hmlc", small("digit-tree"), 0, features="none")
