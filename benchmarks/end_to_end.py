"""SimCLR from images to an encoder, beside the same recipe in lightly: ``python benchmarks/end_to_end.py``.

Both sides train the same network with the same optimiser, batch, number of loader workers and epochs on the same
images. The peer is lightly's own recipe: its transforms and its loss in a plain PyTorch loop in float32. What is not
installed is replaced by a stand-in that is not slower, and the result says so. Seconds of evaluation are not counted.

Four figures: images per second; the share of the floor (steps of the same network on fixed views in the same
precision, taken in turns with ours step by step, so that other work on the machine meets both); kNN accuracy after
equal epochs; and the seconds until the accuracy that every seed of the peer ends with or above. Times are given twice:
by the clock and as processor time, which other work on the machine stretches less.

With ``NEARFAR_DATA`` set to a folder that holds ``cifar10`` the images are CIFAR-10's, otherwise the embedded digits.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from view_peers import simclr_pipeline

# First of all: Lightning imports a torchvision that is there, and fails where its operators do not load.
PEER, TRANSFORM = simclr_pipeline(32, blur=False)

# isort: split
import lightning as L  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from peers import lightly_nt_xent  # noqa: E402
from PIL import Image  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.utils.data import DataLoader, Dataset  # noqa: E402

from nearfar.evaluation import knn  # noqa: E402
from nearfar.training import Data, Optimization, Training, embed, fit  # noqa: E402
from nearfar.training.acceleration import Precision, chosen_precision, in_precision  # noqa: E402
from nearfar.vision.data import load  # noqa: E402
from nearfar.vision.data.arrays import ImageArray  # noqa: E402
from nearfar.vision.methods.simclr import SimCLR  # noqa: E402
from nearfar.vision.views import simclr  # noqa: E402

BATCH, TEMPERATURE, HIDDEN = 256, 0.5, 512
SGD = Optimization("sgd", lr=0.06, weight_decay=5e-4, schedule="constant", decay_all=True)


def images(count: int) -> tuple[Data, Data]:
    """Training and test images (side 32)."""
    folder = Path(os.environ.get("NEARFAR_DATA", "")) / "cifar10"
    if not (folder / "train_x.webp").is_file():
        digits = load("styled-digits", size=32)
        parts = [digits.subset(part) for part in np.array_split(np.random.default_rng(0).permutation(len(digits)), 2)]
        arrays = [part.batch(np.arange(len(part))).images for part in parts]
        train, test = (
            ImageArray((a[:, 0] if a.ndim == 5 else a).permute(0, 2, 3, 1).numpy(), part.labels, name="styled digits")
            for a, part in zip(arrays, parts, strict=True)
        )
        return train.subset(np.arange(min(count, len(train)))), test
    labels = np.load(folder / "labels.npz")
    found = []
    for split in ("train", "test"):
        sprite = np.asarray(Image.open(folder / f"{split}_x.webp").convert("RGB"))
        tiles = sprite.reshape(len(sprite) // 32, 32, 100, 32, 3).swapaxes(1, 2).reshape(-1, 32, 32, 3)
        found.append((tiles, labels[f"{split}_y"][: len(tiles)]))
    (x, y), (test_x, test_y) = found
    return ImageArray(x[:count], y[:count], name="cifar10"), ImageArray(test_x, test_y, name="cifar10 test")


def build(encoder: str, seed: int) -> SimCLR:
    """The same initial weights on both sides."""
    torch.manual_seed(seed)
    recipe = simclr(blur=False)
    pair: Any = [recipe, recipe]
    return SimCLR(encoder, projection_hidden=HIDDEN, temperature=TEMPERATURE, views=pair, optimization=SGD)


def processor_seconds() -> float:
    """Of this process and of workers that have ended."""
    own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


class Watch:
    """Measures after every epoch and stops the clocks meanwhile."""

    def __init__(self, method: SimCLR, train: Data, test: Data) -> None:
        self.method, self.train, self.test = method, train, test
        self.curve: list[dict[str, float]] = []
        self.wall = self.cpu = 0.0
        self.start()

    def start(self) -> None:
        self._since = time.perf_counter(), processor_seconds()

    def stop(self) -> None:
        self.wall += time.perf_counter() - self._since[0]
        self.cpu += processor_seconds() - self._since[1]

    def epoch(self) -> None:
        self.stop()
        bank, queries = embed(self.method, self.train), embed(self.method, self.test)
        accuracy = knn(bank.array, self.train.labels, queries.array, self.test.labels, k=200, temperature=0.1)
        self.curve.append({"wall": self.wall, "cpu": self.cpu, "knn": float(accuracy)})
        self.start()


class Epochs(L.Callback):
    """Tells the watch of every epoch."""

    def __init__(self, watch: Watch, steps: int) -> None:
        self.watch, self.steps = watch, steps

    def on_train_start(self, *_: Any) -> None:
        self.watch.start()

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step % self.steps == 0:
            self.watch.epoch()


def ours(encoder: str, train: Data, test: Data, epochs: int, workers: int, seed: int) -> list[dict]:
    """The library's defaults."""
    method = build(encoder, seed)
    watch = Watch(method, train, test)
    settings = Training(epochs=epochs, batch_size=BATCH, workers=workers, seed=seed, monitor_every=-1)
    fit(method, train, settings, progress=False, callbacks=[Epochs(watch, len(train) // BATCH)])
    return watch.curve


class Pairs(Dataset[Any]):
    """Two views of each image, made where the loader runs."""

    def __init__(self, pictures: list[Image.Image], transform: Callable[[Image.Image], Any]) -> None:
        self.pictures, self.transform = pictures, transform

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        first, second = self.transform(self.pictures[index])
        return first, second


def theirs(encoder: str, train: Data, test: Data, epochs: int, workers: int, seed: int) -> list[dict]:
    """lightly's recipe: its transforms in a loader, its loss, a plain loop."""
    method = build(encoder, seed)
    method.train()
    arrays = train.batch(np.arange(len(train))).images.permute(0, 2, 3, 1).numpy()
    pairs = Pairs([Image.fromarray(array) for array in arrays], TRANSFORM)
    loader = DataLoader(pairs, BATCH, shuffle=True, drop_last=True, num_workers=workers)
    loss_of = lightly_nt_xent() or plain_nt_xent
    optimizer = torch.optim.SGD(method.parameters(), lr=SGD.lr, momentum=SGD.momentum, weight_decay=SGD.weight_decay)
    watch = Watch(method, train, test)
    for _ in range(epochs):
        for first, second in loader:
            loss = loss_of(method.network(first), method.network(second), TEMPERATURE)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        watch.epoch()
    return watch.curve


def plain_nt_xent(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """The stand-in for the peer's loss: the whole matrix and a cross-entropy."""
    z = torch.nn.functional.normalize(torch.cat([a, b]), dim=1)
    logits = (z @ z.T / temperature).fill_diagonal_(float("-inf"))
    return torch.nn.functional.cross_entropy(logits, torch.arange(len(z)).roll(len(a)))


class Floor(L.Callback):
    """After each of our steps, one of the same network, optimiser and loss on fixed views."""

    def __init__(self, encoder: str, precision: Precision) -> None:
        self.method = build(encoder, 0).train()
        views = (torch.rand(BATCH, 3, 32, 32).contiguous(memory_format=torch.channels_last) for _ in range(2))
        self.views = next(views), next(views)
        self.optimizer = torch.optim.SGD(self.method.parameters(), lr=SGD.lr, momentum=SGD.momentum, fused=True)
        self.precision: Precision = precision
        self.ours: list[tuple[float, float]] = []
        self.floor: list[tuple[float, float]] = []
        self._since = self.now()

    def now(self) -> tuple[float, float]:
        return time.perf_counter(), time.process_time()

    def on_train_batch_end(self, *_: Any) -> None:
        start = self.now()
        with in_precision(self.method, self.precision):
            loss = self.method.loss(self.views)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        end = self.now()
        self.ours.append((start[0] - self._since[0], start[1] - self._since[1]))
        self.floor.append((end[0] - start[0], end[1] - start[1]))
        self._since = end


def share_of_floor(encoder: str, train: Data, steps: int) -> dict[str, Any]:
    """Medians over steps of floor / ours."""
    method = build(encoder, 0)
    precision = chosen_precision("auto", method)
    floor = Floor(encoder, precision)
    settings = Training(steps=steps, batch_size=BATCH, monitor_every=-1)
    fit(method, train, settings, progress=False, callbacks=[floor])
    pairs = list(zip(floor.floor, floor.ours, strict=True))[5:]  # the first ones load and warm up
    return {
        "precision": precision,
        "step_seconds": statistics.median(own[0] for _, own in pairs),
        "floor_seconds": statistics.median(least[0] for least, _ in pairs),
        "wall": statistics.median(least[0] / own[0] for least, own in pairs),
        "cpu": statistics.median(least[1] / own[1] for least, own in pairs),
    }


def until(curve: list[dict], accuracy: float, clock: str) -> float | None:
    """Seconds until the accuracy was first reached, or ``None``."""
    return next((point[clock] for point in curve if point["knn"] >= accuracy), None)


def spread(values: list[float]) -> dict[str, float]:
    return {"mean": statistics.mean(values), "std": statistics.stdev(values) if len(values) > 1 else 0.0}


def main() -> None:
    """Print the figures, and write them where ``--json`` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--encoder", default="small-conv")
    parser.add_argument("--images", type=int, default=5120)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=0, help="loader processes on both sides")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--floor-steps", type=int, default=60)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    train, test = images(given.images)
    names = {"transforms": PEER, "loss": "lightly" if lightly_nt_xent() else "plain formula"}
    print(f"{len(train)} images of {train.name}, {given.encoder}, {given.epochs} epochs; peer: {names}", flush=True)
    ours(given.encoder, train.subset(np.arange(BATCH)), test, 1, 0, 0)  # compiles the views
    floor = share_of_floor(given.encoder, train, given.floor_steps)
    print(f"floor: {floor['wall']:.2f} of it by the clock, {floor['cpu']:.2f} in processor time", flush=True)
    curves: dict[str, list[list[dict]]] = {"nearfar": [], "peer": []}
    for seed in range(given.seeds):
        for name, side in (("nearfar", ours), ("peer", theirs)):
            curve = side(given.encoder, train, test, given.epochs, given.workers, seed)
            curves[name].append(curve)
            print(f"seed {seed} {name:<8}", *(f"{p['wall']:.1f}s:{p['knn']:.3f}" for p in curve), flush=True)
    seen = given.epochs * (len(train) // BATCH) * BATCH
    result: dict[str, Any] = {"floor": floor, "knn": {}, "images_per_second": {}}
    for name, found in curves.items():
        result["knn"][name] = spread([curve[-1]["knn"] for curve in found])
        for clock in ("wall", "cpu"):
            result["images_per_second"].setdefault(clock, {})[name] = statistics.median(
                seen / curve[-1][clock] for curve in found
            )
    goal = min(curve[-1]["knn"] for curve in curves["peer"])
    result["goal"] = goal
    for clock in ("wall", "cpu"):
        speed = result["images_per_second"][clock]
        speed["ratio"] = statistics.median(
            b[-1][clock] / a[-1][clock] for a, b in zip(curves["nearfar"], curves["peer"], strict=True)
        )
        result[f"{clock}_seconds_to_goal"] = {
            name: [until(curve, goal, clock) for curve in found] for name, found in curves.items()
        }
    print(json.dumps(result, indent=2))
    if given.json:
        machine = {"machine": platform.machine(), "cores": os.cpu_count(), "torch": torch.__version__}
        settings = {k: v for k, v in vars(given).items() if k != "json"}
        everything = {**machine, **settings, "data": train.name, "peer": names, **result, "curves": curves}
        given.json.write_text(json.dumps(everything, indent=2) + "\n")


if __name__ == "__main__":
    main()
