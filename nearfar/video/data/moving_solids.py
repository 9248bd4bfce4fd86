"""Generated videos of points on solids with a moving arm, of which everything is known."""

from __future__ import annotations

import numpy as np

from nearfar.video.data.points import PointSet

__all__ = ["MOTIONS", "SOLIDS", "moving_solids"]

MOTIONS = ("up and down", "to and fro", "clockwise", "counter-clockwise", "in and out")
SOLIDS = ("box", "ball", "drum", "cone")


def moving_solids(
    count: int = 320, *, held_out: int = 160, frames: int = 12, points: int = 96, seed: int = 0
) -> PointSet:
    """A solid at rest with an arm that moves in one of five ways, the labels, as a depth camera would sample them.

    The solid's kind and size, the arm's length and direction, tempo, phase and how far it moves say nothing about the
    motion; two motions differ in the direction of time alone. Every time has new points on the surfaces, with noise.
    ``parts`` has 0 for points of the solid and 1 for those of the arm; the second axis of space points upwards.

    Args:
        count: videos for training, at least 5.
        held_out: videos for test.
        frames: times of each, at least 4.
        points: at each time, at least 16; a third of them lies on the arm.
        seed: equal arguments give equal videos.
    """
    if count < len(MOTIONS) or frames < 4 or points < 16:
        raise ValueError(
            f"moving solids needs at least {len(MOTIONS)} videos of 4 frames of 16 points, got {count} of {frames} of "
            f"{points}"
        )
    rng = np.random.default_rng(seed)
    test = _drawn(held_out, frames, points, rng, "moving-solids test", None)
    return _drawn(count, frames, points, rng, "moving-solids", test)


def _drawn(
    count: int, frames: int, points: int, rng: np.random.Generator, name: str, test: PointSet | None
) -> PointSet:
    motion = rng.permutation(np.arange(count) % len(MOTIONS))
    arm = points // 3
    size = rng.uniform(0.35, 0.55, (count, 1, 1, 1))
    body = size * _surfaces(rng.integers(0, len(SOLIDS), count), frames, points - arm, rng)
    limb = _arm(motion, frames, arm, rng)
    heading = rng.uniform(0, 2 * np.pi, (count, 1, 1))
    limb = np.stack(
        [
            np.cos(heading) * limb[..., 0] + np.sin(heading) * limb[..., 2],
            limb[..., 1],
            np.cos(heading) * limb[..., 2] - np.sin(heading) * limb[..., 0],
        ],
        -1,
    )
    found = np.concatenate([body, limb], 2) + 0.02 * rng.normal(size=(count, frames, points, 3))
    order = rng.permuted(np.broadcast_to(np.arange(points), (count, frames, points)), axis=2)
    parts = (order >= points - arm).astype(np.int64)
    found = np.take_along_axis(found, order[..., None], 2).astype(np.float32)
    return PointSet(found, np.array(MOTIONS)[motion], parts=parts, name=name, test=test)


def _surfaces(kind: np.ndarray, frames: int, points: int, rng: np.random.Generator) -> np.ndarray:
    """(N, T, P, 3) about on the surface of solids of size 1."""
    shape = (len(kind), frames, points)
    ball = rng.normal(size=(*shape, 3))
    ball /= np.linalg.norm(ball, axis=-1, keepdims=True)
    box = ball / np.abs(ball).max(-1, keepdims=True)
    turn, high = rng.uniform(0, 2 * np.pi, shape), rng.uniform(-1, 1, shape)
    ring = np.stack([np.cos(turn), np.zeros(shape), np.sin(turn)], -1)
    up = np.array([0.0, 1.0, 0.0])
    drum = ring + high[..., None] * up
    cone = ring * (1 - high[..., None]) / 2 + high[..., None] * up
    return np.choose(kind[:, None, None, None], [0.8 * box, ball, 0.85 * drum, cone])


def _arm(motion: np.ndarray, frames: int, points: int, rng: np.random.Generator) -> np.ndarray:
    """(N, T, P, 3) points along an arm whose direction at rest is the first axis."""
    count = len(motion)
    turns = rng.uniform(0.1, 0.16, (count, 1)) * np.arange(frames) + rng.uniform(0, 1, (count, 1))
    wave, other = np.sin(2 * np.pi * turns), np.cos(2 * np.pi * turns)
    reach = rng.uniform(0.5, 0.8, (count, 1))
    is_ = [(motion == number)[:, None] for number in range(len(MOTIONS))]
    upwards = reach * wave * (is_[0] | is_[2] | is_[3])
    aside = reach * (wave * is_[1] + other * is_[3] - other * is_[2])
    along = np.exp(0.5 * wave * is_[4])
    where = np.stack([np.cos(upwards) * np.cos(aside), np.sin(upwards), np.cos(upwards) * np.sin(aside)], -1)
    length = rng.uniform(0.5, 0.8, (count, 1, 1)) * rng.uniform(0, 1, (count, frames, points)) * along[:, :, None]
    return (0.45 + length)[..., None] * where[:, :, None]
