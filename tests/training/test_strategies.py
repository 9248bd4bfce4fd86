"""Parameters held in parts: the same run as with copies, checkpoints that any strategy continues, clear refusals."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nearfar.losses import nt_xent
from nearfar.parts import LogitScale, MomentumEncoder
from nearfar.training import Method, Optimization, Run, Training, Update, fit
from nearfar.training.strategy import strategy_of, understood
from tests.ranks import on_ranks
from tests.toy import Toy, VectorBatch, Vectors

STEPS = 4
ADAM = Optimization("adamw", lr=1e-2, clip=0.5)
LARS = Optimization("lars", lr=0.5, weight_decay=1e-3)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.wide, self.back = nn.LayerNorm(12), nn.Linear(12, 31), nn.Linear(31, 12)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.back(self.wide(self.norm(x)).relu())


class Deep(nn.Module):
    """Rows of a size that no number of processes divides, a number that has no parts, and an offset of one row."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Block() for _ in range(3))
        self.offset = nn.Parameter(torch.zeros(1, 12))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.offset
        for layer in self.layers:
            x = layer(x)
        return x


class DeepToy(Method):
    """Two views, a learnable temperature, and what moves without gradients: a teacher, and prototypes of norm one."""

    def __init__(self, optimization: Optimization = ADAM) -> None:
        super().__init__(optimization)
        self.encoder = Deep()
        self.teacher = MomentumEncoder(self.encoder, 0.9)
        self.prototypes = nn.Linear(12, 5, bias=False)
        self.scale = LogitScale(0.5)

    def views(self, batch: VectorBatch) -> tuple[Tensor, Tensor]:
        return batch.vectors, batch.vectors.roll(1, 1)

    def loss(self, views: tuple[Tensor, Tensor]) -> Any:
        z1, z2 = self.gather(self.encoder(views[0]), self.encoder(views[1]))
        target = self.gather(self.teacher(views[0]))[0]
        scores = z1 @ self.prototypes.weight.T  # a parameter that is used outside of its module
        return {
            "contrast": nt_xent(z1, z2, temperature=0.5) * self.scale.temperature,
            "teacher": (z1 - target).square().mean() * 0.01,
            "clusters": (scores.softmax(1) - 0.2).square().mean(),
        }

    @torch.no_grad()
    def after_step(self) -> None:
        self.teacher.update(self.encoder, self.progress)
        self.prototypes.weight.copy_(nn.functional.normalize(self.prototypes.weight, dim=1))

    def encode(self, batch: VectorBatch) -> Tensor:
        return self.encoder(batch.vectors)


def trained(optimization: Optimization, strategy: Any = "ddp", **more: Any) -> Method:
    torch.manual_seed(0)
    settings = {"steps": STEPS, "batch_size": 24, "precision": "32", **more.pop("settings", {})}
    return fit(DeepToy(optimization), Vectors(), Training(strategy=strategy, **settings), progress=False, **more)


def _here(rank: int, world: int) -> None:
    """What torchrun says of a process."""
    import nearfar.training.sharded as sharded

    sharded.LEAST = 100
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(world), LOCAL_WORLD_SIZE=str(world))
    os.environ.update(TORCHELASTIC_RUN_ID="here", GROUP_RANK="0")


def _run(folder: Path) -> Run:
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text("method: toy\n")
    return Run(folder)


def _compare(rank: int, world: int, out: str) -> None:
    _here(rank, world)
    folder, found = Path(out), {}
    for name, optimization, settings in (
        ("adamw", ADAM, {}),
        ("lars", LARS, {"accumulate": 2}),
        ("chunks", ADAM, {"chunk": 5}),
    ):
        for strategy in ("ddp", "fsdp2"):
            kept = _run(folder / f"{name}-{strategy}") if name == "adamw" else None
            method = trained(optimization, strategy, settings={"checkpoint_every": 2, **settings}, run=kept)
            assert type(method) is DeepToy
            assert type(method.encoder.layers[0]) is Block
            assert not method.encoder.layers[0]._forward_pre_hooks
            found[f"{name} {strategy}"] = method.state_dict()
    half = folder / "adamw-ddp" / "checkpoints" / "step-000000002.ckpt"
    found["continued fsdp2"] = trained(ADAM, "fsdp2", checkpoint=half).state_dict()
    if rank == 0:
        torch.save(found, folder / "found.pt")


def _close(found: dict[str, Tensor], expected: dict[str, Tensor], bound: float = 2e-5) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert (found[name] - value).abs().max() <= bound * (1 + value.abs().max()), name


@pytest.mark.long
@pytest.mark.ranks
@pytest.mark.parametrize("world", [2, 3])
def test_parameters_in_parts_learn_what_copies_learn(world: int, tmp_path: Path) -> None:
    on_ranks(world, _compare, world, str(tmp_path), timeout=500)
    found = torch.load(tmp_path / "found.pt", weights_only=True)
    start = DeepToy().state_dict()
    for name in ("adamw", "lars", "chunks"):
        assert any((found[f"{name} fsdp2"][key] - start[key]).abs().max() > 1e-3 for key in start)
        _close(found[f"{name} fsdp2"], found[f"{name} ddp"])
    _close(found["continued fsdp2"], found["adamw ddp"])
    # Nothing of it asks for several processes, or for parts, afterwards.
    half = tmp_path / "adamw-fsdp2" / "checkpoints" / "step-000000002.ckpt"
    _close(trained(ADAM, checkpoint=half).state_dict(), found["adamw fsdp2"])
    _close(trained(ADAM).state_dict(), found["adamw fsdp2"])
    assert (tmp_path / "adamw-fsdp2" / "encoder.safetensors").stat().st_size > 1000


def test_one_process_has_nothing_to_divide() -> None:
    assert strategy_of(Toy(), Training(strategy="fsdp2"), 1) == "auto"


def test_several_updates_in_a_step_are_refused_in_a_sentence() -> None:
    class Two(Toy):
        def updates(self) -> list[Update]:
            return []

    with pytest.raises(ValueError, match=r"Two makes several updates in a step.*--strategy ddp"):
        strategy_of(Two(), Training(strategy="fsdp2"), 2)


def test_a_part_where_all_is_needed_is_explained() -> None:
    from nearfar.training.sharded import Sharded

    with pytest.raises(ValueError, match="Toy uses parameters of a block outside of it"), understood(Toy(), Sharded()):
        raise RuntimeError("aten.mm.default got mixed torch.Tensor and DTensor")
    with pytest.raises(RuntimeError, match="another"), understood(Toy(), Sharded()):
        raise RuntimeError("another")


def test_blocks_are_large_layers_that_share_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from nearfar.training import sharded

    monkeypatch.setattr(sharded, "LEAST", 100)
    method = DeepToy()
    found = sharded.blocks(method)
    assert set(found) == {*method.encoder.layers, *method.teacher.module.layers}
    method.encoder.layers[0].wide.weight = method.encoder.layers[1].wide.weight
    assert set(found) - set(sharded.blocks(method)) == {method.encoder.layers[0], method.encoder.layers[1]}
    monkeypatch.setattr(sharded, "LEAST", 100_000)
    assert not sharded.blocks(method)
