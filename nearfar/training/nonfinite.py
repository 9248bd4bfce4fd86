"""Steps whose loss or gradient is not finite: stop the run with a sentence, or leave them out and count them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import lightning as L
import torch
import torch.distributed as dist
from torch import Tensor, nn

from nearfar.common import distributed

CAUSES = "Usual causes are a learning rate that is too high, a temperature that is too low, or inputs with NaN."

ROUNDING = 1e-5
"""The largest gradient that a loss of exactly 0 has by rounding alone."""


class NonFiniteError(RuntimeError):
    """A term of the loss, a gradient or a weight became NaN or infinite; the message names step, term and batch."""


class FiniteGuard:
    """What a method does when a step is not finite.

    With ``action="stop"`` the run ends with :class:`NonFiniteError` before the weights change. With ``"skip"`` such
    a batch contributes nothing: weights, optimiser, teachers and queues stay as they were, and so do buffers (the
    running statistics of batch norm), of which a copy is made at every step. What a method keeps outside parameters
    and buffers is not restored. After ``limit`` such batches in a row the run stops all the same.

    Attributes:
        skipped: batches left out so far.
        in_a_row: of them, how many since the last good step.
        learns: whether a gradient other than 0 was seen; see :mod:`nearfar.training.learnable`.
        still: optimiser's moves, from the first on, in which every gradient was 0, or that of a loss of 0 was rounding.
    """

    def __init__(self, action: Literal["stop", "skip"] = "stop", limit: int = 10) -> None:
        self.action, self.limit = action, limit
        self.skipped = self.in_a_row = 0
        self.learns, self.still, self._zero = False, 0, True
        self._rows: Tensor | None = None
        self._good = 0
        self._buffers: list[tuple[Tensor, Tensor]] = []

    def state(self) -> dict[str, int]:
        return {"skipped": self.skipped, "in_a_row": self.in_a_row}

    def begin(self, module: nn.Module, batch: Any) -> None:
        """Before a step: remember what the step may spoil, and whose examples it has."""
        rows = getattr(batch, "rows", None)
        self._rows = rows if isinstance(rows, Tensor) else None
        if self.action == "skip":
            self._buffers = [(buffer, buffer.clone()) for buffer in module.buffers()]

    def loss(self, total: Tensor, named: Mapping[str, Tensor], step: int) -> bool:
        """Whether the step's loss may be used; every rank gets the same answer.

        Raises:
            NonFiniteError: it may not, and the run is to stop.
        """
        if _everywhere(torch.isfinite(total.detach())):
            self._good += 1
            self._zero = self._zero and not self.learns and not bool(total.detach().any())
            return True
        bad = [f"{name} = {v.item()}" for name, v in named.items() if not torch.isfinite(v)]
        elsewhere = "it is on another rank" if torch.isfinite(total) else "the sum of the terms overflows"
        self._refuse(f"The loss is not finite at step {step}: {', '.join(bad) or elsewhere}.")
        return False

    def gradients(self, module: nn.Module, step: int, *, scaled: bool = False) -> bool:
        """Whether the optimiser may move; where not (every batch of the step was left out, or the gradient of those
        that were not is not finite), there are no gradients any more.

        Gradients are the same on every rank by then. With ``scaled`` (float16 under a gradient scaler) infinite ones
        are no fault: the scaler leaves such a step out itself and lowers its scale.

        Raises:
            NonFiniteError: they are not finite, and the run is to stop.
        """
        found = [(name, p) for name, p in module.named_parameters() if p.grad is not None]
        good, self._good = self._good, 0
        if not good:
            for _, p in found:
                p.grad = None
            return False
        if not self.learns:
            # Of a loss that is 0, what its two sides leave of each other is rounding.
            least = ROUNDING if self._zero else 0.0
            self.learns = any(bool((p.grad.abs() > least).any()) for _, p in found if p.grad is not None)
            self.still += not self.learns
        self._zero = True
        if scaled or gradients_are_finite([p.grad for _, p in found if p.grad is not None]):
            return True
        bad = [name for name, p in found if p.grad is not None and not _finite(p.grad)] or ["a part elsewhere"]
        more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
        for _, p in found:
            p.grad = None
        self._refuse(f"The gradient is not finite at step {step}: that of {', '.join(bad[:3])}{more}.")
        return False

    def moved(self) -> None:
        """A good step was done."""
        self.in_a_row = 0

    def _refuse(self, what: str) -> None:
        if self._rows is not None:
            what += f" The batch holds examples {self._rows.tolist()[:16]}."
        if self.action == "stop":
            raise NonFiniteError(
                f"{what} The weights were not changed by this step and the last checkpoint is intact. {CAUSES}"
            )
        for buffer, before in self._buffers:
            buffer.copy_(before)
        self.skipped += 1
        self.in_a_row += 1
        if self.in_a_row >= self.limit:
            raise NonFiniteError(
                f"{what} It is the {self.in_a_row}th batch in a row that was left out, which is max_skipped. The last "
                f"checkpoint is intact. {CAUSES}"
            )


def nothing(module: nn.Module) -> Tensor:
    """A loss of 0 with zero gradients, in place of one that is left out; every rank's backward pass needs one."""
    if any(distributed.divided(p) for p in module.parameters()):
        return torch.zeros((), requires_grad=True)
    return torch.stack([p.sum() * 0 for p in module.parameters() if p.requires_grad]).sum()


class GuardState(L.Callback):
    """Keeps a guard's counts in the checkpoint, so that a resumed run goes on counting."""

    def __init__(self, guard: FiniteGuard) -> None:
        self.guard = guard

    def state_dict(self) -> dict[str, int]:
        return self.guard.state()

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.guard.skipped, self.guard.in_a_row = state["skipped"], state["in_a_row"]


def gradients_are_finite(gradients: list[Tensor]) -> bool:
    """Whether every element is finite; by the norms, which is ten times faster than looking at every element."""
    parted = any(distributed.divided(g) for g in gradients)
    dense = [g.coalesce().values() if g.is_sparse else distributed.local(g) for g in gradients]
    dense = [g for g in dense if g.numel()]
    fine = True
    if dense:
        norms = torch.stack([norm.float() for norm in torch._foreach_norm(dense)])
        # A sum of squares may overflow where every element is finite; only then are the elements looked at.
        fine = bool(torch.isfinite(norms).all()) or all(bool(torch.isfinite(g).all()) for g in dense)
    return _everywhere(torch.tensor(fine, device=distributed.local(gradients[0]).device)) if parted else fine


def refuse_non_finite_weights(module: nn.Module, step: int) -> None:
    """Raise :class:`NonFiniteError` when a weight is NaN or infinite: a checkpoint of it would be worth nothing."""
    for name, weight in module.named_parameters():
        if not _finite(weight):
            raise NonFiniteError(
                f"The weights are not finite after step {step}: {name}. They were not saved, and the last checkpoint "
                f"is intact. {CAUSES}"
            )


def _finite(tensor: Tensor) -> bool:
    """Whether every element that this process holds is finite."""
    return bool(torch.isfinite(distributed.local(tensor)).all())


def _everywhere(fine: Tensor) -> bool:
    """Whether a condition holds on every rank."""
    if distributed.world_size() > 1:
        agreed = fine.to(torch.uint8)
        dist.all_reduce(agreed, dist.ReduceOp.MIN)
        return bool(agreed)
    return bool(fine)
