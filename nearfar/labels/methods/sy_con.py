"""Sy-CON: symmetric contrast for continual self-supervised learning."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.labels.history import FrozenCopy, TaskMethod
from nearfar.labels.method import Seen
from nearfar.losses import info_nce, sycon
from nearfar.parts import FeatureQueue, MLPHead, MomentumEncoder
from nearfar.training import Optimization
from nearfar.vision.method import together


class SyCON(TaskMethod):
    """Cha et al., 2023, arXiv 2306.05101 (version 2 and ICML 2024: PNR).

    Learning a task and keeping the past share one set of negatives, which holds what the present network and the
    network before the task say of past pictures; so no weight between the two is needed. On the first task it is MoCo,
    in both directions. It takes the place of CaSSLe where a queue is used.

    The released queue of the past begins as noise; here it begins anew with each task and counts from the first step
    on which it is full of projections.

    Args:
        encoder: image encoder, by name or as a module.
        num_tasks: of the stream; taken from the data.
        hidden: width of the hidden layers of projection and prediction heads.
        projection_dim: width of the space where views are compared.
        queue_size: keys of each of the four queues, of each view's present and past projections.
        momentum: of the key network.
        temperature, former_temperature: divide the similarities of both terms, above 0.
        shared: whether the past's projections are among the negatives; without it is MoCo with distillation.
        views: recipe of random views.
        optimization: LARS as released, its warm-up and cosine over the whole run.
    """

    written: Tensor

    def __init__(
        self,
        encoder: str | nn.Module = "resnet18-cifar",
        *,
        num_tasks: int | None = None,
        hidden: int = 2048,
        projection_dim: int = 256,
        queue_size: int = 65536,
        momentum: float = 0.99,
        temperature: float = 0.2,
        former_temperature: float = 0.2,
        shared: bool = True,
        views: str = "moco-v2",
        optimization: Optimization = Optimization(
            "lars", lr=0.6, lr_batch=256, weight_decay=1e-4, trust=0.02, warmup=0.02
        ),
    ) -> None:
        super().__init__(encoder, views, optimization, num_tasks=num_tasks)
        self.head = MLPHead(self.features, hidden, projection_dim, norm="none")
        self.predictor = MLPHead(projection_dim, hidden, projection_dim)
        self.key_network = MomentumEncoder(self.network, momentum, "cosine")
        self.former = FrozenCopy(self.network)
        self.queues = _Queues([FeatureQueue(queue_size, projection_dim) for _ in range(2)])
        self.past_queues = _Queues([FeatureQueue(queue_size, projection_dim) for _ in range(2)])
        self.register_buffer("written", torch.zeros((), dtype=torch.long))
        self.temperatures, self.shared = (temperature, former_temperature), shared

    def begin_task(self, task: int, data: Any) -> None:
        super().begin_task(task, data)
        self.former.take(self.network)
        self.written.zero_()

    def loss(self, seen: Seen) -> dict[str, Tensor]:  # type: ignore[override]
        queries = [F.normalize(q, dim=1) for q in together(self.network, seen.views)]
        keys = [F.normalize(k, dim=1) for k in together(self.key_network, seen.views)]
        former = [F.normalize(f, dim=1) for f in together(self.former, seen.views)]
        self._met = keys, former
        if not self.past:
            terms = [
                info_nce(
                    queries[view],
                    keys[1 - view],
                    negatives=self.queues[1 - view].keys,
                    in_batch=False,
                    temperature=self.temperatures[0],
                )
                for view in range(2)
            ]
            return {"plasticity": torch.stack(terms).mean()}
        predicted = together(self.predictor, queries)
        found = [
            sycon(
                queries[view],
                keys[1 - view],
                predicted[view],
                former[view],
                self.negatives(1 - view),
                temperature=self.temperatures[0],
                former_temperature=self.temperatures[1],
            )
            for view in range(2)
        ]
        return {name: torch.stack([terms[name] for terms in found]).mean() for name in found[0]}

    def negatives(self, view: int) -> Tensor:
        """What both networks said of one view of past pictures (K, D)."""
        present, past = self.queues[view].keys, self.past_queues[view].keys
        full = bool(self.written >= len(past))
        return torch.cat([present, past]) if self.shared and full else present

    def after_step(self) -> None:
        self.key_network.update(self.network, self.progress)
        keys, former = self._met
        for view in range(2):
            self.queues[view].enqueue(*self.gather(keys[view]))
            self.past_queues[view].enqueue(*self.gather(former[view]))
        self.written.add_(len(former[0]))


class _Queues(nn.ModuleList):
    """A queue for each view."""

    def __getitem__(self, view: int) -> FeatureQueue:  # type: ignore[override]
        found = super().__getitem__(view)
        assert isinstance(found, FeatureQueue)
        return found
