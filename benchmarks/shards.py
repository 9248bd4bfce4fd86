"""What packing pictures into shards is worth, and what reading them costs: ``python benchmarks/shards.py``.

Two questions, each with both sides in turns in one run:

* SimCLR's two views of camera-size JPEG files at 96 and 224 px: lightly's way (PIL and its transforms, a picture at a
  time, from the folder), nearfar from the folder, and nearfar from what ``nearfar data pack --size 256`` made of it.
  Ratios are medians over the rounds; packing itself is timed beside them, with the disk that it takes.
* SimCLR's training steps at 96 px from packed shards and from the same pictures in memory, in turns step by step,
  with the same network and batch; the cost is the median over steps of their ratio.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from folder_views import photograph
from PIL import Image
from view_peers import import_lightly, simclr_pipeline
from views import seconds

with contextlib.suppress(ImportError):  # before Lightning, which stumbles over a torchvision without its operators
    import_lightly()

from nearfar.training import Data
from nearfar.training.acceleration import chosen_precision, in_precision
from nearfar.vision.data import ImageArray, load
from nearfar.vision.method import ImageBatch, random_view
from nearfar.vision.methods.simclr import SimCLR
from nearfar.vision.packing import pack
from nearfar.vision.views import simclr

CAMERA = ((3000, 4000), (4000, 3000))
TARGET_VIEWS, TARGET_COST = 8, 0.10


def views(root: Path, shards: Path, size: int, rounds: int) -> dict[str, Any]:
    """Images per second, two views each, of every side."""
    files = sorted(root.iterdir())
    generator, recipe = torch.Generator().manual_seed(0), simclr()
    peer, transform = simclr_pipeline(size, True)
    sources = {"folder": load(root, size=size), "shards": load(shards, size=size)}

    def ours(data: Data) -> object:
        batch = data.training_batch(np.arange(len(data)))
        return [random_view(recipe, batch, generator) for _ in range(2)]

    speeds: dict[str, list[float]] = {"peer": [], "folder": [], "shards": []}
    for turn in range(rounds + 1):  # the first is a rehearsal
        for side, found in speeds.items():
            if side == "peer":
                spent = seconds(lambda: [transform(Image.open(file).convert("RGB")) for file in files])
            else:
                spent = seconds(lambda side=side: ours(sources[side]))  # type: ignore[misc]
            if turn:
                found.append(len(files) / spent)
    return {
        "size": size,
        "peer_is": peer,
        **{f"{side}_images_per_second": statistics.median(found) for side, found in speeds.items()},
        **{
            f"{side}_ratio": statistics.median(a / b for a, b in zip(speeds[side], speeds["peer"], strict=True))
            for side in ("folder", "shards")
        },
    }


def steps(shards: Path, encoder: str, size: int, batch: int, count: int) -> dict[str, Any]:
    """Seconds of a training step from shards and from the same pictures in memory, in turns."""
    packed = load(shards, size=size)
    rows = np.arange(len(packed))
    held = ImageArray(packed.batch(rows).images.permute(0, 2, 3, 1).numpy())
    method = SimCLR(encoder)
    method.train()
    optimizer = torch.optim.SGD(method.parameters(), lr=0.01, momentum=0.9, fused=True)
    precision = chosen_precision("auto", method)
    order = np.random.default_rng(0)

    def step(data: Data, chosen: np.ndarray) -> tuple[float, float, float]:
        start, cpu = time.perf_counter(), time.process_time()
        found: ImageBatch = data.training_batch(chosen)
        read = time.process_time() - cpu
        method.generator.manual_seed(0)
        with in_precision(method, precision):
            loss = method.loss(method.views(found))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return time.perf_counter() - start, time.process_time() - cpu, read

    spent: dict[str, list[tuple[float, float, float]]] = {"memory": [], "shards": []}
    for turn in range(count + 2):  # the first two warm up
        chosen = order.choice(rows, batch, replace=False)
        for side, data in (("memory", held), ("shards", packed)):
            found = step(data, chosen)
            if turn >= 2:
                spent[side].append(found)
    pairs = list(zip(spent["shards"], spent["memory"], strict=True))
    return {
        "encoder": encoder,
        "size": size,
        "batch": batch,
        "precision": precision,
        "memory_seconds": statistics.median(b[1] for _, b in pairs),
        "shards_seconds": statistics.median(a[1] for a, _ in pairs),
        "reading_seconds": statistics.median(a[2] for a, _ in pairs),
        "cost": statistics.median(a[1] / b[1] - 1 for a, b in pairs),
        "cost_by_the_clock": statistics.median(a[0] / b[0] - 1 for a, b in pairs),
    }


def main() -> None:
    """Print the figures, and write them where ``--json`` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--pictures", type=int, default=12, help="camera-size files")
    parser.add_argument("--rounds", type=int, default=3, help="turns of every side")
    parser.add_argument("--steps", type=int, default=8, help="training steps of either side")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--encoders", nargs="*", default=["small-conv", "resnet18"])
    given = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "photos").mkdir()
        rng = np.random.default_rng(0)
        for number in range(given.pictures):
            photograph(rng, *CAMERA[number % 2]).save(root / "photos" / f"{number:03}.jpg", quality=85)
        start = time.process_time()
        found = pack(load(root / "photos"), root / "shards", size=256)
        packing = {
            "pictures": found.pictures,
            "seconds_a_picture": (time.process_time() - start) / found.pictures,
            "bytes_a_picture": found.bytes / found.pictures,
            "bytes_a_picture_before": found.before / found.pictures,
            "disk": found.bytes / found.before,
        }
        print("packing", packing, flush=True)
        rows = []
        for size in (96, 224):
            rows.append(views(root / "photos", root / "shards", size, given.rounds))
            print("views", rows[-1], flush=True)
        (root / "many").mkdir()
        for number in range(given.batch * 2):
            photograph(rng, 256, 341).save(root / "many" / f"{number:04}.jpg", quality=90)
        trained = []
        for side in (128, 256):
            pack(load(root / "many"), root / f"many-{side}", size=side)
            for encoder in given.encoders:
                row = steps(root / f"many-{side}", encoder, 96, given.batch, given.steps)
                trained.append({"packed_at": side, **row})
                print("steps", trained[-1], flush=True)
    if given.json:
        machine = {"machine": platform.machine(), "cores": os.cpu_count(), "torch": torch.__version__}
        everything = {**machine, "packing": packing, "views": rows, "steps": trained}
        given.json.write_text(json.dumps(everything, indent=2) + "\n")


if __name__ == "__main__":
    main()
