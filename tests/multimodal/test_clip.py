"""Captioned images and CLIP."""

from __future__ import annotations

import numpy as np
import pytest

from nearfar.multimodal.data import CaptionedImages, load
from nearfar.multimodal.evaluation import evaluate, zero_shot_classifier
from nearfar.reproductions.arms import build, train


@pytest.fixture(scope="module")
def scenes() -> CaptionedImages:
    found = load(examples=1500)
    assert isinstance(found, CaptionedImages)
    return found


@pytest.mark.long
def test_clip_learns_names_and_finds_captions(scenes: CaptionedImages) -> None:
    method = build("clip", scenes, 0)
    before = evaluate(method.eval(), scenes)
    method.train()
    train("clip", method, scenes, 0, steps=120, batch_size=64)
    after = evaluate(method, scenes)
    assert after["zero-shot seen combinations"] > before["zero-shot seen combinations"] + 0.05
    assert after["R@1 image to text gallery"] > 0.05
    assert after["effective_rank"] > 4


def test_classifier_rows_are_unit_vectors(scenes: CaptionedImages) -> None:
    method = build("clip", scenes, 0).eval()
    held_out = scenes.splits()["seen combinations"]
    assert isinstance(held_out, CaptionedImages)
    weights = zero_shot_classifier(method, held_out.classes)
    assert weights.shape == (48, 64)
    assert np.allclose(np.linalg.norm(weights, axis=1), 1, atol=1e-5)


def test_the_temperature_is_learned_and_clamped(scenes: CaptionedImages) -> None:
    method = build("clip", scenes, 0)
    method.seed_step(0, 0)
    method.loss(method.views(scenes.batch(np.arange(16)))).backward()
    assert method.scale.log_scale.grad is not None  # type: ignore[union-attr]
    assert float(method.scale.log_scale.grad.abs()) > 0  # type: ignore[union-attr, operator]


def test_wrong_pairs_are_named() -> None:
    with pytest.raises(ValueError, match="captions has 1 entries for 2 images"):
        CaptionedImages(np.zeros((2, 8, 8, 3), np.uint8), ["one"])
