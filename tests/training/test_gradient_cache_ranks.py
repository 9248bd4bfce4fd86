"""The gradient cache on two processes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from nearfar.training import Method
from nearfar.training.gradient_cache import in_chunks
from nearfar.vision.methods.simclr import SimCLR
from tests.ranks import on_ranks


def build() -> Method:
    torch.manual_seed(0)
    method = SimCLR("small-conv-gn", projection_hidden=16, projection_dim=8)
    method.head = nn.Linear(128, 8)
    return method.double()


def views() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    first, second = torch.rand(2, 8, 3, 16, 16, generator=generator, dtype=torch.float64)
    return first, second


def _gradients(rank: int, out: str) -> None:
    method = build()
    mine = tuple(view[rank * 4 : rank * 4 + 4] for view in views())
    parallel = nn.parallel.DistributedDataParallel(_Loss(method))
    with in_chunks(method, 3):
        parallel(mine).backward()
    if rank == 0:
        torch.save({name: p.grad for name, p in method.named_parameters() if p.grad is not None}, out)


class _Loss(nn.Module):
    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, views: object) -> Tensor:
        return self.method.loss(views)


@pytest.mark.ranks
def test_two_ranks_in_chunks_are_one_process_in_one_pass(tmp_path) -> None:
    out = tmp_path / "gradients.pt"
    on_ranks(2, _gradients, str(out))
    method = build()
    method.loss(views()).backward()
    expected = {name: p.grad for name, p in method.named_parameters() if p.grad is not None}
    found = torch.load(out)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.allclose(found[name], value, rtol=1e-9, atol=1e-12), name
