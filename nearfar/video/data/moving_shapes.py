"""Generated videos of a shape that moves, of which shape and motion are known."""

from __future__ import annotations

import numpy as np

from nearfar.video.data.clips import VideoArray

__all__ = ["MOTIONS", "SHAPES", "moving_shapes"]

MOTIONS = ("left and right", "up and down", "clockwise", "counter-clockwise", "nearer and farther", "turning")
SHAPES = ("oval", "square", "ring", "cross", "bar")


def moving_shapes(
    count: int = 320, *, held_out: int = 160, frames: int = 24, size: int = 24, seed: int = 0
) -> VideoArray:
    """Six motions, the labels, of five shapes, over ground of any colours.

    Colours, ground, place, size, phase and tempo of a video say nothing about its motion; two motions differ in the
    direction of time alone.

    Args:
        count: videos for training, at least 6.
        held_out: videos for test.
        frames: of each, at least 8.
        size: side in pixels, at least 12.
        seed: equal arguments give equal videos.
    """
    if count < len(MOTIONS) or frames < 8 or size < 12:
        raise ValueError(
            f"moving shapes needs at least {len(MOTIONS)} videos of 8 frames of 12 pixels, got {count} of {frames} of "
            f"{size}"
        )
    rng = np.random.default_rng(seed)
    test = _drawn(held_out, frames, size, rng, "moving-shapes test", None)
    return _drawn(count, frames, size, rng, "moving-shapes", test)


def _drawn(
    count: int, frames: int, size: int, rng: np.random.Generator, name: str, test: VideoArray | None
) -> VideoArray:
    motion = rng.permutation(np.arange(count) % len(MOTIONS))
    shape = rng.integers(0, len(SHAPES), count)
    masks = _masks(motion, shape, frames, size, rng)
    places = np.linspace(-1, 1, size)
    slope = rng.uniform(-0.25, 0.25, (count, 2, 3))
    ground = rng.uniform(0.2, 0.8, (count, 1, 1, 3)) + 0.06 * rng.normal(size=(count, size, size, 3))
    ground += places[:, None, None] * slope[:, None, None, 0] + places[:, None] * slope[:, None, None, 1]
    ground, colour = ground.astype(np.float32), rng.uniform(0, 1, (count, 1, 1, 3)).astype(np.float32)
    videos = np.empty((count, frames, size, size, 3), np.uint8)
    for time in range(frames):
        mask = masks[:, time, :, :, None]
        videos[:, time] = 255 * np.clip(ground + mask * (colour - ground), 0, 1)
    labels = np.array(MOTIONS)[motion]
    return VideoArray(videos, labels, name=name, test=test, factors={"shape": shape, "motion": motion})


def _masks(motion: np.ndarray, shape: np.ndarray, frames: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """(N, T, H, W) in [0, 1]: how much of every pixel the shape covers."""
    count = len(motion)
    turns = rng.uniform(0.09, 0.15, (count, 1)) * np.arange(frames) + rng.uniform(0, 1, (count, 1))
    wave, other = np.sin(2 * np.pi * turns), np.cos(2 * np.pi * turns)
    is_ = [(motion == number)[:, None] for number in range(len(MOTIONS))]
    reach = rng.uniform(0.35, 0.5, (count, 1))
    x = rng.uniform(-0.2, 0.2, (count, 1)) + reach * wave * (is_[0] | is_[2] | is_[3])
    y = rng.uniform(-0.2, 0.2, (count, 1)) + reach * (wave * is_[1] + other * is_[3] - other * is_[2])
    radius = rng.uniform(0.28, 0.4, (count, 1)) * np.exp(0.5 * wave * is_[4])
    angle = rng.uniform(0, 2 * np.pi, (count, 1)) + 2 * np.pi * turns * is_[5]
    places = np.linspace(-1, 1, size, dtype=np.float32)
    x, y, radius, angle = (value.astype(np.float32)[:, :, None, None] for value in (x, y, radius, angle))
    right, down = (places - x) / radius, (places[:, None] - y) / radius
    u = np.abs(np.cos(angle) * right + np.sin(angle) * down)
    v = np.abs(np.cos(angle) * down - np.sin(angle) * right)
    far = np.hypot(u, v / 0.65)
    away = np.choose(
        shape[:, None, None, None],
        [
            far - 1,
            np.maximum(u, v) - 0.85,
            np.abs(far - 0.75) - 0.25,
            np.minimum(np.maximum(u - 1, v - 0.3), np.maximum(v - 1, u - 0.3)),
            np.maximum(u - 1.2, v - 0.4),
        ],
    )
    return np.clip(0.5 - away * radius * size / 2, 0, 1)
