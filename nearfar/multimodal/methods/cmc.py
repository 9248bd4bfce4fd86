"""CMC: contrastive multiview coding, for any number of views or modalities."""

from __future__ import annotations

from functools import partial
from itertools import permutations
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from nearfar.common.share import for_examples, whole_batch
from nearfar.losses import memory_contrast, memory_normalizer, symmetric_info_nce
from nearfar.losses.contrast.memory import MemoryForm
from nearfar.multimodal.tuple_method import TupleMethod, pairwise
from nearfar.multimodal.tuples import Modalities, Towers, TupleBatch
from nearfar.parts import InstanceMemory
from nearfar.training import Optimization

Graph = Literal["core", "full"]
Negatives = Literal["memory", "batch"]


class CMC(TupleMethod):
    """Tian, Krishnan and Isola, 2019, arXiv 1906.05849.

    What several views of a thing share is learned by finding each view's row in a memory of the other view among many
    rows drawn from it. A memory holds the running embedding of every example in its view, so the number of negatives
    does not depend on the batch. The representation is that of all views side by side. Rows that lack one of two views
    take no part in that pair; in a memory their row stays as it began, and may be drawn as a negative.

    The paper's rate falls at 120, 160 and 200 of 240 epochs; ``schedule="step"`` falls twice, at 60% and 80% of a run.
    The rows that are drawn may hold the query's own, as in the released code. ``negatives="batch"`` contrasts within
    the batch instead, which is another method under the same name: use it where the collection is too large for a
    memory of (examples, dim) for every view.

    Args:
        schema: the views; taken from the data.
        rows: examples of the collection; taken from the data.
        towers: the encoders.
        projection_dim: width of the shared space.
        negatives: ``memory`` or ``batch``.
        drawn: rows of a memory drawn for each query, K in the paper.
        form: ``nce`` decides of every row whether it is the query's; ``softmax`` chooses among them.
        graph: ``full`` contrasts all pairs of views, ``core`` the first view with each other.
        temperature: divides the logits; constant.
        momentum: share of its old row that a memory keeps.
        optimization: SGD with the paper's settings.
    """

    normalizers: Tensor

    def __init__(
        self,
        schema: Modalities | None = None,
        rows: int | None = None,
        *,
        towers: Towers = Towers(),
        projection_dim: int = 128,
        negatives: Negatives = "memory",
        drawn: int = 16384,
        form: MemoryForm = "nce",
        graph: Graph = "full",
        temperature: float = 0.07,
        momentum: float = 0.5,
        optimization: Optimization = Optimization("sgd", lr=0.03, weight_decay=1e-4, schedule="step"),
    ) -> None:
        super().__init__(schema, towers, projection_dim, optimization)
        if negatives not in get_args(Negatives) or graph not in get_args(Graph):
            raise ValueError(
                f"negatives must be 'memory' or 'batch' and graph 'core' or 'full', got {negatives!r} and {graph!r}"
            )
        if drawn < 1 or (negatives == "memory" and not rows):
            raise ValueError(f"drawn must be at least 1 and rows are taken from the data; got {drawn} and {rows}")
        self.negatives, self.drawn, self.form, self.temperature = negatives, drawn, form, temperature
        self.core = graph == "core"
        count = len(self.encoder.towers)
        views = range(count if negatives == "memory" else 0)
        self.memories = nn.ModuleList(InstanceMemory(rows or 1, projection_dim, momentum) for _ in views)
        self.register_buffer("normalizers", torch.zeros(count, count))

    def loss(self, views: TupleBatch) -> Tensor:
        local = self.encoder.each(views)
        embedded, present = self.gather(*local), whole_batch(views.present)
        if self.negatives == "batch":
            loss = partial(symmetric_info_nce, temperature=self.temperature)
            return pairwise(embedded, present, loss, core=self.core)
        self.collect(rows=views.rows, present=views.present.float(), embedded=torch.stack(local, 1))
        sample = whole_batch(torch.cat([views.rows.unsqueeze(1), self._others(views.rows)], 1))
        total = torch.stack([z.sum() for z in embedded]).sum() * 0  # so that every tower has a gradient
        for a, b in permutations(range(len(embedded)), 2):
            both = present[:, a] & present[:, b]
            if (0 in (a, b) or not self.core) and bool(both.any()):
                total = total + self._sought(embedded[a][both], a, b, sample[both])
        return total

    def _others(self, rows: Tensor) -> Tensor:
        """Rows of the memories drawn for each query, (N, K)."""
        size = len(self.memories[0])  # type: ignore[arg-type]

        def draw(count: int) -> Tensor:
            return torch.randint(size, (count, self.drawn), generator=self.generator, device=rows.device)

        return for_examples(draw, len(rows))

    def _sought(self, queries: Tensor, a: int, b: int, sample: Tensor) -> Tensor:
        """Queries of view ``a`` find themselves in the memory of view ``b``."""
        bank = self.memories[b].rows
        assert isinstance(bank, Tensor)
        if self.form == "nce" and float(self.normalizers[a, b]) == 0:
            estimate = memory_normalizer(queries.detach(), bank, sample, temperature=self.temperature)
            self.normalizers[a, b] = estimate
        return memory_contrast(
            queries, bank, sample, temperature=self.temperature, form=self.form, normalizer=self.normalizers[a, b]
        )

    def after_step(self) -> None:
        if self.negatives == "batch":
            return
        rows, here, embedded = (self.collected(name) for name in ("rows", "present", "embedded"))
        for view, memory in enumerate(self.memories):
            there = here[:, view] > 0
            assert isinstance(memory, InstanceMemory)
            memory.update(rows[there], embedded[there, view])
