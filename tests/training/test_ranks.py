"""Two processes with batch B give the parameter gradient of one process with batch 2B, for every loss."""

from __future__ import annotations

import math
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

from nearfar import losses
from nearfar.training import gather
from nearfar.training.run import read_metrics

pytestmark = pytest.mark.ranks

WORLD, ROWS, DIM = 2, 12, 6


def _info_nce_queue(z: list[Tensor]) -> Tensor:
    queue = torch.randn(20, DIM, generator=torch.Generator().manual_seed(5), dtype=z[0].dtype)
    return losses.info_nce(z[0], z[1], temperature=0.3, negatives=queue, in_batch=False)


def _supervised(z: list[Tensor]) -> Tensor:
    return losses.supcon(torch.cat(z[:2]), torch.arange(2 * len(z[0])) % 5, temperature=0.2)


def _swapped_prediction(z: list[Tensor]) -> Tensor:
    codes = [losses.sinkhorn(x, epsilon=0.5) for x in z[:2]]
    return losses.swapped_prediction(z, codes, temperature=0.3)


def _sum(terms: dict[str, Tensor]) -> Tensor:
    return torch.stack([*terms.values()]).sum()


CASES: dict[str, Callable[[list[Tensor]], Tensor]] = {
    "info_nce": lambda z: losses.info_nce(z[0], z[1], temperature=0.3),
    "info_nce with a queue": _info_nce_queue,
    "info_nce with hard negatives": lambda z: losses.info_nce(
        z[0], z[1], temperature=0.3, hard_negatives=z[2], hard_negative_bias=0.5
    ),
    "symmetric_info_nce": lambda z: losses.symmetric_info_nce(z[0], z[1], temperature=0.3),
    "nt_xent": lambda z: losses.nt_xent(z[0], z[1], temperature=0.3),
    "grace": lambda z: losses.grace(z[0], z[1], temperature=0.4),
    "negative_cosine": lambda z: losses.negative_cosine(z[0], z[1]),
    "byol_regression": lambda z: losses.byol_regression(*z),
    "supcon": _supervised,
    "barlow_twins": lambda z: losses.barlow_twins(z[0], z[1], lambd=0.01),
    "vicreg": lambda z: _sum(losses.vicreg(z[0], z[1])),
    "sigmoid_pair_loss": lambda z: losses.sigmoid_pair_loss(z[0], z[1], temperature=0.3, bias=-1.0),
    "swapped_prediction": _swapped_prediction,
    **{
        f"relic {mode}": lambda z, mode=mode: _sum(  # type: ignore[misc]
            losses.relic(*z, temperature=0.3, alpha=2.0, kl_mode=mode)
        )
        for mode in ("full", "sg_entropy", "sg_target")
    },
}


def _model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 10), nn.Tanh(), nn.Linear(10, DIM)).double()


def _inputs() -> Tensor:
    return torch.randn(4, WORLD * ROWS, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def _gradient(name: str, inputs: Tensor) -> Tensor:
    model = _model()
    views = [*gather(*(model(x) for x in inputs))]
    CASES[name](views).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def _worker(rank: int, port: int, out: str) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=WORLD)
    mine = _inputs()[:, rank * ROWS : (rank + 1) * ROWS]
    found = {}
    for name in CASES:
        gradient = _gradient(name, mine)
        dist.all_reduce(gradient)
        found[name] = gradient / WORLD  # what DistributedDataParallel does
    if rank == 0:
        torch.save(found, out)
    dist.destroy_process_group()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def on_two_ranks(tmp_path_factory) -> dict[str, Tensor]:
    out = tmp_path_factory.mktemp("ranks") / "gradients.pt"
    mp.spawn(_worker, (free_port(), str(out)), nprocs=WORLD)
    return torch.load(Path(out), weights_only=True)


@pytest.mark.parametrize("name", CASES)
def test_two_ranks_give_the_gradient_of_one(name: str, on_two_ranks: dict[str, Tensor]) -> None:
    expected = _gradient(name, _inputs())
    error = (on_two_ranks[name] - expected).norm() / expected.norm()
    assert expected.norm() > 1e-6
    assert error < 1e-5, f"relative error {error:.2e}"


def test_every_loss_of_embeddings_is_tested_here() -> None:
    elsewhere = {"feature_distance", "relic_kl", "relic_multicrop", "sinkhorn"}
    covered = {name.split()[0] for name in CASES}
    assert set(losses.__all__) - elsewhere == covered


def test_the_same_command_trains_on_two_processes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(WORLD)]
    command += ["--master-port", str(free_port()), "-m", "nearfar", "train", "simclr", "--out", str(tmp_path / "run")]
    command += ["--steps", "4", "--batch-size", "32", "--size", "16", "--projection-hidden", "16"]
    found = subprocess.run(
        command, capture_output=True, text=True, timeout=180, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert found.returncode == 0, found.stderr[-2000:]
    assert found.stderr.count("step 4/4") == 1  # one process speaks
    assert (tmp_path / "run" / "encoder.safetensors").is_file()
    losses_seen = [row["train/loss"] for row in read_metrics(tmp_path / "run" / "metrics.csv") if "train/loss" in row]
    assert losses_seen
    assert all(math.isfinite(loss) for loss in losses_seen)
