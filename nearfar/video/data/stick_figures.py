"""Generated stick figures in NTU's order of joints, each acting out one of twelve actions."""

from __future__ import annotations

import numpy as np

from nearfar.video.data.skeletons import SkeletonSet

__all__ = ["ACTIONS", "stick_figures"]

# Angles: how far each limb swings forward (x) and is raised to the side (z), and how far it is bent, in radians.
ANGLES = (
    *("arm_x_l", "arm_z_l", "elbow_l", "arm_x_r", "arm_z_r", "elbow_r"),
    *("leg_x_l", "leg_z_l", "knee_l", "leg_x_r", "leg_z_r", "knee_r"),
    *("lean_x", "lean_z", "twist", "height"),
)
# Of every action, for the angles that it moves: where it is, how far it swings, how often in the clip, from where.
ACTIONS: dict[str, dict[str, tuple[float, float, float, float]]] = {
    "wave with one hand": {"arm_z_r": (2.4, 0.2, 3, 0), "elbow_r": (0.8, 0.6, 3, 0)},
    "wave with both hands": {
        "arm_z_r": (2.4, 0.2, 3, 0), "elbow_r": (0.8, 0.6, 3, 0),
        "arm_z_l": (2.4, 0.2, 3, 0), "elbow_l": (0.8, 0.6, 3, 0),
    },
    "clap": {
        "arm_x_r": (1.2, 0.1, 4, 0), "arm_z_r": (0.1, 0.35, 4, 0), "elbow_r": (0.6, 0.3, 4, 0),
        "arm_x_l": (1.2, 0.1, 4, 0), "arm_z_l": (0.1, 0.35, 4, 0), "elbow_l": (0.6, 0.3, 4, 0),
    },
    "walk": {
        "leg_x_r": (0, 0.5, 2, 0), "leg_x_l": (0, 0.5, 2, 0.5), "arm_x_r": (0, 0.4, 2, 0.5), "arm_x_l": (0, 0.4, 2, 0),
        "knee_r": (0.3, 0.3, 2, 0.2), "knee_l": (0.3, 0.3, 2, 0.7),
    },
    "run": {
        "leg_x_r": (0.2, 0.9, 4, 0), "leg_x_l": (0.2, 0.9, 4, 0.5), "arm_x_r": (0, 0.8, 4, 0.5),
        "arm_x_l": (0, 0.8, 4, 0), "elbow_r": (1.4, 0.1, 4, 0), "elbow_l": (1.4, 0.1, 4, 0),
        "knee_r": (0.8, 0.6, 4, 0.2), "knee_l": (0.8, 0.6, 4, 0.7), "lean_x": (0.25, 0, 0, 0),
    },
    "jump": {
        "height": (0.1, 0.2, 3, 0), "knee_r": (0.4, 0.4, 3, 0.5), "knee_l": (0.4, 0.4, 3, 0.5),
        "leg_x_r": (0.2, 0.2, 3, 0.5), "leg_x_l": (0.2, 0.2, 3, 0.5),
    },
    "squat": {
        "height": (-0.15, 0.15, 1.5, 0.5), "knee_r": (0.9, 0.9, 1.5, 0), "knee_l": (0.9, 0.9, 1.5, 0),
        "leg_x_r": (0.7, 0.7, 1.5, 0), "leg_x_l": (0.7, 0.7, 1.5, 0), "arm_x_r": (0.7, 0.7, 1.5, 0),
        "arm_x_l": (0.7, 0.7, 1.5, 0),
    },
    "kick": {"leg_x_r": (0.5, 0.8, 1.5, 0), "knee_r": (0.4, 0.4, 1.5, 0.4), "lean_x": (-0.1, 0.1, 1.5, 0)},
    "punch": {
        "arm_x_r": (1.3, 0.2, 3, 0), "elbow_r": (1.0, 1.0, 3, 0.5),
        "arm_x_l": (0.9, 0, 0, 0), "elbow_l": (1.8, 0, 0, 0),
        "twist": (0, 0.3, 3, 0),
    },
    "bow": {"lean_x": (0.5, 0.5, 1.5, 0), "arm_x_r": (0.3, 0.2, 1.5, 0), "arm_x_l": (0.3, 0.2, 1.5, 0)},
    "jumping jack": {
        "arm_z_r": (1.4, 1.3, 3, 0), "arm_z_l": (1.4, 1.3, 3, 0), "leg_z_r": (0.3, 0.3, 3, 0),
        "leg_z_l": (0.3, 0.3, 3, 0), "height": (0.05, 0.1, 6, 0),
    },
    "bend to the sides": {"lean_z": (0, 0.5, 2, 0), "arm_z_r": (0.3, 0.2, 2, 0), "arm_z_l": (0.3, 0.2, 2, 0.5)},
}  # fmt: skip
STEPS = 24


def stick_figures(count: int = 480, *, held_out: int = 240, steps: int = STEPS, seed: int = 0) -> SkeletonSet:
    """Twelve actions of people who differ in their bones, their tempo and where the camera stands.

    A figure has 25 joints in NTU's order. An action moves some of its angles along sines (``ACTIONS``); how far, how
    fast and from which moment differ from one take to the next, and joints are measured with noise. Test figures are
    of other people.

    Args:
        count: sequences for training, at least 12.
        held_out: sequences for test.
        steps: length of each, at least 8.
        seed: equal arguments give equal figures.
    """
    if count < len(ACTIONS) or steps < 8:
        raise ValueError(f"stick figures needs at least {len(ACTIONS)} sequences of 8 steps, got {count} of {steps}")
    rng = np.random.default_rng(seed)
    test = SkeletonSet(*_draw(held_out, steps, rng), frames=steps, name="stick-figures test")
    return SkeletonSet(*_draw(count, steps, rng), frames=steps, name="stick-figures", test=test)


def _draw(count: int, steps: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3, T, 25, 1) and the action of each."""
    labels = rng.permutation(np.arange(count) % len(ACTIONS))
    people = rng.integers(0, max(count // 16, 4), count)
    bones = np.exp(0.15 * rng.normal(size=(people.max() + 1, 6)))[people]
    size = np.exp(0.1 * rng.normal(size=people.max() + 1))[people]
    angles = _angles(labels, steps, rng)
    joints = size[:, None, None, None] * _joints(angles, bones)
    view = _turn(rng.uniform(-np.pi / 2, np.pi / 2, (count, 1)), 1) @ _turn(rng.normal(0, 0.15, (count, 1)), 0)
    joints = joints @ view.swapaxes(-1, -2) + rng.normal(0, 0.3, (count, 1, 1, 3))
    joints += 0.015 * rng.normal(size=joints.shape)
    return joints.transpose(0, 3, 1, 2)[..., None].astype(np.float32), labels


def _angles(labels: np.ndarray, steps: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """(N, T) of each angle."""
    count = len(labels)
    time = np.arange(steps) / steps
    tempo, first = rng.uniform(0.6, 1.4, (count, 1)), rng.uniform(0, 1, (count, 1))
    far = rng.uniform(0.6, 1.3, (count, 1))
    found = {}
    for name in ANGLES:
        curves = np.array([action.get(name, (0.0, 0.0, 0.0, 0.0)) for action in ACTIONS.values()])[labels]
        base, swing, often, start = (curves[:, k, None] for k in range(4))
        wave = np.sin(2 * np.pi * (tempo * often * time + first + start))
        rest = 0.1 * rng.normal(size=(count, 1)) * (name != "height")
        found[name] = base + rest + far * swing * wave
    return found


def _joints(angles: dict[str, np.ndarray], bones: np.ndarray) -> np.ndarray:
    """(N, T, 25, 3), x to the left of the figure, y upwards, z to its front."""
    spine, neck, arm, hand, leg, width = (bones[:, k, None, None] for k in range(6))
    up, down, front = np.array([0, 1.0, 0]), np.array([0, -1.0, 0]), np.array([0, 0, 1.0])
    root = np.zeros((*angles["height"].shape, 3))
    root[..., 1] = angles["height"]
    trunk = _turn(angles["twist"], 1) @ _turn(angles["lean_x"], 0) @ _turn(angles["lean_z"], 2)
    found = np.zeros((*root.shape[:2], 25, 3))
    found[:, :, 0] = root
    found[:, :, 1] = root + 0.25 * spine * (trunk @ up)
    found[:, :, 20] = root + 0.5 * spine * (trunk @ up)
    found[:, :, 2] = found[:, :, 20] + 0.1 * neck * (trunk @ up)
    found[:, :, 3] = found[:, :, 2] + 0.15 * neck * (trunk @ up)
    for side, first, hip, tip, thumb, sign in (("l", 4, 12, 21, 22, 1.0), ("r", 8, 16, 23, 24, -1.0)):
        across = np.array([sign, 0, 0])
        shoulder = trunk @ _turn(sign * angles[f"arm_z_{side}"], 2) @ _turn(-angles[f"arm_x_{side}"], 0)
        elbow = shoulder @ _turn(-np.maximum(angles[f"elbow_{side}"], 0), 0)
        found[:, :, first] = found[:, :, 20] + 0.18 * width * (trunk @ across)
        found[:, :, first + 1] = found[:, :, first] + 0.28 * arm * (shoulder @ down)
        found[:, :, first + 2] = found[:, :, first + 1] + 0.25 * arm * (elbow @ down)
        found[:, :, first + 3] = found[:, :, first + 2] + 0.08 * hand * (elbow @ down)
        found[:, :, tip] = found[:, :, first + 3] + 0.08 * hand * (elbow @ down)
        found[:, :, thumb] = found[:, :, first + 3] + 0.05 * hand * (elbow @ front)
        thigh = _turn(sign * angles[f"leg_z_{side}"], 2) @ _turn(-angles[f"leg_x_{side}"], 0)
        shin = thigh @ _turn(np.maximum(angles[f"knee_{side}"], 0), 0)
        found[:, :, hip] = root + 0.1 * width * across
        found[:, :, hip + 1] = found[:, :, hip] + 0.42 * leg * (thigh @ down)
        found[:, :, hip + 2] = found[:, :, hip + 1] + 0.4 * leg * (shin @ down)
        found[:, :, hip + 3] = found[:, :, hip + 2] + 0.15 * leg * (shin @ front)
    return found


def _turn(angle: np.ndarray, axis: int) -> np.ndarray:
    """(..., 3, 3) rotations about one axis."""
    a, b = [k for k in range(3) if k != axis]
    found = np.zeros((*angle.shape, 3, 3))
    found[..., axis, axis] = 1
    found[..., a, a] = found[..., b, b] = np.cos(angle)
    sign = 1.0 if axis != 1 else -1.0
    found[..., a, b], found[..., b, a] = -sign * np.sin(angle), sign * np.sin(angle)
    return found
