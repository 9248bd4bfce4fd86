"""Optimisers and learning-rate schedules, as one small configuration object."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from nearfar.common.distributed import divided, local, norms


@dataclass(frozen=True)
class Optimization:
    """How the parameters move.

    Args:
        optimizer: ``adamw``, ``adam``, ``sgd`` (with momentum), ``rmsprop``, ``lars`` (see :class:`LARS`) or ``larc``
            (apex's, :class:`LARC`, with which SwAV's released code trains).
        lr: peak learning rate, above 0.
        lr_batch: when given, the peak is ``lr * examples / lr_batch`` (the papers' linear scaling, 256), where
            ``examples`` are those of an optimiser step: of the batch of all ranks together (of the whole collection
            where that is smaller), times ``accumulate``. ``none`` where ``lr`` is the peak itself.
        weight_decay: decoupled for ``adamw``, an L2 gradient for the others, at least 0.
        weight_decay_end: the weight decay at the end of the run, to which it moves along a cosine; constant when not
            given.
        momentum: momentum of ``sgd``, ``lars`` and ``larc``, in [0, 1).
        beta1: first moment decay of ``adam`` and ``adamw``, in [0, 1).
        beta2: second moment decay of ``adam`` and ``adamw``, and the smoothing of ``rmsprop``, in [0, 1).
        eps: added to the root of the second moment of ``adam``, ``adamw`` and ``rmsprop``, above 0.
        clip: largest norm of all gradients together; larger ones are scaled down to it. 0 for no limit.
        warmup: share of the run over which the rate rises linearly, in [0, 1). A paper's 10 warm-up epochs of 1000
            are 0.01 here, at any length of run. Of ``w`` warm-up steps, step ``s`` (from 0) has ``(s + 1) / (w + 1)``
            of the peak, so that none is made at 0 and the first one after them has the peak; releases that take
            ``s / w`` spend their first step on nothing.
        schedule: ``cosine`` to ``floor``, ``linear`` to ``floor``, ``constant``, or ``step`` (a tenth at 60% and
            again at 80% of the run).
        floor: the rate at the end, as a share of the peak, in [0, 1].
        decay_all: also decay tensors with one dimension (biases, norms), which is off for all but few papers. ``lars``
            then decays them without adapting their rate.
        trust: trust coefficient of ``lars`` and ``larc``, above 0.
        trust_clip: ``lars`` never moves a tensor faster than the plain rate would.
    """

    optimizer: Literal["adamw", "adam", "sgd", "rmsprop", "lars", "larc"] = "adamw"
    lr: float = 1e-3
    lr_batch: int | None = None
    weight_decay: float = 1e-4
    momentum: float = 0.9
    beta2: float = 0.999
    warmup: float = 0.0
    schedule: Literal["cosine", "linear", "constant", "step"] = "cosine"
    floor: float = 0.0
    decay_all: bool = False
    trust: float = 0.001
    trust_clip: bool = False
    weight_decay_end: float | None = None
    beta1: float = 0.9
    eps: float = 1e-8
    clip: float = 0.0

    def __post_init__(self) -> None:
        bounds = {
            "lr": (self.lr > 0, "above 0"),
            "lr_batch": (self.lr_batch is None or self.lr_batch > 0, "a positive batch size or none"),
            "weight_decay": (self.weight_decay >= 0, "at least 0"),
            "weight_decay_end": (self.weight_decay_end is None or self.weight_decay_end >= 0, "at least 0 or none"),
            "beta1": (0 <= self.beta1 < 1, "in [0, 1)"),
            "eps": (self.eps > 0, "above 0"),
            "clip": (self.clip >= 0, "at least 0"),
            "momentum": (0 <= self.momentum < 1, "in [0, 1)"),
            "beta2": (0 <= self.beta2 < 1, "in [0, 1)"),
            "warmup": (0 <= self.warmup < 1, "a share of the run in [0, 1)"),
            "trust": (self.trust > 0, "above 0"),
            "floor": (0 <= self.floor <= 1, "a share of the peak in [0, 1]"),
        }
        for name, (fine, accepted) in bounds.items():
            if not fine:
                raise ValueError(f"optimization.{name} must be {accepted}, got {getattr(self, name)}")

    def build(
        self, groups: Iterable[dict[str, Any]], *, total_steps: int, batch_size: int | None
    ) -> tuple[Optimizer, LambdaLR]:
        """The optimiser and its scheduler for ``groups`` (see ``Method.parameter_groups``).

        Each group is a dict with ``params`` and, optionally, ``lr_scale`` (multiplies the rate), ``schedule``
        (its own) and ``weight_decay``. ``batch_size`` counts the examples of an optimiser step.

        Raises:
            ValueError: the rate depends on the examples of a step, and nobody says how many they are.
        """
        if self.lr_batch is not None and batch_size is None:
            raise ValueError(f"lr_batch={self.lr_batch} scales the rate with the examples of a step; give batch_size")
        peak = self.lr
        if self.lr_batch is not None and batch_size is not None:
            peak = self.lr * batch_size / self.lr_batch
        split: list[dict[str, Any]] = []
        factors: list[Callable[[int], float]] = []
        for group in groups:
            decay = group.get("weight_decay", self.weight_decay)
            params = [p for p in group["params"] if p.requires_grad]
            matrices = [p for p in params if p.ndim > 1 or self.decay_all]
            vectors = [p for p in params if not (p.ndim > 1 or self.decay_all)]
            rate = self._schedule(group.get("schedule", self.schedule), total_steps)
            for members, wd in ((matrices, decay), (vectors, 0.0)):
                if members:
                    split.append({"params": members, "lr": peak * group.get("lr_scale", 1.0), "weight_decay": wd})
                    if len({divided(p) for p in members}) > 1:  # some in parts: no loop takes both at once
                        split[-1] |= {"foreach": False, "fused": False}
                    factors.append(rate)
        optimizer = self._optimizer(split)
        if self.weight_decay_end is None:
            return optimizer, LambdaLR(optimizer, factors)
        return optimizer, DecaySchedule(optimizer, factors, self.weight_decay_end, total_steps)

    def clip_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Scale gradients down to :attr:`clip`, where there is a limit."""
        if not self.clip:
            return
        moving = [p for p in parameters if p.grad is not None]
        gradients = [p.grad for p in moving if p.grad is not None]
        if any(divided(g) for g in gradients):
            total = torch.stack(norms(gradients)).norm()
            torch._foreach_mul_([local(g) for g in gradients], (self.clip / (total + 1e-6)).clamp(max=1.0))
        else:
            torch.nn.utils.clip_grad_norm_(moving, self.clip)

    def _optimizer(self, groups: list[dict[str, Any]]) -> Optimizer:
        betas = (self.beta1, self.beta2)
        if self.optimizer == "adamw":
            return torch.optim.AdamW(groups, betas=betas, eps=self.eps, fused=_can_fuse(groups))
        if self.optimizer == "adam":
            return torch.optim.Adam(groups, betas=betas, eps=self.eps, fused=_can_fuse(groups))
        if self.optimizer == "rmsprop":
            return torch.optim.RMSprop(groups, alpha=self.beta2, eps=self.eps)
        if self.optimizer == "sgd":
            fused = _can_fuse(groups) and not any(divided(p) for group in groups for p in group["params"])
            return torch.optim.SGD(groups, momentum=self.momentum, fused=fused)
        if self.optimizer == "larc":
            return LARC(groups, momentum=self.momentum, trust=self.trust)
        return LARS(groups, momentum=self.momentum, trust=self.trust, clip=self.trust_clip, decay_all=self.decay_all)

    def _schedule(self, schedule: str, total_steps: int) -> Callable[[int], float]:
        warmup = round(self.warmup * total_steps)

        def rate(step: int) -> float:
            if step < warmup:
                return (step + 1) / (warmup + 1)
            done = (step - warmup) / max(total_steps - warmup, 1)
            done = min(done, 1.0)
            if schedule == "cosine":
                return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * done)) / 2
            if schedule == "linear":
                return self.floor + (1 - self.floor) * (1 - done)
            if schedule == "step":
                return 1.0 if done < 0.6 else 0.1 if done < 0.8 else 0.01
            return 1.0

        return rate


class DecaySchedule(LambdaLR):
    """Rates by ``factors``, and weight decay from where it stands to ``end`` along half a cosine."""

    def __init__(self, optimizer: Optimizer, factors: list[Callable[[int], float]], end: float, total: int) -> None:
        self.start = [group["weight_decay"] for group in optimizer.param_groups]
        self.end, self.total = end, total
        super().__init__(optimizer, factors)

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        done = min(self.last_epoch / max(self.total, 1), 1.0)
        for group, start in zip(self.optimizer.param_groups, self.start, strict=True):
            if start:
                group["weight_decay"] = self.end + (start - self.end) * (1 + math.cos(math.pi * done)) / 2


@contextmanager
def scaled_rates(optimizer: Any, scale: float) -> Iterator[None]:
    """Within this block every rate is ``scale`` times what its schedule says."""
    rates = [group["lr"] for group in optimizer.param_groups]
    if scale != 1.0:
        for group in optimizer.param_groups:
            group["lr"] *= scale
    try:
        yield
    finally:
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate


def _can_fuse(groups: list[dict[str, Any]]) -> bool:
    return all(torch.is_floating_point(p) for group in groups for p in group["params"])


class LARS(Optimizer):
    r"""Layer-wise adaptive rate scaling (You et al., 2017) as used for large-batch self-supervision.

    For tensors with more than one dimension: :math:`g \leftarrow g + \lambda p`, then
    :math:`g \leftarrow \eta \|p\| / \|g\| \cdot g` (unchanged when either norm is 0); for all others the plain
    gradient, without weight decay. Then :math:`v \leftarrow \mu v + g` and :math:`p \leftarrow p - \alpha v`,
    the form of the released BYOL and Barlow Twins code. You et al. and the released SimCLR code keep the rate in the
    velocity, :math:`v \leftarrow \mu v + \alpha g` and :math:`p \leftarrow p - v`: the same while the rate is constant,
    and behind a changing one by about :math:`1 / (1 - \mu)` steps.

    Args:
        params: parameters or groups, each group with its own ``lr`` and ``weight_decay``.
        lr: learning rate.
        momentum: :math:`\mu`.
        weight_decay: :math:`\lambda`.
        trust: :math:`\eta`, the trust coefficient.
        clip: take the smaller of :math:`\eta \|p\| / (\alpha \|g\|)` and 1 instead, so that a tensor's step is at most
            that of plain SGD; solo-learn trains with it and :math:`\eta` of 0.02.
        decay_all: tensors with one dimension decay too: their gradient is :math:`g + \lambda p`, still not adapted.
        adapt_all: tensors with one dimension are adapted too, as the released Barlow Twins code does without its
            filters; give ``decay_all`` with it.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 0.1,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = 0.001,
        clip: bool = False,
        decay_all: bool = False,
        adapt_all: bool = False,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust, "clip": clip}
        defaults["decay_all"], defaults["adapt_all"] = decay_all, adapt_all
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if not params:
                continue
            adapted = [p.ndim > 1 or group.get("adapt_all", False) for p in params]
            steps = [
                p.grad.add(p, alpha=group["weight_decay"]) if p.ndim > 1 or group.get("decay_all") else p.grad.clone()
                for p in params
            ]
            weight_norms, update_norms = norms(params), norms(steps)
            updates = [local(step) for step in steps]
            for update, w, g, big in zip(updates, weight_norms, update_norms, adapted, strict=True):
                if big:
                    ratio = group["trust"] * w / g
                    if group["clip"]:
                        ratio = (ratio / max(group["lr"], 1e-12)).clamp(max=1.0)
                    update.mul_(torch.where((w > 0) & (g > 0), ratio, torch.ones_like(ratio)))
            velocities = []
            for p, update in zip(params, updates, strict=True):
                state = self.state[p]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(update)
                velocities.append(local(state["momentum_buffer"]))
            torch._foreach_mul_(velocities, group["momentum"])
            torch._foreach_add_(velocities, updates)
            torch._foreach_add_([local(p) for p in params], velocities, alpha=-group["lr"])
        return loss


class LARC(torch.optim.SGD):
    r"""SGD with momentum on gradients whose scale is that of their tensor: apex's ``LARC(clip=False)`` around SGD.

    Every tensor, biases and norms too, moves by :math:`q (g + \lambda p)` with
    :math:`q = \eta \|p\| / (\|g\| + \lambda \|p\| + 10^{-8})`; where one of the norms is 0 by its plain gradient,
    without decay. :class:`LARS` takes the ratio with :math:`\|g + \lambda p\|` and leaves vectors alone.

    Args:
        params: parameters or groups, each group with its own ``lr`` and ``weight_decay``.
        lr: learning rate.
        momentum: of SGD.
        weight_decay: :math:`\lambda`.
        trust: :math:`\eta`.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 0.1,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = 0.001,
    ) -> None:
        super().__init__(params, lr=lr, momentum=momentum, weight_decay=weight_decay)
        for group in self.param_groups:
            group["trust"] = trust

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        decays = [group["weight_decay"] for group in self.param_groups]
        for group, decay in zip(self.param_groups, decays, strict=True):
            group["weight_decay"] = 0.0
            params = [p for p in group["params"] if p.grad is not None]
            if not params:
                continue
            found = zip(params, norms(params), norms([p.grad for p in params]), strict=True)
            for p, w, g in found:
                ratio = group["trust"] * w / (g + decay * w + 1e-8)
                moves = (w > 0) & (g > 0)
                p.grad.mul_(torch.where(moves, ratio, 1.0)).add_(p * torch.where(moves, ratio * decay, 0.0))
        super().step()
        for group, decay in zip(self.param_groups, decays, strict=True):
            group["weight_decay"] = decay
        return loss


def trainable(module: nn.Module) -> list[nn.Parameter]:
    """The parameters of ``module`` that receive gradients."""
    return [p for p in module.parameters() if p.requires_grad]
