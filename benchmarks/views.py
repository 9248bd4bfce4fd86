"""Random views per second, beside lightly's PIL pipeline: ``python benchmarks/views.py [--json FILE]``.

SimCLR's two views of images that are in memory, with and without blur. All sides start from decoded images
of one size (PIL images for lightly, one uint8 batch here) and end with float32 in [0, 1]; nothing is
normalised, and stacking lightly's views into a batch is not counted. The sides take turns within a round,
and the ratio is the median over the rounds of the ratio within one, so that whatever else the machine does
meets all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from view_peers import simclr_pipeline

from nearfar.vision.views import simclr, two_views

# Side of the images and of the views, images in a batch, images for lightly in one turn.
CASES = ((32, 512, 128), (96, 256, 64), (224, 64, 16))


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(size: int, batch: int, few: int, blur: bool, rounds: int) -> dict[str, object]:
    """Images per second (two views each) of every side, and the ratios to the peer."""
    rng = np.random.default_rng(0)
    arrays = rng.integers(0, 256, (batch, size, size, 3), dtype=np.uint8)
    images = torch.from_numpy(arrays.transpose(0, 3, 1, 2).copy())
    pictures = [Image.fromarray(array) for array in arrays[:few]]
    peer, transform = simclr_pipeline(size, blur)
    recipe, generator = simclr(blur=blur), torch.Generator().manual_seed(0)
    sides: dict[str, tuple[int, Callable[[], object]]] = {
        "peer": (few, lambda: [transform(picture) for picture in pictures]),
        "numba": (batch, lambda: two_views(recipe, recipe, images, generator, backend="numba")),
        "torch": (few, lambda: two_views(recipe, recipe, images[:few], generator, backend="torch")),
    }
    for _, work in sides.values():
        work()
    speeds: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side, (count, work) in sides.items():
            speeds[side].append(count / seconds(work))
    row: dict[str, object] = {"size": size, "blur": blur, "peer_is": peer}
    for side, found in speeds.items():
        row[f"{side}_images_per_second"] = statistics.median(found)
    for side in ("numba", "torch"):
        ratios = [ours / theirs for ours, theirs in zip(speeds[side], speeds["peer"], strict=True)]
        row[f"{side}_ratio"] = statistics.median(ratios)
    return row


def main() -> None:
    """Print the table, and write it where ``--json`` says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    parser.add_argument("--rounds", type=int, default=7, help="turns of every side")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch and of the compiled kernel")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = []
    print(f"threads {arguments.threads}, rounds {arguments.rounds}, images per second with two views each")
    for blur in (False, True):
        for size, batch, few in CASES:
            row = measure(size, batch, few, blur, arguments.rounds)
            if not rows:
                print(f"peer: {row['peer_is']}")
                print("side  blur     peer    numba  ratio    torch  ratio")
            rows.append(row)
            print(
                f"{size:>4} {'yes' if blur else 'no':>5} {row['peer_images_per_second']:>8.0f} "
                f"{row['numba_images_per_second']:>8.0f} {row['numba_ratio']:>5.1f}x "
                f"{row['torch_images_per_second']:>8.0f} {row['torch_ratio']:>5.1f}x",
                flush=True,
            )
    if arguments.json:
        machine = {"machine": platform.machine(), "cores": os.cpu_count(), "torch": torch.__version__}
        arguments.json.write_text(json.dumps({**machine, "threads": arguments.threads, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
