"""Pairs from video: which frames meet, what is cut out of them, and that it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nearfar.catalogue import find
from nearfar.reproductions.arms import build, train
from nearfar.vision.data import TemporalPairs, load
from nearfar.vision.data.video import clip_factors, shape_clips
from nearfar.vision.measures.invariance import change_sets
from nearfar.vision.method import ImageBatch
from nearfar.vision.methods import MoCo, VideoPairs
from nearfar.vision.methods.video_pairs import two_frames


def test_two_frames_are_different_near_and_of_one_video() -> None:
    videos = (torch.arange(4000)[:, None] * 10 + torch.arange(6))[..., None]  # each frame is its own number
    for furthest, limit in ((None, 5), (2, 2), (99, 5)):
        one, other = two_frames(videos, furthest, torch.Generator().manual_seed(0))
        assert torch.equal(one // 10, other // 10)
        gap = (one - other)[:, 0]
        counts = torch.bincount(gap.abs(), minlength=limit + 1)
        assert counts[0] == 0
        assert len(counts) == limit + 1
        assert counts[1:].min() > 0.8 * 4000 / limit
        assert 0.45 < (gap > 0).float().mean() < 0.55  # either may be the earlier
        assert set((one % 10).flatten().tolist()) == set(range(6))


def small(**changes: object) -> VideoPairs:
    torch.manual_seed(0)
    return VideoPairs("small-conv", projection_dim=8, queue_size=16, views="identity", **changes)  # type: ignore[arg-type]


def test_the_views_are_two_frames_and_of_single_pictures_what_mocos_are() -> None:
    frames = torch.arange(4, dtype=torch.uint8)[None, :, None, None, None].expand(32, 4, 3, 8, 8) * 50
    method = small(max_gap=1)
    method.seed_step(0, 0)
    one, other = (view[:, 0, 0, 0] * 255 for view in method.views(ImageBatch(frames, torch.arange(32))))
    assert torch.allclose((one - other).abs(), torch.tensor(50.0))
    single = ImageBatch(frames[:, 0], torch.arange(32))
    assert all(torch.equal(view, single.images / 255) for view in method.views(single))
    alone = frames[:, :1]  # videos of one frame
    assert all(torch.equal(view, alone[:, 0] / 255) for view in method.views(ImageBatch(alone, torch.arange(32))))
    with pytest.raises(ValueError, match="max_gap must be at least 1"):
        small(max_gap=0)


def test_frames_are_cut_to_what_is_tracked() -> None:
    frames = np.zeros((2, 3, 12, 16, 3), np.uint8)
    boxes = np.zeros((2, 3, 4))
    for video in range(2):
        for frame in range(3):
            left, top = 2 * frame, video + 1
            frames[video, frame, top : top + 6, left : left + 8] = 40 * (frame + 1)
            boxes[video, frame] = left, top, left + 8, top + 6
    tracked = TemporalPairs(frames, np.array([0, 1]), boxes=boxes, size=10)
    assert tracked.groups.shape == (2, 3, 10, 10, 3)
    inside = tracked.groups[:, :, 1:-1, 1:-1]  # at the edge pixels are mixed with their neighbours
    assert (inside == 40 * np.arange(1, 4)[:, None, None, None]).all()
    assert TemporalPairs(frames, boxes=boxes).groups.shape == (2, 3, 12, 12, 3)
    assert TemporalPairs(frames).groups.shape == frames.shape
    with pytest.raises(ValueError, match=r"boxes must have shape \(2, 3, 4\)"):
        TemporalPairs(frames, boxes=boxes[0])
    outside = boxes.copy()
    outside[1, 2, 2] = 17
    with pytest.raises(ValueError, match=r"frames of 16 x 12 pixels; 1 are not, .* of video 1, frame 2"):
        TemporalPairs(frames, boxes=outside)


def test_clips_keep_the_thing_and_change_how_it_is_seen() -> None:
    factors = clip_factors(50, 8)
    for name in ("shape", "hue"):
        values = getattr(factors, name).reshape(50, 8)
        assert (values == values[:, :1]).all(), name
    turns = np.diff(factors.angle.reshape(50, 8))
    assert np.allclose(turns, turns[:, :1])
    assert ((np.abs(turns) > 0.2) & (np.abs(turns) < 0.65)).all()
    clips = load("shape-clips", size=16)
    assert isinstance(clips, TemporalPairs)
    assert clips.groups.shape == (500, 8, 16, 16, 3)
    assert len(np.unique(clips.labels)) == 8
    assert set(clips.splits()) == {"test"}
    near = shape_clips(24, clips=40, tracked=True, test=8)
    assert near.groups.shape == (40, 8, 24, 24, 3)


def test_video_pairs_ignore_the_viewpoint_more_than_pairs_of_one_frame() -> None:
    clips = shape_clips(16, clips=200, test=8)
    pictures, sets = change_sets("viewpoint", 16)
    images = torch.from_numpy(pictures.images).permute(0, 3, 1, 2)

    def spread(method: MoCo) -> float:
        """Distance within a set over that between all."""
        with method.frozen(), torch.no_grad():
            z = torch.nn.functional.normalize(method.encoder(images), dim=1)
        within = z.unflatten(0, (int(sets.max()) + 1, -1))
        return float(within.var(1).sum(1).mean() / z.var(0).sum())

    method = build("invariance-analysis", clips, 0, key_groups=1)
    assert isinstance(method, VideoPairs)
    before = spread(method)
    train("invariance-analysis", method, clips, 0, steps=60, batch_size=64)
    assert spread(method) < 0.8 * before
    assert method.encoder(images[:64]).std(0).mean() > 1e-3


def test_the_catalogued_system_trains_on_clips() -> None:
    system = find("invariance-analysis")
    assert system.load() is VideoPairs
    assert system.data == "shape-clips"
