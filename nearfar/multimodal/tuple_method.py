"""What methods on any number of modalities share: views, embeddings, retrieval of each modality from the others."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from nearfar.common.share import whole_batch
from nearfar.evaluation import GEOMETRY, effective_rank, knn, retrieval
from nearfar.multimodal.data.tuples import Tuples
from nearfar.multimodal.tuples import Modalities, RowEncoder, Towers, TupleBatch, TupleEncoder
from nearfar.sources.data import Data, in_order
from nearfar.sources.labels import known
from nearfar.system import Scores
from nearfar.training import Method, Optimization
from nearfar.training.embed import to_device
from nearfar.vision.views import Recipe

__all__ = ["RowMethod", "TupleMethod", "pairwise"]

MOST = 500
"""Rows of a held-out set that look for each other."""


class RowMethod(Method):
    """A method on rows of several modalities. A subclass builds ``encoder`` and writes :meth:`loss`, and :meth:`match`
    where it differs.

    Args:
        optimization: how the parameters move.
        crop_scale: smallest share of a picture's area that the random crop keeps, in (0, 1].
    """

    takes: ClassVar[type | None] = TupleBatch
    encoder: RowEncoder

    def __init__(self, optimization: Optimization, crop_scale: float) -> None:
        super().__init__(optimization)
        self.crop = Recipe(scale=(crop_scale, 1.0))

    def views(self, batch: TupleBatch) -> TupleBatch:
        """The rows, of whose pictures a random crop is taken: the same one of every picture of a row."""
        before = self.generator.get_state()
        cells = dict(batch.cells)
        for name, kind in zip(self.encoder.modalities.names, self.encoder.modalities.kinds, strict=True):
            if kind == "picture":
                self.generator.set_state(before)
                cells[name] = self.crop(cells[name], self.generator)
        return batch._replace(cells=cells)

    def match(self, given: list[Tensor], candidates: Tensor) -> Tensor:
        """Scores (N, K) of candidates (K, D) of one modality for rows of which the others are given, (N, D) each."""
        return torch.stack(given).sum(0) @ candidates.T

    def evaluate(self, data: Data, *, seed: int = 0) -> Scores:
        """``R@1 <modality> <set>``: how often the others find the row's cell, or one equal to it, among up to 500 rows;
        ``knn <set>`` where there are labels; the effective rank of the embeddings."""
        sets = dict(data.splits()) or {"data": data}
        scores = Scores(neither=GEOMETRY)
        with self.frozen():
            train = self._embedded(data.sample(2000, seed)) if data.labels is not None and data.splits() else None
            for name, held in sets.items():
                few = held.sample(MOST, seed)
                assert isinstance(held, Tuples)
                rows, embedded, present = self._embedded(few)
                for position, modality in enumerate(self.encoder.modalities.names):
                    groups = held.groups(modality)[rows]
                    found = self._found(embedded, present, position, groups)
                    if found is not None:
                        scores[f"R@1 {modality} {name}"] = found
                table = torch.cat(embedded, 1).numpy()
                if "effective_rank" not in scores:
                    scores["effective_rank"] = float(effective_rank(table))
                if train is not None and held.labels is not None and data.labels is not None:
                    bank, of_bank = torch.cat(train[1], 1).numpy(), data.labels[train[0]]
                    ours = held.labels[rows]
                    here, there = known(of_bank), known(ours)
                    if here.any() and there.any():
                        k = min(20, int(here.sum()))
                        scores[f"knn {name}"] = knn(bank[here], of_bank[here], table[there], ours[there], k=k)
        return scores

    def _found(self, embedded: list[Tensor], present: Tensor, position: int, groups: np.ndarray) -> float | None:
        """How often a modality is found by the others; ``None`` where fewer than two rows could tell."""
        others = [m for m in range(len(embedded)) if m != position]
        asks = present[:, position] & present[:, others].any(1)
        if asks.sum() < 2 or len(np.unique(groups[asks.numpy()])) < 2:
            return None
        scores = self.match([embedded[m][asks] for m in others], embedded[position][asks]).numpy()
        mine = groups[asks.numpy()]
        return retrieval(scores, (mine, mine), ks=(1,))["hit@1"]

    def _embedded(self, data: Data) -> tuple[np.ndarray, list[Tensor], Tensor]:
        """Rows in their own collection, embeddings of every modality and which cells are there, on the processor."""
        rows, parts, present = [], [], []
        for _, batch in in_order(data, 256):
            rows.append(batch.rows.numpy())
            parts.append([z.float().cpu() for z in self.encoder.each(to_device(batch, self.device))])
            present.append(batch.present)
        each = [torch.cat(column) for column in zip(*parts, strict=True)]
        return np.concatenate(rows), each, torch.cat(present)


class TupleMethod(RowMethod):
    """A method on rows of several modalities with a tower for each.

    Args:
        schema: the modalities; taken from the data.
        towers: their encoders.
        dim: width of the shared space.
        optimization: how the parameters move.
        norm: whether a layer norm follows each projection.
        indicator: whether a missing cell has a learned representation.
    """

    encoder: TupleEncoder

    def __init__(
        self,
        schema: Modalities | None,
        towers: Towers,
        dim: int,
        optimization: Optimization,
        *,
        norm: bool = False,
        indicator: bool = False,
    ) -> None:
        super().__init__(optimization, towers.crop_scale)
        if schema is None or len(schema.names) < 2:
            raise ValueError("schema is needed, with two modalities or more; it is taken from the data")
        self.encoder = TupleEncoder(schema, towers, dim, norm=norm, indicator=indicator)

    def everywhere(self, views: TupleBatch) -> tuple[tuple[Tensor, ...], Tensor]:
        """Embeddings of every modality in the global batch, and which of its cells are there (N, M)."""
        return self.gather(*self.encoder.each(views)), whole_batch(views.present)


def pairwise(
    embedded: tuple[Tensor, ...], present: Tensor, loss: Callable[[Tensor, Tensor], Any], *, core: bool = False
) -> Tensor:
    """The sum of a loss of two modalities over all pairs of them, each of the rows that have both.

    Args:
        embedded: (N, D) of every modality.
        present: (N, M) bool.
        loss: of two (n, D), n at least 2.
        core: only pairs with the first modality.
    """
    total = torch.stack([z.sum() for z in embedded]).sum() * 0  # so that every tower has a gradient
    for a, b in combinations(range(len(embedded)), 2):
        both = present[:, a] & present[:, b]
        if (a == 0 or not core) and int(both.sum()) > 1:
            total = total + loss(embedded[a][both], embedded[b][both])
    return total
