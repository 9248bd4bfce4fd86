"""What a training step costs as images grow and as ranks are added, fitted to few runs and held against others.

    views:    seconds per image = a + b * side^2                 two SimCLR views with blur
    network:  seconds per image = a + b * side^2                 forward and backward of two views in ``small-conv``
    memory:   bytes of a step   = a + b * side^2                 the same for a batch, beyond its views
    ranks:    seconds on one rank = a * rows^2 / ranks + b * rows    NT-Xent shared over ranks, b if several

Two sizes determine the first and the second (for ranks: one and two processes, two sizes each), the rest is prediction.
What ranks add is gathering, adding up and keeping rows that all of them need, whatever their number. Seconds are
the process's own CPU time on one thread, which other work on the machine disturbs least: several ranks may then share
a core. Gloo's own threads count as well.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from measuring import cpu_seconds, free_port, peak_kilobytes
from scipy.optimize import nnls

from nearfar.common.distributed import shared_losses
from nearfar.encoders import image_encoder
from nearfar.losses import nt_xent
from nearfar.training import gather
from nearfar.vision.views import RECIPES

SIDES = (32, 48, 64, 96, 128, 160, 224)
FITTED_SIDES = {"views": (48, 160), "network": (64, 160)}
BATCH = 64
WIDTH = 128
PAIRS = (2048, 4096)
WORLDS = (1, 2, 3, 4)


def views(side: int, repeats: int) -> float:
    images = torch.randint(0, 256, (BATCH, side, side, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    generator = torch.Generator().manual_seed(0)
    return cpu_seconds(lambda: [recipe(images, generator) for recipe in RECIPES["simclr"]], repeats) / BATCH


def network(side: int, repeats: int) -> float:
    encoder = image_encoder("small-conv")
    pixels = torch.rand(2 * BATCH, 3, side, side)
    return cpu_seconds(lambda: encoder(pixels).sum().backward(), repeats) / BATCH


def step_bytes(side: int) -> float:
    """Memory of one forward and backward of the network beyond its views, at the peak of a fresh process."""
    command = [sys.executable, __file__, "--probe", str(side)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def probe(side: int) -> None:
    """Print the bytes that one step takes."""
    torch.set_num_threads(1)
    encoder = image_encoder("small-conv")
    encoder(torch.rand(2, 3, 32, 32)).sum().backward()
    pixels = torch.rand(2 * BATCH, 3, side, side)
    print(peak_kilobytes(lambda: encoder(pixels).sum().backward()) * 1024)


def on_a_rank(rank: int, world: int, port: int, repeats: int, out: str) -> None:
    """CPU time of one rank for every size; rank 0 writes it."""
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=world)
    found = {}
    for pairs in PAIRS:
        own = [torch.randn(pairs // world, WIDTH).requires_grad_() for _ in range(2)]

        def step(own: Sequence[torch.Tensor] = own) -> None:
            with shared_losses():
                nt_xent(*gather(*own), temperature=0.1).backward()

        found[pairs] = cpu_seconds(step, repeats)
    if rank == 0:
        Path(out).write_text(json.dumps(found))
    dist.destroy_process_group()


def ranks(world: int, repeats: int) -> dict[int, float]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "seconds.json"
        mp.spawn(on_a_rank, (world, free_port(), repeats, str(out)), nprocs=world)
        return {int(pairs): seconds for pairs, seconds in json.loads(out.read_text()).items()}


def fit(terms: Sequence[Sequence[float]], seconds: Sequence[float]) -> np.ndarray:
    """Non-negative costs whose relative errors are least."""
    known = np.asarray(seconds)
    return nnls(np.asarray(terms) / known[:, None], np.ones(len(known)))[0]


def compare(what: str, points: dict[str, tuple[list[float], float, bool]], unit: str = "ms") -> dict[str, Any]:
    """Fit the points marked so (in seconds or gigabytes), print all beside the model, and give both."""
    fitted = [(terms, seconds) for terms, seconds, mark in points.values() if mark]
    costs = fit([terms for terms, _ in fitted], [seconds for _, seconds in fitted])
    rows = []
    print(f"\n{what}: costs {', '.join(f'{cost:.3e}' for cost in costs)}")
    for name, (terms, seconds, mark) in points.items():
        model = float(np.dot(terms, costs))
        rows.append({"point": name, "fitted": mark, "measured": seconds, "model": model})
        note = "  fitted" if mark else ""
        print(
            f"{name:<24}{seconds * 1e3:>10.3f} {unit}{model * 1e3:>10.3f} {unit}{seconds / model:>7.2f}{note}",
            flush=True,
        )
    return {"costs": list(costs), "rows": rows}


def main() -> None:
    """Print each model beside what was measured, and write both where ``--json`` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    parser.add_argument("--probe", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.probe:
        probe(options.probe)
        return
    torch.set_num_threads(1)
    os.environ["NUMBA_NUM_THREADS"] = "1"
    models = {}
    for what, work in (("views", views), ("network", network)):
        models[what] = compare(
            what,
            {f"{s} px": ([1.0, float(s * s)], work(s, options.repeats), s in FITTED_SIDES[what]) for s in SIDES},
        )
    needs = {side: step_bytes(side) for side in SIDES}
    models["memory"] = compare(
        "memory",
        {f"{s} px": ([1.0, float(s * s)], needs[s] / 1e9, s in FITTED_SIDES["network"]) for s in SIDES},
        unit="MB",
    )
    points = {}
    for world in WORLDS:
        for pairs, seconds in ranks(world, options.repeats).items():
            rows = 2.0 * pairs
            points[f"{pairs} pairs, {world} ranks"] = ([rows**2 / world, rows * (world > 1)], seconds, world <= 2)
    models["ranks"] = compare("ranks", points)
    if options.json:
        setting = {"machine": platform.machine(), "torch": torch.__version__, "batch": BATCH, "width": WIDTH}
        options.json.write_text(json.dumps({**setting, **models}, indent=2) + "\n")


if __name__ == "__main__":
    main()
