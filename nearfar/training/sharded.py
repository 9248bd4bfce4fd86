"""Parameters divided among processes (FSDP2), for networks that one of them cannot hold with their optimiser.

Every parameter is held in parts, a part per process, and so are its gradient and what the optimiser keeps of it. A
block of a network (a layer of a transformer, a residual block) is put together where it is computed, and let go
afterwards. What lies in no block (heads, embeddings of words, prototypes) is put together for the whole of a step, so
that a method may use it in any way it likes. Checkpoints and what a run keeps are put together by the first process,
in the form that a run on one process writes: any run continues under any strategy, on any number of processes.

Lightning's ``FSDPStrategy`` asks for GPUs and the older form of sharding; its ``ModelParallelStrategy`` does not write
through a ``CheckpointIO`` and restores after its own fashion. So this one stands on its ``DDPStrategy``, which brings
the processes together, and exchanges the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, Shard
from torch.utils._pytree import tree_map_only

from nearfar.common.distributed import average_gradients
from nearfar.training.gradient_cache import encoders
from nearfar.training.method import Method

LEAST = 1 << 18
"""A block with fewer parameters stays with what is put together once a step: sending it alone would cost more."""


class Sharded(DDPStrategy):
    """Lightning's processes, with the parameters of the method divided among them.

    Everything is sent and summed in float32. In bf16 a step holds the blocks' weights in that precision from the
    forward to the backward pass, two bytes a parameter.
    """

    shards: Shards | None = None

    def model_to_device(self) -> None:
        """Nothing yet: the whole may not fit there."""

    def configure_ddp(self) -> None:
        assert isinstance(self.model, Method)
        self.shards = Shards(self.model, self.root_device)

    def post_backward(self, closure_loss: Tensor) -> None:
        assert isinstance(self.model, FSDPModule)
        self.model.reshard()  # a loss that was left out went through no network, so that nothing was let go
        assert self.shards is not None
        average_gradients(self.shards.whole)

    def teardown(self) -> None:
        module, accelerator = self.lightning_module, self.accelerator
        if self.shards is not None and module is not None and accelerator is not None:
            if module.trainer.state.status == "interrupted":  # not all processes may be able to put parts together
                accelerator.teardown()
                return
            self.shards.undo()
        super().teardown()

    def lightning_module_state_dict(self) -> dict[str, Any]:
        assert self.lightning_module is not None
        return _whole(self.lightning_module.state_dict(), self.is_global_zero)

    def optimizer_state(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        inner = getattr(optimizer, "optimizer", optimizer)
        state = inner.state_dict()
        parameters = dict(enumerate(p for group in inner.param_groups for p in group["params"]))
        found = {
            index: {name: _like(value, parameters[index]) for name, value in kept.items()}
            for index, kept in state["state"].items()
        }
        groups = [
            {name: inner.defaults.get(name, value) if name in _HOW else value for name, value in group.items()}
            for group in state["param_groups"]
        ]
        return {"state": _whole(found, self.is_global_zero), "param_groups": groups}

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        for optimizer, saved in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            how = [{name: group[name] for name in _HOW if name in group} for group in optimizer.param_groups]
            mine = {
                index: {name: _part(value, parameters[index]) for name, value in kept.items()}
                for index, kept in saved["state"].items()
            }
            optimizer.load_state_dict({"state": mine, "param_groups": saved["param_groups"]})
            for group, chosen in zip(optimizer.param_groups, how, strict=True):
                group.update(chosen)


_HOW = ("foreach", "fused")
"""How an optimiser's loop is written, which depends on the strategy and changes nothing."""


class Shards:
    """A method whose parameters are held in parts, until :meth:`undo`.

    Attributes:
        whole: parameters that every process holds: numbers, such as a temperature, have no parts.
    """

    def __init__(self, method: Method, device: torch.device) -> None:
        self.method = method
        before = [(module, type(module), {*module.__dict__}, _hooks(module)) for module in method.modules()]
        mesh = init_device_mesh(device.type, (dist.get_world_size(),))
        self._layouts = {name: p.stride() for name, p in method.named_parameters() if not p.is_contiguous()}
        self.whole = [p for p in method.parameters() if p.ndim == 0]
        options: dict[str, Any] = {"mesh": mesh, "ignored_params": {*self.whole}}
        for block in blocks(method):
            _same_everywhere(block, device)
            fully_shard(block, **options)
        _same_everywhere(method, device)
        self._root: FSDPModule = fully_shard(method, reshard_after_forward=False, **options)
        for module in method.modules():
            if isinstance(module, FSDPModule):  # gloo knows no means
                module.set_force_sum_reduction_for_comms(device.type == "cpu")
        register_fsdp_forward_method(method, "training_step")
        # Whoever runs first is what all the others are part of, and a monitor would run an encoder first.
        method.__dict__["_first"] = lambda: None
        register_fsdp_forward_method(method, "_first")
        method.__dict__["_first"]()
        self._root.reshard()
        self._undo = [(module, cls, {*module.__dict__} - had, hooks) for module, cls, had, hooks in before]
        method.shards = self

    @contextmanager
    def together(self) -> Iterator[None]:
        """Within this block parameters outside blocks are whole; what changes in them is kept."""
        parts = dict(self.method.named_parameters())
        self._root.unshard()
        try:
            yield
            with torch.no_grad():
                for name, value in self.method.named_parameters():
                    part = parts.get(name)
                    if isinstance(part, DTensor) and not isinstance(value, DTensor):
                        part.to_local().copy_(_part(value.detach(), part).to_local())
        finally:
            self._root.reshard()

    def undo(self) -> None:
        """Put every parameter together on the processor, and leave the method as if nothing had been done to it."""
        for module in self.method.modules():
            if isinstance(module, FSDPModule):
                module.reshard()
        whole: dict[int, nn.Parameter] = {}
        for name, p in self.method.named_parameters():
            value = (p.full_tensor() if isinstance(p, DTensor) else p).detach().cpu().clone()
            if name in self._layouts:
                value = torch.empty_strided(value.shape, self._layouts[name], dtype=value.dtype).copy_(value)
            whole[id(p)] = nn.Parameter(value, requires_grad=p.requires_grad)
        for module in self.method.modules():
            for name, mine in module._parameters.items():
                if mine is not None:
                    module._parameters[name] = whole[id(mine)]
        for module, cls, added, hooks in self._undo:
            module.__class__ = cls
            for name in added:
                module.__dict__.pop(name, None)
            for now, before in hooks:
                now.clear()
                now.update(before)
        self.method.shards = None


def blocks(method: nn.Module) -> list[nn.Module]:
    """What is put together by itself, inner ones first: large elements of lists of layers of one kind, and of sequences
    inside of encoders, whose parameters are in nothing else. So a network and its momentum copy are cut alike."""
    inside = {layer for _, encoder, _ in encoders(method) for layer in encoder.modules()}
    owners: dict[int, list[nn.Module]] = {}
    for module in method.modules():
        for p in module.parameters(recurse=False):
            owners.setdefault(id(p), []).append(module)
    found: dict[nn.Module, None] = {}
    for module in reversed([*method.modules()]):
        layered = isinstance(module, nn.ModuleList) and len(module) > 1 and len({type(c).__name__ for c in module}) == 1
        if not (layered or (isinstance(module, nn.Sequential) and module in inside)):
            continue
        for child in module.children():
            layers, mine = {*child.modules()}, [*child.parameters()]
            alone = all(owner in layers for p in mine for owner in owners[id(p)])
            holds = isinstance(child, nn.ModuleList | nn.ModuleDict | nn.ParameterList | nn.Sequential)
            if len(layers) > 1 and not holds and alone and sum(p.numel() for p in mine) >= LEAST:
                found[child] = None
    return [*found]


def _same_everywhere(module: nn.Module, device: torch.device) -> None:
    """What the first process holds, on every one and on its device; what has parts already is left."""
    for value in [*module.parameters(), *module.buffers()]:
        if not isinstance(value, DTensor):
            value.data = value.data.to(device).contiguous()
            dist.broadcast(value.data, 0)


_HOOKS = (
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


def _hooks(module: nn.Module) -> list[tuple[Any, Any]]:
    return [(module.__dict__[name], {**module.__dict__[name]}) for name in _HOOKS if name in module.__dict__]


def _like(value: Any, parameter: Tensor) -> Any:
    """Of an optimiser's state: what belongs to a part, said to be a part."""
    if isinstance(value, DTensor) or not isinstance(parameter, DTensor) or not isinstance(value, Tensor):
        return value
    if value.ndim == 0 or value.shape != parameter.to_local().shape:
        return value
    return DTensor.from_local(
        value, parameter.device_mesh, parameter.placements, shape=parameter.shape, stride=parameter.stride()
    )


def _part(value: Any, parameter: Tensor) -> Any:
    """This process's part of what belongs to a parameter, cut as the parameter is."""
    if not isinstance(parameter, DTensor) or not isinstance(value, Tensor) or value.shape != parameter.shape:
        return value
    assert parameter.placements == (Shard(0),)
    mine = parameter.device_mesh.get_local_rank()
    pieces = value.chunk(parameter.device_mesh.size())
    part = pieces[mine] if mine < len(pieces) else value[:0]
    return DTensor.from_local(
        part.to(parameter.to_local().device).contiguous(),
        parameter.device_mesh,
        parameter.placements,
        shape=parameter.shape,
        stride=parameter.stride(),
    )


def _whole(tree: Any, keep: bool) -> Any:
    """Everything put together, one after another; empty tensors where it is not kept."""

    def whole(value: DTensor) -> Tensor:
        full = value.full_tensor()
        return full.detach().cpu().clone() if keep else full.new_empty(0)  # a copy: padding is left behind

    return tree_map_only(DTensor, whole, tree)
