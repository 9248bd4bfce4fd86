"""OBoW learns scenes, its targets come from the teacher and old words, and its patches lie where they should."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from torch import Tensor

from nearfar.losses import bag_divergence
from nearfar.parts import VisualWords
from nearfar.parts.visual_words import perplexity
from nearfar.reproductions.arms import build, train
from nearfar.vision.data import load
from nearfar.vision.data.shapes import ShapeImages
from nearfar.vision.evaluation import evaluate
from nearfar.vision.methods import OBoW
from nearfar.vision.methods.obow import cut_patches


@functools.cache
def scenes() -> ShapeImages:
    data = load("shape-scenes")
    assert isinstance(data, ShapeImages)
    return data


def small(**changes: object) -> OBoW:
    method = build("obow", scenes(), 0, **{"words": 64, "strides": (8, 16), "crop_size": 32, **changes})
    assert isinstance(method, OBoW)
    return method


def views(method: OBoW, rows: int = 8) -> tuple[Tensor, ...]:
    method.seed_step(0, 0)
    return method.views(scenes().batch(np.arange(rows)))


@pytest.mark.long
def test_its_features_beat_the_untrained_ones_with_many_words_in_use() -> None:
    data = load("large-digits")
    before = evaluate(build("obow", data, 0).eval(), data)["linear seen styles"]
    method = build("obow", data, 0, words=128)
    assert isinstance(method, OBoW)
    train("obow", method, data, 0, steps=200)
    assert evaluate(method, data)["linear seen styles"] > before + 0.05
    (bags,) = method.eval().bags(data.splits()["seen styles"].batch(np.arange(200)).images)
    assert perplexity(bags) > 10


def test_the_loss_is_the_mean_over_levels_and_crops_of_divergences_from_the_teacher() -> None:
    method = small(patches=2, patch_size=16, patch_source=48, patch_jitter=4)
    given = views(method)
    assert [tuple(view.shape[2:]) for view in given] == [(64, 64), (32, 32), (32, 32), (16, 16), (16, 16)]
    method.eval()  # batch norm then treats a crop alone as it does among others
    terms = method.loss(given)
    bags = method.bags(given[0])
    expected = {"crops": [], "patches": []}
    for number, view in enumerate(given[1:]):
        features = method.encoder(view)
        for vocabulary, head, bag in zip(method.vocabularies, method.weights, bags, strict=True):
            logits = features @ head(vocabulary.get_buffer("words")).t()
            expected["crops" if number < 2 else "patches"].append(bag_divergence(logits, bag))
    for name, errors in expected.items():
        torch.testing.assert_close(terms[name], torch.stack(errors).mean())


def test_words_change_after_the_step_and_gradients_reach_student_and_weights_only() -> None:
    method = small()
    vocabulary = method.vocabularies[0]
    assert isinstance(vocabulary, VisualWords)
    start = vocabulary.words.clone()
    sum(method.loss(views(method)).values()).backward()  # type: ignore[union-attr]
    assert torch.equal(vocabulary.words, start)
    assert vocabulary.distance != 0.5
    without = {name.split(".")[0] for name, value in method.named_parameters() if value.grad is None}
    assert without == {"teacher"}
    new = method.collected("words 0")
    method.after_step()
    assert torch.equal(vocabulary.words[:8], new)
    assert torch.equal(vocabulary.words[8:], start[8:])


def test_nine_patches_without_shift_tile_the_picture_in_order() -> None:
    places = torch.arange(100.0).view(1, 1, 10, 10).expand(3, 3, 10, 10) + 1000 * torch.arange(3).view(3, 1, 1, 1)
    found = torch.stack(cut_patches(places, 9, 4, 0, torch.Generator().manual_seed(0)))
    assert found.shape == (9, 3, 3, 4, 4)
    for image in range(3):
        corners = sorted(found[:, image, 0, 0, 0].tolist())
        assert corners == [1000 * image + 10 * y + x for y in (0, 3, 6) for x in (0, 3, 6)]
        patch = found[0, image, 0]
        assert torch.equal(patch - patch[0, 0], torch.arange(4.0) + 10 * torch.arange(4.0)[:, None])


def test_patches_differ_shift_and_stay_inside() -> None:
    places = torch.arange(400.0).view(1, 1, 20, 20).expand(60, 3, 20, 20)
    found = torch.stack(cut_patches(places, 5, 6, 4, torch.Generator().manual_seed(0)))[:, :, 0, 0, 0]
    rows, columns = found // 20, found % 20
    assert rows.max() == 14
    assert columns.max() == 14
    assert set(rows.unique().tolist()) == set(range(15))
    assert all(len(set(image.tolist())) > 1 for image in found.t())
    with pytest.raises(ValueError, match="18 pixels shifted by up to 4 do not fit into 20x20"):
        cut_patches(places, 5, 18, 4, torch.Generator())


def test_bad_settings_are_named() -> None:
    with pytest.raises(ValueError, match=r"strides must be some of \[2, 4, 8, 16\]"):
        small(strides=(32,))
    with pytest.raises(ValueError, match="patches in"):
        small(patches=10)
    with pytest.raises(ValueError, match="at least 3x3 cells"):
        small().loss((torch.rand(4, 3, 16, 16), torch.rand(4, 3, 16, 16)))
