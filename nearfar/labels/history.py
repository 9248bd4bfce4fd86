"""What a method on a stream of tasks keeps of its past: its accuracy on every task before each, and an older self."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from nearfar.labels.evaluation import task_accuracies
from nearfar.labels.method import LabelMethod
from nearfar.sources.tasks import Tasks
from nearfar.training import Optimization


class TaskHistory(nn.Module):
    """The accuracies (T, T) on every task just before each task began, and the number of the task; buffers."""

    accuracies: Tensor
    task: Tensor

    def __init__(self, num_tasks: int) -> None:
        super().__init__()
        self.register_buffer("accuracies", torch.full((num_tasks, num_tasks), float("nan"), dtype=torch.float64))
        self.register_buffer("task", torch.zeros((), dtype=torch.long))


class FrozenCopy(nn.Module):
    """A copy of a module that neither learns nor moves: no gradients, and evaluation mode whatever its parent's mode.

    Args:
        module: what to copy.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = copy.deepcopy(module).requires_grad_(False).eval()

    @torch.no_grad()
    def take(self, module: nn.Module) -> None:
        """Become a copy of ``module`` as it is now."""
        self.module.load_state_dict(module.state_dict())

    def train(self, mode: bool = True) -> FrozenCopy:
        super().train(mode)
        self.module.eval()
        return self

    @torch.no_grad()
    def forward(self, *args: Tensor) -> Tensor:
        return self.module(*args)


class TaskMethod(LabelMethod):
    """A method on a stream of tasks, which measures itself on every task before each begins.

    The accuracies are kNN accuracies within each task, on its held-out pictures (see
    :func:`nearfar.labels.evaluation.task_accuracies`); the method itself never sees them. A plain collection is a
    stream of one task.

    Args:
        num_tasks: of the stream; taken from the data.
    """

    needs_labels = False

    def __init__(self, encoder: Any, views: Any, optimization: Optimization, *, num_tasks: int | None) -> None:
        super().__init__(encoder, views, optimization)
        self.history = TaskHistory(num_tasks or 1)
        self._stream: Tasks | None = None

    def begin(self, data: Any) -> None:
        super().begin(data)
        self.resumed(data)

    def resumed(self, data: Any) -> None:
        self._stream = data if isinstance(data, Tasks) else None

    def begin_task(self, task: int, data: Any) -> None:
        assert self._stream is not None
        self.history.task.fill_(task)
        found = torch.from_numpy(task_accuracies(self, self._stream))
        self.history.accuracies[task] = found.to(self.history.accuracies)

    @property
    def past(self) -> bool:
        """Whether a task lies behind."""
        return bool(self.history.task > 0)

    def kept(self) -> nn.Module:
        return nn.ModuleDict({"encoder": self.encoder, "history": self.history})
