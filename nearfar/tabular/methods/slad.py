"""SLAD: what is normal shows in whether the sizes of a row's parts can be told from their images."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from nearfar.losses import scale_alignment
from nearfar.sources.data import in_order
from nearfar.tabular.method import AnomalyMethod
from nearfar.tabular.scales import ScaleNetwork, feature_weights
from nearfar.tabular.schema import TableBatch, TableSchema
from nearfar.training import Optimization

# Rows that the weights of features are computed from, at most.
WEIGHED = 20_000


class SLAD(AnomalyMethod):
    """Xu et al., 2023, ICML, arXiv 2305.16114; xuhongzuo/scale-learning.

    Random subsets of a row's features are mapped to one width by fixed random maps. A network learns, on normal rows,
    to tell from an image how much went into it; what is compared is the distribution over the ten parts of a group
    (:func:`nearfar.losses.scale_alignment`). Rows whose parts are told badly are strange; the score is the mean over
    all groups.

    The release fills each of 20 groups with rows drawn with repetition, about k n examples an epoch with k from 50 (500
    rows) to 1 (100,000); here an epoch meets every row once, in a group drawn anew. Features are scaled to [0, 1] by
    the rows of training; categories are ones and zeros. Scoring folds the fixed maps into the first layer, which gives
    the same numbers.

    Args:
        schema: the columns of the table; taken from the data.
        groups: number of groups of parts.
        parts: parts of a group, c in the paper.
        width: of the image of a part, h in the paper.
        hidden: of the network.
        magnify: multiplies the sizes.
        pool: different sizes of parts.
        divergence: ``release``, or ``js`` as the paper writes it.
        reasons: columns named for each row that is scored, as the strongest reasons; 0 is faster.
        optimization: Adam at a constant rate, as released.
    """

    encoder: ScaleNetwork

    def __init__(
        self,
        schema: TableSchema | None = None,
        *,
        groups: int = 20,
        parts: int = 10,
        width: int = 128,
        hidden: int = 100,
        magnify: float = 200.0,
        pool: int = 50,
        divergence: Literal["release", "js"] = "release",
        reasons: int = 3,
        optimization: Optimization = Optimization(
            "adam", lr=1e-3, weight_decay=1e-5, schedule="constant", decay_all=True
        ),
    ) -> None:
        super().__init__(schema, reasons, optimization)
        self.encoder = ScaleNetwork(
            self.schema.features,
            groups=groups,
            parts=parts,
            width=width,
            hidden=hidden,
            magnify=magnify,
            pool=pool,
        )
        self.groups, self.divergence = groups, divergence

    def begin(self, data: Any) -> None:
        """The weights of the features, from the rows of training."""
        rows = [self.features(batch) for _, batch in in_order(data.sample(WEIGHED), 4096)]
        self.encoder.weights.copy_(feature_weights(torch.cat(rows)))

    def views(self, batch: TableBatch) -> tuple[Tensor, Tensor]:
        x = self.features(batch)
        return x, torch.randint(self.groups, (len(x),), generator=self.generator, device=self.generator.device)

    def loss(self, views: tuple[Tensor, Tensor]) -> Tensor:
        x, group = views
        return scale_alignment(self.encoder(x, group), self.encoder.targets()[group], divergence=self.divergence)

    def rate(self, x: Tensor) -> Tensor:
        targets = self.encoder.targets()
        told = self.encoder.all_groups(x, self.encoder.folded())
        rows = [
            scale_alignment(told[g], targets[g].expand_as(told[g]), divergence=self.divergence, reduction="none")
            for g in range(self.groups)
        ]
        return torch.stack(rows).mean(0)
