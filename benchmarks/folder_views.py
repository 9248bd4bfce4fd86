"""Views of JPEG files of many sizes, decoding included, beside lightly's: ``python benchmarks/folder_views.py``.

SimCLR's two views, with blur, of generated photographs (noise of every scale, 2 bits per pixel) with the sides that
photographs have: ImageNet's usual ones and those of the web and of cameras. Both read files that the system keeps in
memory. ``decode`` is the part of nearfar's time that no faster view can save, ``PIL decode`` that of the peer's. Sides
take turns, and ratios are medians over the rounds, as in ``benchmarks/views.py``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from view_peers import import_lightly, simclr_pipeline
from views import seconds

with contextlib.suppress(ImportError):  # before Lightning, which stumbles over a torchvision without its operators
    import_lightly()

from nearfar.vision.data import ImageFolder
from nearfar.vision.method import random_view
from nearfar.vision.views import simclr

# Height and width of the files in each folder.
FOLDERS = {
    "ImageNet": ((375, 500), (500, 375), (333, 500), (500, 333), (375, 500), (500, 500)),
    "web": ((375, 500), (768, 1024), (1024, 768), (683, 1024), (1200, 1600), (600, 800)),
    "camera": ((3000, 4000), (4000, 3000)),
}
COPIES = {"ImageNet": 4, "web": 4, "camera": 3}


def photograph(rng: np.random.Generator, height: int, width: int) -> Image.Image:
    """Noise whose strength falls with its frequency, as that of photographs does."""
    total = np.zeros((height, width, 3), np.float32)
    for octave in range(9):
        rows, columns = max(height >> octave, 2), max(width >> octave, 2)
        coarse = rng.standard_normal((rows, columns, 3), np.float32)
        coarse += 2 * coarse.mean(2, keepdims=True)
        total += 1.25**octave * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    total = (total - total.mean()) / total.std()
    return Image.fromarray(np.clip(128 + 60 * total, 0, 255).astype(np.uint8))


def write(root: Path, name: str) -> int:
    """Fill a folder; the mean size of its files in bytes."""
    rng = np.random.default_rng(0)
    for number, (height, width) in enumerate(FOLDERS[name] * COPIES[name]):
        photograph(rng, height, width).save(root / f"{number:03}.jpg", quality=85)
    return sum(file.stat().st_size for file in root.iterdir()) // (len(FOLDERS[name]) * COPIES[name])


def measure(name: str, size: int, rounds: int) -> dict[str, object]:
    """Images per second (two views each) of every side, and the ratio to the peer."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        row: dict[str, object] = {"folder": name, "size": size, "bytes": write(root, name)}
        data, files = ImageFolder(root, size), sorted(root.iterdir())
        rows, generator, recipe = np.arange(len(data)), torch.Generator().manual_seed(0), simclr()
        row["peer_is"], transform = simclr_pipeline(size, True)

        def decoded() -> list[Image.Image]:
            return [Image.open(file).convert("RGB") for file in files]

        def ours() -> object:
            batch = data.training_batch(rows)
            return [random_view(recipe, batch, generator) for _ in range(2)]

        sides: dict[str, Callable[[], object]] = {
            "peer": lambda: [transform(picture) for picture in decoded()],
            "peer_decode": decoded,
            "nearfar": ours,
            "nearfar_decode": lambda: data.training_batch(rows),
        }
        speeds: dict[str, list[float]] = {side: [] for side in sides}
        for turn in range(rounds + 1):  # the first is a rehearsal
            for side, work in sides.items():
                found = len(files) / seconds(work)
                if turn:
                    speeds[side].append(found)
        row |= {f"{side}_images_per_second": statistics.median(found) for side, found in speeds.items()}
        row["ratio"] = statistics.median(a / b for a, b in zip(speeds["nearfar"], speeds["peer"], strict=True))
        return row


def main() -> None:
    """Print the table, and write it where ``--json`` says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    parser.add_argument("--rounds", type=int, default=5, help="turns of every side")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch, decoding and the compiled kernel")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(1)
    rows = []
    for name in FOLDERS:
        for size in (224, 96):
            row = measure(name, size, arguments.rounds)
            if not rows:
                print(f"peer: {row['peer_is']}; threads {arguments.threads}; images per second with two views each")
                print("folder     size  kB/file      peer  nearfar  ratio  PIL decode  decode")
            rows.append(row)
            print(
                f"{name:<10} {size:>4} {row['bytes'] / 1000:>8.0f} {row['peer_images_per_second']:>9.0f} "  # type: ignore[operator]
                f"{row['nearfar_images_per_second']:>8.0f} {row['ratio']:>5.1f}x "
                f"{row['peer_decode_images_per_second']:>11.0f} {row['nearfar_decode_images_per_second']:>7.0f}",
                flush=True,
            )
    if arguments.json:
        machine = {"machine": platform.machine(), "cores": os.cpu_count(), "torch": torch.__version__}
        arguments.json.write_text(json.dumps({**machine, "threads": arguments.threads, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
