"""Aligned appearances: one geometry for every view, and features that agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nearfar.reproductions.arms import build, train
from nearfar.segmentation.data import load
from nearfar.segmentation.encoders import SegFormerPyramid, pyramid_encoder
from nearfar.segmentation.evaluation import evaluate
from nearfar.segmentation.method import SceneBatch, cross_entropy, flip_together


@pytest.fixture(scope="module")
def street():
    return load(size=32, scenes=24)


def test_training_segments_better_than_the_untrained_network(street) -> None:
    method = build("aligned-segmentation", street, 0)
    before = evaluate(method.eval(), street)
    method.train()
    train("aligned-segmentation", method, street, 0, steps=60)
    after = evaluate(method, street)
    assert after["miou seen appearances"] > before["miou seen appearances"] + 0.1
    assert 0 < after["agreement unseen appearances"] <= 1


def test_alignment_brings_features_of_two_appearances_closer(street) -> None:
    distances = {}
    for weight in (0.0, 5.0):
        method = build("aligned-segmentation", street, 0, alignment=weight)
        train("aligned-segmentation", method, street, 0, steps=30)
        probe = build("aligned-segmentation", street, 0, alignment=1.0).eval()
        probe.load_state_dict(method.state_dict())
        probe.seed_step(0, 0)
        with torch.no_grad():
            distances[weight] = float(probe.loss(probe.views(street.batch(np.arange(16))))["alignment"])
    assert distances[5.0] < distances[0.0]


def test_views_are_two_different_appearances_under_one_geometry() -> None:
    # Appearance a of scene n shows 10 * a everywhere but in its left column, so both facts can be read off.
    images = torch.zeros(40, 4, 3, 4, 6, dtype=torch.uint8)
    for appearance in range(4):
        images[:, appearance] = 10 * appearance
    images[..., 0] += 100
    labels = torch.zeros(40, 4, 6, dtype=torch.long)
    labels[..., 0] = 1
    method = build("aligned-segmentation", load(size=32, scenes=2), 0)
    method.seed_step(0, 0)
    a, b, y = method.views(SceneBatch(images, labels, torch.arange(40)))
    assert (a[:, 0, 0, 2] != b[:, 0, 0, 2]).all()
    for view in (a, b):
        marked = view[:, 0] >= 100
        assert torch.equal(marked, y == 1)
    assert 5 < int((y[:, 0, 0] == 0).sum()) < 35  # about half of the scenes were mirrored


def test_flipping_keeps_images_and_labels_together() -> None:
    images = torch.arange(6).view(1, 1, 1, 1, 6).expand(8, 2, 3, 2, 6)
    labels = torch.arange(6).view(1, 1, 6).expand(8, 2, 6)
    flipped, y = flip_together(images, labels, torch.Generator().manual_seed(0))
    assert torch.equal(flipped[:, 0, 0], y)


def test_ignored_pixels_do_not_count() -> None:
    logits = torch.randn(1, 3, 2, 2)
    labels = torch.tensor([[[0, 255], [1, 255]]])
    expected = torch.nn.functional.cross_entropy(logits[:, :, :, 0], labels[:, :, 0])
    assert torch.allclose(cross_entropy(logits, labels), expected)
    assert cross_entropy(logits, torch.full((1, 2, 2), 255)) == 0


def test_backbones() -> None:
    torch.manual_seed(0)
    encoder = pyramid_encoder("segformer-b0").eval()
    with torch.no_grad():
        maps = encoder.maps(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    assert [tuple(m.shape[1:]) for m in maps] == [(32, 16, 16), (64, 8, 8), (160, 4, 4), (256, 2, 2)]
    assert isinstance(encoder.backbone, SegFormerPyramid)
    with pytest.raises(ValueError, match="unknown encoder 'segformer-b9'"):
        pyramid_encoder("segformer-b9")
    with pytest.raises(ValueError, match="widths of its feature maps"):
        pyramid_encoder(torch.nn.Identity())


def test_the_number_of_classes_comes_from_the_data(street) -> None:
    assert street.facts["num_classes"] == 16
    with pytest.raises(ValueError, match="num_classes is needed"):
        type(build("aligned-segmentation", street, 0))("small-pyramid")
