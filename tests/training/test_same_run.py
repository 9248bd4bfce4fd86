"""A run on several processes is the run of one: draws, dropout, batch norm, and what cannot be shared."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.common import distributed
from nearfar.common.joint_dropout import JointDropout
from nearfar.common.joint_norm import joint
from nearfar.common.share import Share, for_examples, sharing_draws
from nearfar.training import Training
from nearfar.training.gradient_cache import overridden
from nearfar.training.ranks import RanksWarning, share_draws
from tests.ranks import on_ranks
from tests.toy import Toy, Vectors
from tests.training.same_run import EXACT, apart, on_processes

# One of each kind of thing that is random; the whole table is measured by ``python -m soak ranks``.
NAMES = ["simclr, batch norm", "moco, batch norm", "simcse, dropout", f"byol, batch norm{EXACT}"]


@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("blocks", [1, 3])
@pytest.mark.parametrize("ranks", [2, 3])
def test_the_draws_of_all_processes_are_those_of_one(ranks: int, blocks: int, dim: int) -> None:
    def drawn(rank: int | None) -> Tensor:
        generator = torch.Generator().manual_seed(5)
        count = 12 * blocks // (1 if rank is None else ranks)
        shape = (lambda n: (n, 4)) if dim == 0 else (lambda n: (4, n))
        with sharing_draws(None if rank is None else Share(rank, ranks, 12 // ranks)):
            return for_examples(lambda n: torch.rand(shape(n), generator=generator), count, dim=dim)

    whole = drawn(None).unflatten(dim, (blocks, 12))
    parts = [drawn(rank).unflatten(dim, (blocks, 12 // ranks)) for rank in range(ranks)]
    assert torch.equal(torch.cat(parts, dim + 1), whole)


@pytest.mark.parametrize(
    "drop",
    [
        lambda x: F.dropout(x, 0.3),
        lambda x: nn.Dropout(0.3)(x),
        lambda x: torch.dropout(x, 0.3, True),
        lambda x: F.dropout2d(x, 0.3),
        lambda x: F.dropout(x.clone(), 0.3, inplace=True),
        lambda x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.3),
        lambda x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.3, is_causal=True),
        lambda x: F.scaled_dot_product_attention(x, x, x, torch.eye(5).bool().expand(1, 1, 5, 5) | True, dropout_p=0.3),
    ],
)
def test_dropout_drops_the_same_on_any_number_of_processes(drop: Any) -> None:
    x = torch.randn(2, 12, 2, 5, 4)  # two views of twelve examples

    def dropped(rank: int | None) -> Tensor:
        torch.manual_seed(7)
        if rank is None:
            return drop(x.flatten(0, 1)).unflatten(0, (2, 12))
        with JointDropout(Share(rank, 3, 4)):
            return drop(x[:, rank * 4 : rank * 4 + 4].flatten(0, 1)).unflatten(0, (2, 4))

    whole = dropped(None)
    assert (whole == 0).any() or (whole - x).abs().max() > 0.1
    torch.testing.assert_close(torch.cat([dropped(rank) for rank in range(3)], 1), whole)


def test_dropout_keeps_its_gradient_and_its_evaluation_mode() -> None:
    x = torch.ones(6, 3, requires_grad=True)
    with JointDropout(Share(0, 2, 6)):
        y = F.dropout(x, 0.5)
        assert torch.equal(nn.Dropout(0.5).eval()(x), x)
        assert torch.equal(F.dropout(x, 0.5, training=False), x)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, y.detach())


def _network() -> nn.Module:
    torch.manual_seed(0)
    norms = [nn.BatchNorm2d(4), nn.BatchNorm1d(4, momentum=None), nn.BatchNorm1d(4, affine=False)]
    return nn.Sequential(nn.Conv2d(3, 4, 3), norms[0], nn.ReLU(), nn.Flatten(2), norms[1], norms[2]).double()


def _pass(network: nn.Module, x: Tensor) -> dict[str, Tensor]:
    weight = torch.randn(4, 16, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    (value,) = distributed.gather(network(x))
    ((value**3) * weight).mean().backward()
    gradients = {f"gradient of {name}": p.grad for name, p in network.named_parameters() if p.grad is not None}
    return {**gradients, **{name: b.clone() for name, b in network.named_buffers()}, "x": x.grad}  # type: ignore[dict-item]


def _batch_norm_on_a_rank(rank: int, world: int, out: str) -> None:
    network = _network()
    sizes = [5, 7] if world == 2 else [3, 4, 5]
    x = torch.randn(12, 3, 6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mine = x.split(sizes)[rank].clone().requires_grad_()
    with overridden([(m, ("forward",)) for m in network if isinstance(m, nn.modules.batchnorm._BatchNorm)], joint):
        follower = copy.deepcopy(network)
        found = _pass(network, mine)
        with torch.no_grad():
            assert torch.allclose(follower(mine.detach()), network(mine.detach()))
    for name, value in found.items():
        if name.startswith("gradient"):
            torch.distributed.all_reduce(value)
            value /= world
    everyone = [None] * world
    torch.distributed.all_gather_object(everyone, found.pop("x") / world)
    if rank == 0:
        torch.save({**found, "x": torch.cat(everyone)}, out)  # type: ignore[arg-type]


@pytest.mark.parametrize("world", [2, pytest.param(3, marks=pytest.mark.long)])
def test_batch_norm_takes_the_statistics_of_the_global_batch(world: int, tmp_path: Path) -> None:
    on_ranks(world, _batch_norm_on_a_rank, world, str(tmp_path / "found.pt"))
    x = torch.randn(12, 3, 6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = _pass(_network(), x.requires_grad_())
    found = torch.load(tmp_path / "found.pt", weights_only=True)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-12, msg=name)


def test_two_processes_make_the_run_of_one(tmp_path: Path) -> None:
    one, two = (on_processes(n, tmp_path / f"{n}.pt", NAMES, steps=3, batch=12) for n in (1, 2))
    for name in NAMES:
        far, first = apart(one[name], two[name])
        assert first < 1e-5, name
        assert far < (1e-12 if name.endswith(EXACT) else 1e-4), name


@pytest.mark.parametrize("setting", [{"chunk": 4}, {"compile": True}])
def test_what_cannot_be_shared_is_said(setting: dict[str, Any]) -> None:
    method = Toy(norm="none")
    with pytest.warns(
        RanksWarning, match="dropout draws on every process for itself: the run on 2 processes is another"
    ):
        share_draws(method, Vectors(), Training(**setting), Share(0, 2, 8))
    assert method.share is not None
    assert not method.joint_dropout


def test_one_process_shares_nothing(recwarn: Any) -> None:
    method = Toy()
    share_draws(method, Vectors(), Training(chunk=4), Share(0, 1, 8))
    assert method.share is None
    assert not recwarn.list
