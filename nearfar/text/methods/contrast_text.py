"""Two dropout masks of every sentence, or pairs of sentences, under any objective."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from torch import Tensor, nn

from nearfar.encoders.text import Pooling
from nearfar.parts.objectives import Objective
from nearfar.parts.objectives import objective as named
from nearfar.text.method import TextBatch, TextMethod
from nearfar.training import Optimization


class ContrastText(TextMethod):
    """The five parts of contrast with the objective left open (Le-Khac et al., 2020, arXiv 2010.05113).

    It is nobody's paper: a way to try an objective on sentences without writing a method. Views are those of SimCSE:
    the sentence under two dropout masks, or a sentence and its partner where the data has partners.

    Args:
        encoder: sentence encoder, by name or as a ``TextEncoder``.
        objective: by name; see :data:`nearfar.parts.objectives.OBJECTIVES`.
        temperature: of the objectives that have one, above 0.
        pooling: how token states become one vector.
        max_length: tokens kept per sentence.
        dropout: probability of every dropout in the encoder; the encoder's own when not given.
        optimization: AdamW with linear decay, as SimCSE's.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "hf:bert-base-uncased",
        *,
        objective: Objective = "info_nce",
        temperature: float = 0.05,
        pooling: Pooling = "avg",
        max_length: int = 32,
        dropout: float | None = None,
        optimization: Optimization = Optimization("adamw", lr=3e-5, weight_decay=0.0, schedule="linear"),
    ) -> None:
        super().__init__(encoder, pooling, max_length, dropout, optimization)
        self.head = nn.Linear(self.features, self.features)
        self.objective, self.temperature = named(objective), temperature

    def views(self, batch: TextBatch) -> tuple[list[str], list[str]]:
        """Two lists of N sentences."""
        return batch.sentences, batch.positives or batch.sentences

    def loss(self, views: tuple[list[str], list[str]]) -> Tensor | Mapping[str, Tensor]:
        # One pass over both: equal sentences get different dropout masks.
        z1, z2 = self.gather(*self.head(self.encoder([*itertools.chain(*views)])).chunk(2))
        return self.objective(z1, z2, self.temperature)
