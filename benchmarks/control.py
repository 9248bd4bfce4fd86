"""Agents' worlds and replay against what people would use otherwise: steps, frames and bytes, on one thread."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nearfar.control.data import Replay, Sampling
from nearfar.control.pixel_sac import PixelEncoder
from nearfar.control.spaces import Spaces
from nearfar.control.worlds import CartPole, PointMaze
from nearfar.control.worlds.mazes import walls


def rate(work: Callable[[], Any], count: int, repeats: int = 5) -> float:
    """``count`` things a second of processor time, the best of ``repeats``; the first call does not count."""
    work()
    found = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return count / min(found)


def one_by_one(steps: int) -> None:
    """The maze as one environment in plain Python."""
    solid = walls("rooms")
    rng = np.random.default_rng(0)
    x, y = 1.5, 1.5
    height, width = solid.shape
    for action in rng.uniform(-1, 1, (steps, 2)).tolist():
        for _ in range(10):
            further = x + action[0] / 10
            if 0 <= further < height and not solid[int(further), int(y)]:
                x = further
            further = y + action[1] / 10
            if 0 <= further < width and not solid[int(x), int(further)]:
                y = further


def maze() -> dict[str, float]:
    where, rng = PointMaze("rooms", 1000), np.random.default_rng(0)
    where.reset(rng)
    actions = where.random(rng)
    ours = rate(lambda: [where.step(actions, rng) for _ in range(50)], 50_000)
    return {"steps a second": ours, "one by one": rate(lambda: one_by_one(2000), 2000)}


def frames() -> dict[str, float]:
    where = CartPole(256, size=84)
    where.reset(np.random.default_rng(0))
    found = {"frames a second": rate(where.observe, 256)}
    try:
        import cv2
        import gymnasium
    except ImportError:
        return found
    env = gymnasium.make("CartPole-v1", render_mode="rgb_array")
    env.reset(seed=0)

    def drawn() -> None:
        for _ in range(50):
            grey = cv2.cvtColor(np.asarray(env.render()), cv2.COLOR_RGB2GRAY)
            cv2.resize(grey, (84, 84), interpolation=cv2.INTER_AREA)

    return {**found, "gymnasium, grey, resized": rate(drawn, 50)}


def replay() -> dict[str, float]:
    """A replay of 20,000 steps of 84 by 84, four frames stacked, against both stacks kept whole."""
    spaces = Spaces((1, 84, 84), 2, discrete=True)
    kept = Replay(spaces, 4, 5000)
    kept.begin(np.zeros((4, 1, 84, 84), np.uint8))
    for step in range(4999):
        over = np.full(4, step % 200 == 199)
        kept.add(np.zeros(4, int), np.zeros(4), over, over, np.full((4, 1, 84, 84), step % 255, np.uint8))
    rng = np.random.default_rng(0)
    stacks = np.full((4000, 4, 84, 84), 1, np.uint8)  # written, or all of it would be one page of zeros

    def whole() -> None:
        rows = rng.integers(3999, size=128)
        torch.from_numpy(stacks[rows]), torch.from_numpy(stacks[rows + 1])

    return {
        "bytes a step": kept.observations.nbytes / 20_000,
        "bytes a step, both stacks kept": 2 * 4 * 84 * 84,
        "batches of 128 a second": rate(lambda: kept.sample(rng, 128, Sampling(stack=4)), 1),
        "batches of 128 a second, of stacks": rate(whole, 1),
    }


def encoder() -> dict[str, float]:
    """CURL's encoder, 84 by 84 by 9, batch 64, forward and backward."""
    net = PixelEncoder((9, 84, 84))
    pixels = torch.randint(255, (64, 9, 84, 84), dtype=torch.uint8)
    plain = torch.nn.Sequential(net.convolutions, torch.nn.Flatten(), net.head)

    def train(forward: Callable[[torch.Tensor], torch.Tensor], shown: torch.Tensor) -> None:
        forward(shown).square().mean().backward()

    return {
        "updates a second": rate(lambda: train(net, pixels), 1, 3),
        "updates a second, channels first": rate(lambda: train(plain, pixels.float() / 255), 1, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = {work.__name__: work() for work in (maze, frames, replay, encoder)}
    for name, numbers in found.items():
        for what, value in numbers.items():
            print(f"{name:<8} {what:<36} {value:>14,.1f}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
