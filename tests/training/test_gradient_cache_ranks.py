"""The gradient cache on two processes."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

from nearfar.training import Method
from nearfar.training.gradient_cache import in_chunks
from nearfar.vision.methods.simclr import SimCLR
from tests.training.test_ranks import free_port


def build() -> Method:
    torch.manual_seed(0)
    method = SimCLR("small-conv-gn", projection_hidden=16, projection_dim=8)
    method.head = nn.Linear(128, 8)
    return method.double()


def views() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    first, second = torch.rand(2, 8, 3, 16, 16, generator=generator, dtype=torch.float64)
    return first, second


def _rank(rank: int, port: int, out: str) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2, timeout=timedelta(seconds=60))
    method = build()
    mine = tuple(view[rank * 4 : rank * 4 + 4] for view in views())
    parallel = nn.parallel.DistributedDataParallel(_Loss(method))
    with in_chunks(method, 3):
        parallel(mine).backward()
    if rank == 0:
        torch.save({name: p.grad for name, p in method.named_parameters() if p.grad is not None}, out)
    dist.barrier()  # the first rank keeps the meeting point of both, and must not leave before the other
    dist.destroy_process_group()


class _Loss(nn.Module):
    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, views: object) -> Tensor:
        return self.method.loss(views)


@pytest.mark.ranks
def test_two_ranks_in_chunks_are_one_process_in_one_pass(tmp_path) -> None:
    out = tmp_path / "gradients.pt"
    mp.spawn(_rank, (free_port(), str(out)), nprocs=2)
    method = build()
    method.loss(views()).backward()
    expected = {name: p.grad for name, p in method.named_parameters() if p.grad is not None}
    found = torch.load(out)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.allclose(found[name], value, rtol=1e-9, atol=1e-12), name
