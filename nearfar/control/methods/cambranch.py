"""CAMBranch: imitation of strong branching on problems and on the same problems moved."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nearfar.control.bipartite import BranchingNetwork, pooled
from nearfar.control.data.branchings import Branchings, DecisionBatch, drawn_shifts, moved_columns
from nearfar.control.method import kept_parts
from nearfar.losses import branching, info_nce
from nearfar.losses.control.branching import first_best
from nearfar.parts import MLPHead
from nearfar.sources.data import in_order
from nearfar.system import Scores
from nearfar.training import Method, Optimization

ADAM = Optimization("adam", lr=1e-3, weight_decay=0.0, schedule="constant")
MEASURED = 512


class CAMBranch(Method):
    r"""Lin et al., 2024, ICLR, arXiv 2402.03647, on the graph network of Gasse et al., 2019, arXiv 1906.01629.

    Moving every variable of a mixed-integer program, :math:`x' = x + s`, leaves strong branching's decision as it is
    (:func:`~nearfar.control.data.branchings.moved_columns`). The network learns that decision on the node and on the
    moved node, and the summary of a node has to find that of its own moved node among those of the batch:

    .. math:: L = L_{CE}(x) + \lambda_1 L_{CE}(x') + \lambda_2 L_{NCE}(g(x), g(x'))

    No code is released. The weights, the temperature, the span of the shifts and the head are the library's own. The
    rate is constant, where Gasse et al. lower it once their validation stands still.

    Args:
        hidden: width of all layers.
        shifted: :math:`\lambda_1`, at least 0.
        contrast: :math:`\lambda_2`, at least 0; with both at 0 it is Gasse et al.'s imitation.
        temperature: of the contrast, above 0.
        span: shifts are drawn within so much of 0; whole numbers but for continuous variables. At least 1.
        optimization: Adam 1e-3.
    """

    verbs = ("predicts",)
    takes = DecisionBatch
    can_collapse = False
    encoder: BranchingNetwork

    def __init__(
        self,
        *,
        hidden: int = 64,
        shifted: float = 0.1,
        contrast: float = 0.01,
        temperature: float = 0.1,
        span: float = 5.0,
        optimization: Optimization = ADAM,
    ) -> None:
        super().__init__(optimization)
        for name, value, least in (("shifted", shifted, 0), ("contrast", contrast, 0), ("span", span, 1)):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        self.encoder = BranchingNetwork(hidden)
        self.choice = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1, bias=False))
        self.head = MLPHead(4 * hidden, hidden, hidden, norm="none")
        self.shifted, self.contrast, self.temperature, self.span = shifted, contrast, temperature, span

    def begin(self, data: Branchings) -> None:
        rows = np.arange(len(data)) if len(data) <= MEASURED else np.linspace(0, len(data) - 1, MEASURED).astype(int)
        batch = data.batch(rows)
        self.encoder.fix_norms(DecisionBatch(*(part.to(self.device) for part in batch)))

    def views(self, batch: DecisionBatch) -> tuple[DecisionBatch, DecisionBatch]:
        return batch, moved_columns(batch, drawn_shifts(batch, self.span, self.generator))

    def seen(self, batch: DecisionBatch) -> tuple[Tensor, Tensor]:
        """Logits (K,) of the candidates, and summaries (B, D) of the nodes."""
        columns, rows = self.encoder(batch)
        count = len(batch.sizes)
        summary = torch.cat([pooled(columns, batch.of_columns, count), pooled(rows, batch.of_rows, count)], 1)
        return self.choice(columns[batch.candidates]).squeeze(1), self.head(summary)

    def loss(self, views: tuple[DecisionBatch, DecisionBatch]) -> dict[str, Tensor]:
        (logits, own), (logits_moved, moved) = map(self.seen, views)
        told = views[0].scores, views[0].of_candidates
        terms = {"imitation": branching(logits, *told)}
        if self.shifted:
            terms["moved"] = self.shifted * branching(logits_moved, *told)
        if self.contrast:
            terms["contrast"] = self.contrast * info_nce(*self.gather(own, moved), temperature=self.temperature)
        return terms

    def logits(self, batch: DecisionBatch) -> Tensor:
        """(K,) how much each candidate recommends itself."""
        return self.choice(self.encoder(batch)[0][batch.candidates]).squeeze(1)

    def predict(self, batch: DecisionBatch) -> Tensor:
        """(B,) the column of each node to branch on, counted from the node's first."""
        count = len(batch.sizes)
        best = batch.candidates[first_best(self.logits(batch), batch.of_candidates, count)]
        return best - (batch.sizes.cumsum(0) - batch.sizes)

    def kept(self) -> nn.Module:
        return kept_parts({"encoder": self.encoder, "choice": self.choice})

    def evaluate(self, data: Any, *, seed: int = 0) -> Scores:
        """In how many nodes one of the best candidates of strong branching is the first, or among the first five; of
        nodes that are held out, where there are such, as they are and ``moved`` by shifts that are drawn."""
        held_out = data.held_out if data.held_out is not None else data
        generator = torch.Generator().manual_seed(seed)
        found: dict[str, list[float]] = {}
        for _, batch in in_order(held_out, 32):
            for name, seen in (
                ("", batch),
                (" moved", moved_columns(batch, drawn_shifts(batch, self.span, generator))),
            ):
                with self.frozen():
                    logits = self.logits(DecisionBatch(*(part.to(self.device) for part in seen))).cpu()
                for part in range(len(batch.sizes)):
                    mine = batch.of_candidates == part
                    scores, order = batch.scores[mine], logits[mine].argsort(descending=True)
                    for k in (1, 5):
                        hit = float(scores[order[:k]].max() >= scores.max() - 1e-6 * scores.max().abs())
                        found.setdefault(f"accuracy@{k}{name}", []).append(hit)
        return Scores({name: float(np.mean(hits)) for name, hits in found.items()})
