"""Cart-pole and pendulum with the physics of gymnasium's, drawn in microseconds."""

from __future__ import annotations

import numba
import numpy as np

from nearfar.control.spaces import Spaces
from nearfar.control.worlds.world import World


@numba.njit(cache=True, nogil=True)
def _draw(frames, states, cart, dark):  # type: ignore[no-untyped-def]
    """Draw carts or bare poles into frames (N, H, W), light on ``dark``; states (N, 2) are place and angle."""
    count, height, width = frames.shape
    for n in range(count):
        frames[n] = dark[n]
        if cart:
            middle = (states[n, 0] / 4.8 + 0.5) * width
            base = 0.7 * height
            length, half = 0.42 * height, 0.03 * width
            for r in range(int(base), min(int(base + 0.1 * height), height)):
                for c in range(max(int(middle - 0.1 * width), 0), min(int(middle + 0.1 * width), width)):
                    frames[n, r, c] = 140
        else:
            middle, base = width / 2, height / 2
            length, half = 0.42 * height, 0.06 * width
        along_r, along_c = -np.cos(states[n, 1]), np.sin(states[n, 1])
        tip_r, tip_c = base + along_r * length, middle + along_c * length
        low_r, high_r = max(int(min(base, tip_r) - half - 1), 0), min(int(max(base, tip_r) + half + 2), height)
        low_c, high_c = max(int(min(middle, tip_c) - half - 1), 0), min(int(max(middle, tip_c) + half + 2), width)
        for r in range(low_r, high_r):
            for c in range(low_c, high_c):
                dr, dc = r + 0.5 - base, c + 0.5 - middle
                t = min(max(dr * along_r + dc * along_c, 0.0), length)
                far = np.sqrt((dr - t * along_r) ** 2 + (dc - t * along_c) ** 2)
                if far < half + 0.5:
                    share = min(half + 0.5 - far, 1.0)
                    frames[n, r, c] = np.uint8(frames[n, r, c] + share * (250.0 - frames[n, r, c]))


class Drawn(World):
    """What both share: a picture of one grey channel as observation, and numbers as ``state``."""

    parts = ("state",)
    cart: bool

    def __init__(self, count: int, size: int, pixels: bool, state: int) -> None:
        super().__init__(count)
        if size < 16:
            raise ValueError(f"pictures must be at least 16 pixels wide, got {size}")
        self.size, self.pixels = size, pixels
        self.dark = np.full(count, 20, np.uint8)
        """The background's grey, (N,)."""
        self.state = np.zeros((count, state), np.float64)

    def shown(self) -> np.ndarray:
        """Place and angle (N, 2) of what is drawn."""
        raise NotImplementedError(f"{type(self).__name__} does not define shown()")

    def truth(self) -> np.ndarray:
        return self.numbers()

    def numbers(self) -> np.ndarray:
        """The observation of who sees the state, (N, D) float32."""
        raise NotImplementedError(f"{type(self).__name__} does not define numbers()")

    def observe(self) -> np.ndarray:
        return self.drawn(self.size) if self.pixels else self.numbers()

    def drawn(self, size: int) -> np.ndarray:
        """Pictures (N, 1, size, size) uint8."""
        frames = np.empty((self.count, size, size), np.uint8)
        _draw(frames, self.shown(), self.cart, self.dark)
        return frames[:, None]

    def picture(self, index: int = 0) -> np.ndarray:
        return self.drawn(128)[index, 0][..., None].repeat(3, -1)


class CartPole(Drawn):
    """A pole on a cart, balanced by pushing left or right: the physics, limits and reward of ``CartPole-v1``.

    Args:
        count: how many environments.
        pixels: whether an agent sees a picture (1, size, size) instead of the four numbers.
        size: side of the picture.
        limit: steps in an episode.
    """

    cart = True
    truths = ("place", "speed", "angle", "turn")

    def __init__(self, count: int = 1, *, pixels: bool = True, size: int = 84, limit: int = 500) -> None:
        super().__init__(count, size, pixels, 4)
        self.name = "pixel-cartpole" if pixels else "cartpole"
        self.limit = limit
        self.spaces = Spaces((1, size, size) if pixels else (4,), 2, discrete=True)

    def begin(self, which: np.ndarray, rng: np.random.Generator) -> None:
        self.state[which] = rng.uniform(-0.05, 0.05, (len(which), 4))

    def move(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        x, speed, angle, turn = self.state.T
        force = np.where(actions == 1, 10.0, -10.0)
        sine, cosine = np.sin(angle), np.cos(angle)
        push = (force + 0.05 * turn**2 * sine) / 1.1
        faster = (9.8 * sine - cosine * push) / (0.5 * (4 / 3 - 0.1 * cosine**2 / 1.1))
        pull = push - 0.05 * faster * cosine / 1.1
        moved = np.stack([x + 0.02 * speed, speed + 0.02 * pull, angle + 0.02 * turn, turn + 0.02 * faster], 1)
        self.state = moved
        fallen = (np.abs(moved[:, 0]) > 2.4) | (np.abs(moved[:, 2]) > 12 * np.pi / 180)
        return np.ones(self.count, np.float32), fallen, None

    def shown(self) -> np.ndarray:
        return self.state[:, [0, 2]]

    def numbers(self) -> np.ndarray:
        return self.state.astype(np.float32)

    def scripted(self, rng: np.random.Generator) -> np.ndarray:
        """Against the fall and back to the middle, by a linear rule."""
        return (self.state @ np.array([0.1, 0.3, 4.0, 1.0]) > 0).astype(np.int64)


class Pendulum(Drawn):
    """A pendulum that is swung up by a torque: the physics, limits and reward of ``Pendulum-v1``.

    Args:
        count: how many environments.
        pixels: whether an agent sees a picture (1, size, size) instead of cosine, sine and speed.
        size: side of the picture.
        limit: steps in an episode.
    """

    cart = False
    truths = ("cosine", "sine", "speed")

    def __init__(self, count: int = 1, *, pixels: bool = True, size: int = 32, limit: int = 200) -> None:
        super().__init__(count, size, pixels, 2)
        self.name = "pixel-pendulum" if pixels else "pendulum"
        self.limit = limit
        self.spaces = Spaces((1, size, size) if pixels else (3,), 1)

    def begin(self, which: np.ndarray, rng: np.random.Generator) -> None:
        self.state[which] = rng.uniform(-1, 1, (len(which), 2)) * [np.pi, 1.0]

    def move(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        angle, speed = self.state.T
        torque = 2.0 * actions[:, 0].astype(np.float64)
        upright = (angle + np.pi) % (2 * np.pi) - np.pi
        cost = upright**2 + 0.1 * speed**2 + 0.001 * torque**2
        speed = np.clip(speed + (15.0 * np.sin(angle) + 3.0 * torque) * 0.05, -8.0, 8.0)
        self.state = np.stack([angle + speed * 0.05, speed], 1)
        return (-cost).astype(np.float32), np.zeros(self.count, bool), None

    def shown(self) -> np.ndarray:
        return np.stack([np.zeros(self.count), self.state[:, 0]], 1)

    def numbers(self) -> np.ndarray:
        angle, speed = self.state.T
        return np.stack([np.cos(angle), np.sin(angle), speed], 1).astype(np.float32)

    def scripted(self, rng: np.random.Generator) -> np.ndarray:
        """Energy in while it hangs, a spring and a brake near the top."""
        angle, speed = self.state.T
        upright = (angle + np.pi) % (2 * np.pi) - np.pi
        energy = speed**2 / 6 + 5 * (np.cos(angle) - 1)  # 0 at rest upright
        swing = np.where(energy < 0, np.where(speed >= 0, 1.0, -1.0), 0.0)
        hold = -(10 * upright + 2 * speed) / 2
        near = (np.abs(upright) < 0.6) & (np.abs(speed) < 3)
        return np.clip(np.where(near, hold, swing), -1, 1)[:, None].astype(np.float32)
