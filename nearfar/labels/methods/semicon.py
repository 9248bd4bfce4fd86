"""SemiCon: online semi-supervised general continual learning."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from nearfar.labels.data import LabelledBatch
from nearfar.labels.evaluation import evaluate, split
from nearfar.labels.history import TaskMethod
from nearfar.labels.keys import Reservoir
from nearfar.labels.method import Seen
from nearfar.losses import semicon
from nearfar.parts import MLPHead
from nearfar.sources.tasks import Tasks
from nearfar.system import Scores
from nearfar.training import Data, Optimization, embed
from nearfar.vision.method import ImageBatch, together


class SemiCon(TaskMethod):
    """Michel et al., 2022, ICIP, arXiv 2207.05615.

    A stream goes by once, unlabelled; only pictures that enter a small memory get a label. Every step contrasts
    pictures from memory by class and those of the stream with their other view, all in one softmax. Without stream
    anchors (``alpha=0``) it learns from memory as a supervised learner would. Train for one epoch; the memory is filled
    after each step, and before it holds anything the stream alone is learned from (the released code waits).

    Args:
        encoder: image encoder, by name or as a module; the paper's is a narrow ResNet-18.
        num_tasks: of the stream; taken from the data.
        picture_size: side of the pictures in the memory; taken from the data.
        projection_dim: width of the space where views are compared.
        memory: pictures kept: 200 or 500 for CIFAR-10, 2,000 or 5,000 for CIFAR-100.
        drawn: pictures from memory in each step: 100 for CIFAR-10, 500 for CIFAR-100.
        alpha: weight of anchors of the stream, at least 0.
        temperature: divides the similarities, above 0.
        views: recipe of random views.
        optimization: plain SGD at a constant rate, as released.
    """

    needs_labels = True
    asked: Tensor

    def __init__(
        self,
        encoder: str | nn.Module = "resnet18-cifar",
        *,
        num_tasks: int | None = None,
        picture_size: int | None = None,
        projection_dim: int = 128,
        memory: int = 200,
        drawn: int = 100,
        alpha: float = 1.0,
        temperature: float = 0.07,
        views: str = "simclr",
        optimization: Optimization = Optimization("sgd", lr=0.1, momentum=0.0, weight_decay=0.0, schedule="constant"),
    ) -> None:
        super().__init__(encoder, views, optimization, num_tasks=num_tasks)
        if picture_size is None:
            raise ValueError("picture_size is needed: the side of the pictures that the memory keeps")
        if drawn < 1 or not alpha >= 0:
            raise ValueError(f"drawn must be at least 1 and alpha at least 0, got {drawn} and {alpha}")
        self.head = MLPHead(self.features, self.features, projection_dim, norm="none")
        self.memory = Reservoir(memory, (3, picture_size, picture_size))
        self.register_buffer("asked", torch.zeros((), dtype=torch.long))
        self.drawn, self.alpha, self.temperature = drawn, alpha, temperature

    def views(self, batch: LabelledBatch) -> Seen:  # type: ignore[override]
        images = batch.pictures.images
        images = images[:, 0] if images.ndim == 5 else images
        self._met = images, batch.labels
        have = len(self.memory)
        chosen = torch.randperm(have, generator=self.generator, device=images.device)[: self.drawn]
        labels = torch.cat([self.memory.labels[chosen], torch.full_like(batch.labels, -1)])
        pictures = torch.cat([self.memory.pictures[chosen], images])
        rows = torch.arange(len(pictures), device=images.device)
        return super().views(LabelledBatch(ImageBatch(pictures, rows), labels, {}))

    def loss(self, seen: Seen) -> Tensor:  # type: ignore[override]
        z1, z2 = self.gather(*together(self.network, seen.views))
        (labels,) = self.gather(seen.labels)
        # With nothing in memory, whatever alpha, the stream is all there is to learn from.
        alpha = self.alpha if bool((labels >= 0).any()) else max(self.alpha, 1.0)
        return semicon(z1, z2, labels, alpha=alpha, temperature=self.temperature)

    def after_step(self) -> None:
        pictures, labels = self._met
        draws = torch.rand(len(pictures), generator=self.generator, device=pictures.device, dtype=torch.float64)
        self.asked.add_(self.memory.admit(pictures, labels, draws))

    def kept(self) -> nn.Module:
        kept = super().kept()
        assert isinstance(kept, nn.ModuleDict)
        kept["memory"] = self.memory
        return kept

    def evaluate(self, data: Data, *, seed: int = 0) -> Scores:
        """As every method on tasks, and ``ncm``: the share of held-out pictures of all tasks nearest to the mean of
        their class, at length 1, in the memory's representation; ``labels asked``, pictures whose label was asked."""
        scores = evaluate(self, data, seed=seed)
        tasks = data.tasks if isinstance(data, Tasks) else [data]
        tests = [embed(self, part) for task in tasks for part in split(task, seed)[1].values()]
        have = len(self.memory)
        if have and tests and all(t.labels is not None for t in tests):
            with self.frozen():
                bank = self.encoder(self.memory.pictures[:have]).cpu().numpy()
            x, y = np.concatenate([t.array for t in tests]), np.concatenate([np.asarray(t.labels) for t in tests])
            scores["ncm"] = float((nearest_mean(bank, self.memory.labels[:have].cpu().numpy(), x) == y).mean())
        return scores.add(Scores({"labels asked": float(self.asked)}, neither=["labels asked"]))


def nearest_mean(bank: np.ndarray, labels: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The class (N,) whose mean in ``bank`` is nearest to each row, all at length 1."""

    def unit(rows: np.ndarray) -> np.ndarray:
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)

    classes = np.unique(labels)
    means = unit(np.stack([unit(bank[labels == c]).mean(0) for c in classes]))
    return classes[(unit(x) @ means.T).argmax(1)]
