"""Pretext-contrastive learning: its two losses, what it learns, what it promises and refuses."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nearfar.evaluation import knn
from nearfar.losses import memory_contrast
from nearfar.parts import InstanceMemory
from nearfar.reproductions.arms import build, train
from nearfar.testing import check_method
from nearfar.training import embed
from nearfar.video.data import VideoArray
from nearfar.video.data.moving_shapes import MOTIONS, SHAPES, moving_shapes
from nearfar.video.methods.pretext_contrastive import CHANGES, VIEWS, PretextContrastive
from nearfar.video.r3d import R3D
from tests.parity import ParityCase, assert_parity, parity

SMALL: dict[str, Any] = {"width": 2, "drawn": 16, "clip": 6, "stride": 4, "remote": 4}
SMALL["views"] = dataclasses.replace(VIEWS, size=12, flip=0.0)


@pytest.fixture(scope="module")
def shapes() -> VideoArray:
    return moving_shapes(48, held_out=24, frames=16, size=16)


def test_pretext_contrastive_keeps_every_promise(shapes: VideoArray) -> None:
    check_method(PretextContrastive, shapes, {"rows": len(shapes), **SMALL}, batch_size=8)


@pytest.mark.parametrize("case", parity("pretext-contrastive", "pcl_loss"))
def test_the_loss_is_the_released_one(case: ParityCase) -> None:
    arrays = case.load()
    features = [arrays[f"in_f{clip}"] for clip in (1, 2, 3)]
    rows = arrays["in_index"]
    memories = [InstanceMemory(9, 3).double() for _ in range(2)]
    for memory, name in zip(memories, ("in_memory1", "in_memory3"), strict=True):
        memory.rows = arrays[name].detach().clone()

    def head(x: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(nn.functional.linear(x, arrays["in_p0_w"], arrays["in_p0_b"]))
        return nn.functional.linear(hidden, arrays["in_p2_w"], arrays["in_p2_b"])

    class Fixed(PretextContrastive):
        def __init__(self) -> None:
            super().__init__(9, contrast_weight=case.hyper["weight"], **SMALL)

    method = Fixed()
    method.encoder, method.head = _Given(features), _Function(head)
    method.classifier = _Function(lambda x: nn.functional.linear(x, arrays["in_fc_w"], arrays["in_fc_b"]))
    method.first, method.third = memories
    found = method.loss((features, arrays["in_target"], rows, arrays["in_sample"]))
    torch.testing.assert_close(found["contrast"], arrays["out_con1"] + arrays["out_con2"])
    assert_parity(case, arrays, found["pretext"] + found["contrast"])
    method.after_step()
    torch.testing.assert_close(method.first.rows, arrays["out_memory1"])
    torch.testing.assert_close(method.third.rows, arrays["out_memory3"])


class _Given(nn.Module):
    """Features as they come."""

    def __init__(self, features: list[torch.Tensor]) -> None:
        super().__init__()
        self.features = features[0].shape[1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


class _Function(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


def test_only_the_middle_clip_is_changed_and_every_change_occurs(shapes: VideoArray) -> None:
    method = build("pretext-contrastive", shapes, 0, **SMALL, residual=False)
    method.recipe = dataclasses.replace(
        method.recipe, size=16, scale=None, flip=0.0, gray_p=0.0, blur_p=0.0, jitter_p=0.0
    )
    method.seed_step(0, 0)
    batch = shapes.batch(np.arange(48))
    clips, change, rows, sample = method.views(batch)
    assert [tuple(clip.shape) for clip in clips] == [(48, 3, 6, 16, 16)] * 3
    assert set(change.tolist()) == set(range(len(CHANGES)))
    assert (sample[:, 0] == rows).all()
    whole = batch.frames.permute(0, 4, 1, 2, 3) / 255
    for row in range(48):
        begins = [t for t in range(11) if torch.allclose(whole[row, :, t : t + 6], clips[0][row], atol=2e-3)]
        (begin,) = [t for t in begins if torch.allclose(whole[row, :, t + 8 : t + 14], clips[2][row], atol=2e-3)][:1]
        middle = whole[row, :, begin + 4 : begin + 10]
        assert torch.allclose(middle, clips[1][row], atol=2e-3) == (change[row] == 0)


def test_a_video_too_short_for_a_clip_from_elsewhere_gets_another_change(shapes: VideoArray) -> None:
    method = build("pretext-contrastive", shapes, 0, **{**SMALL, "remote": 16})
    method.seed_step(0, 0)
    change = method.views(shapes.batch(np.arange(48)))[1]
    assert set(change.tolist()) == set(range(len(CHANGES) - 1))


def test_motions_of_other_videos_are_told_better_after_training(shapes: VideoArray) -> None:
    method = build("pretext-contrastive", shapes, 0, **{**SMALL, "width": 4}, contrast_weight=0.1)
    test = shapes.splits()["test"]

    def right() -> float:
        found, held = embed(method.eval(), shapes), embed(method, test)
        return knn(found.array, found.labels, held.array, held.labels, k=5)

    before = right()
    train("pretext-contrastive", method.train(), shapes, 0, steps=30, batch_size=16)
    assert right() > before + 0.05
    assert (embed(method, test).array.std(0) > 1e-3).mean() > 0.8


def test_the_videos_are_what_they_say(shapes: VideoArray) -> None:
    assert set(shapes.labels) == set(MOTIONS)
    assert set(shapes.factors["shape"]) == set(range(len(SHAPES)))
    again = moving_shapes(48, held_out=24, frames=16, size=16)
    np.testing.assert_array_equal(again.videos, shapes.videos)
    moving = np.abs(np.diff(shapes.videos.astype(np.int16), axis=1)).max((2, 3, 4))
    assert (moving.max(1) > 10).all()  # what turns is not round


def test_a_residual_network_over_time() -> None:
    network = R3D(2, (1, 2, 1, 1)).eval()
    clips = torch.rand(3, 3, 7, 12, 12)
    found = network(clips)
    assert found.shape == (3, 16) == (3, network.features)
    torch.testing.assert_close(network(clips[:1]), found[:1])
    assert not torch.allclose(network(clips.flip(2)), found)  # the order of time counts
    assert sum(p.numel() for p in R3D(64).parameters()) == pytest.approx(14.4e6, rel=0.02)
    with pytest.raises(ValueError, match="at least 1"):
        R3D(0)


def test_refusals(shapes: VideoArray) -> None:
    with pytest.raises(ValueError, match="rows are taken from the data"):
        PretextContrastive()
    method = build("pretext-contrastive", shapes, 0, **{**SMALL, "clip": 32})
    with pytest.raises(ValueError, match="16 frames, and a clip 32"):
        method.encode(shapes.batch(np.arange(2)))
    z, bank = torch.randn(2, 4), torch.randn(8, 4)
    with pytest.raises(ValueError, match="sample must lie in"):
        memory_contrast(z, bank, torch.tensor([[0, 9], [1, 2]]), temperature=0.07, form="softmax")
