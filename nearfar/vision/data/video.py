"""Frames of videos, of which two make a pair."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image

from nearfar.training import Data
from nearfar.vision.data.arrays import ImageGroups, as_images
from nearfar.vision.data.shapes import GROUNDS, Factors, ShapeImages, draw, random_factors

__all__ = ["TemporalPairs", "clip_factors", "shape_clips"]


class TemporalPairs(ImageGroups):
    """Frames of videos in the order of time, whole or cut out around something that is tracked.

    Two frames of one video are a pair, the frames of other videos its negatives: give each thing one video. Methods
    that take any pictures of a thing take any two frames; :class:`nearfar.vision.methods.VideoPairs` keeps to frames
    that are near in time. Evaluation sees the first frame.

    Args:
        videos: (N, T, H, W, C) as for :class:`ImageGroups`, T frames of N videos.
        labels, ids, name, splits: as there, one per video.
        boxes: (N, T, 4) left, top, right and bottom in pixels of what is tracked (the paper's tracker is
            unsupervised), within the frames; frames are cut to them. Whole frames when not given.
        size: side in pixels of what is cut out; the shorter side of the frames when not given.

    Raises:
        ValueError: boxes of another shape, outside of the frames, or without area.
    """

    def __init__(
        self,
        videos: np.ndarray,
        labels: np.ndarray | None = None,
        *,
        boxes: np.ndarray | None = None,
        size: int | None = None,
        ids: np.ndarray | None = None,
        name: str = "videos",
        splits: Mapping[str, Data] | None = None,
    ) -> None:
        videos = np.asarray(videos)
        if boxes is not None and videos.ndim == 5:
            videos = _cut_out(videos, np.asarray(boxes, dtype=np.float64), size)
        super().__init__(videos, labels, ids=ids, name=name, splits=splits)


def _cut_out(videos: np.ndarray, boxes: np.ndarray, size: int | None) -> np.ndarray:
    frames = as_images(videos.reshape(-1, *videos.shape[2:]))
    height, width = frames.shape[1:3]
    if boxes.shape != (*videos.shape[:2], 4):
        raise ValueError(f"boxes must have shape {(*videos.shape[:2], 4)}, four numbers per frame; got {boxes.shape}")
    flat = boxes.reshape(-1, 4)
    inside = (flat[:, :2] >= 0).all(1) & (flat[:, 2] <= width) & (flat[:, 3] <= height)
    bad = np.flatnonzero(~(inside & (flat[:, :2] < flat[:, 2:]).all(1)))
    if len(bad):
        video, frame = divmod(int(bad[0]), videos.shape[1])
        raise ValueError(
            f"boxes must be left < right and top < bottom within frames of {width} x {height} pixels; {len(bad)} are "
            f"not, the first is {flat[bad[0]].tolist()} of video {video}, frame {frame}"
        )
    side = size or min(height, width)
    cut = [
        np.asarray(Image.fromarray(frame).resize((side, side), Image.Resampling.BILINEAR, box=tuple(box)))
        for frame, box in zip(frames, flat, strict=True)
    ]
    return np.stack(cut).reshape(*videos.shape[:2], side, side, 3)


def clip_factors(clips: int, frames: int, *, seed: int = 0) -> Factors:
    """Factors of ``clips`` clips of ``frames`` frames each, clip after clip: one shape that turns and drifts, comes
    nearer or goes away, over ground that passes by and in changing light; in a quarter of the clips a cover comes and
    goes."""
    start = random_factors(clips, seed=seed)
    rng = np.random.default_rng([seed, 1])
    time = np.linspace(0, 1, frames)

    def moving(first: np.ndarray, low: float, high: float) -> np.ndarray:
        """(clips * frames, 1) values that move steadily, by an amount in [low, high] of random sign."""
        total = rng.uniform(low, high, clips) * rng.choice([-1, 1], clips)
        return (first.reshape(-1, 1) + total[:, None] * time).reshape(-1, 1)

    rows = np.repeat(np.arange(clips), frames)
    return start.take(rows).with_(
        angle=moving(start.angle, 1.5, 4.5),
        x=np.clip(moving(start.x, 0, 0.2), 0.3, 0.7),
        y=np.clip(moving(start.y, 0, 0.2), 0.3, 0.7),
        scale=np.clip(start.scale[rows] * np.exp(moving(np.zeros(clips), 0, 0.4)), 0.25, 0.45),
        texture=rng.integers(0, GROUNDS, clips * frames),
        ground=moving(start.ground, 0.1, 0.5)[:, 0] % 1,
        tint=moving(start.tint, 0.1, 0.5)[:, 0] % 1,
        light=np.clip(moving(start.light, 0, 0.3)[:, 0], 0.6, 1.3),
        occlusion=(start.occlusion[:, None] * np.sin(np.pi * time)).reshape(-1),
    )


def shape_clips(
    size: int = 32, *, clips: int = 500, frames: int = 8, seed: int = 0, tracked: bool = False, test: int = 600
) -> TemporalPairs:
    """The embedded set ``shape-clips``: generated videos of a moving shape each, labelled by it.

    Its held-out set ``test`` are single pictures, those of the embedded set ``shapes``. With ``tracked`` the frames
    are cut to boxes around the shape, which are known here.
    """
    factors = clip_factors(clips, frames, seed=seed)
    pictures, _ = draw(factors, size)
    centre = np.concatenate([factors.x, factors.y], 1)
    reach = 1.1 * factors.scale
    corners = np.concatenate([centre - reach, centre + reach], 1)
    boxes = (np.clip(corners, 0, 1) * size).reshape(clips, frames, 4)
    labels = factors.shape[::frames, 0].astype(np.int64)
    held_out = ShapeImages(random_factors(test, seed=1), size, name="shapes, test")
    return TemporalPairs(
        pictures.reshape(clips, frames, size, size, 3),
        labels,
        boxes=boxes if tracked else None,
        name="shape-clips",
        splits={"test": held_out},
    )
