"""Symile: contrast among whole tuples, for any number of modalities."""

from __future__ import annotations

from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor

from nearfar.losses import symile, symmetric_info_nce
from nearfar.multimodal.tuple_method import TupleMethod, pairwise
from nearfar.multimodal.tuples import Modalities, Towers, TupleBatch
from nearfar.parts import LogitScale
from nearfar.training import Optimization

Negatives = Literal["n", "all"]
Objective = Literal["tuple", "pairwise"]


class Symile(TupleMethod):
    """Saporta, Puli, Goldstein and Ranganath, 2024, arXiv 2411.01053.

    A row's modalities are scored together, by the sum over dimensions of the product of their embeddings, and told from
    rows that were put together at random; so what no two modalities tell and all of them together do is learned too. A
    modality is found from the others by its inner product with their product. A missing cell has a representation of
    its own, learned for its modality: here it stands for the tower's output, where the released code joins it to the
    mean output. ``objective="pairwise"`` is the paper's baseline, CLIP's loss summed over all pairs of modalities that
    a row has; for two modalities alone CLIP itself is the one to take.

    The released experiments score layer-normalised embeddings of width 8192 without unit length, at ``exp(-6)`` for
    three modalities; unit length changes the unit of the temperature only, up to the gains of the layer norm.

    Args:
        schema: the modalities; taken from the data.
        towers: their encoders.
        projection_dim: width of the shared space.
        negatives: ``n`` draws as many negatives as there are rows, all anew for every anchor; ``all`` takes every
            combination of rows, N ** (M - 1) of them for M modalities, which fits for three and batches of a few
            hundred.
        objective: ``tuple`` or ``pairwise``.
        temperature: at the start; it is learned and never clamped. When not given, that at which scores of random
            tuples spread by 1 (0.07 for ``pairwise``).
        optimization: how the parameters move.
    """

    def __init__(
        self,
        schema: Modalities | None = None,
        *,
        towers: Towers = Towers(),
        projection_dim: int = 8192,
        negatives: Negatives = "n",
        objective: Objective = "tuple",
        temperature: float | None = None,
        optimization: Optimization = Optimization("adamw", lr=1e-4, weight_decay=1e-2, schedule="constant"),
    ) -> None:
        if negatives not in get_args(Negatives) or objective not in get_args(Objective):
            raise ValueError(
                "negatives must be 'n' or 'all' and objective 'tuple' or 'pairwise', "
                f"got {negatives!r} and {objective!r}"
            )
        tuples = objective == "tuple"
        super().__init__(schema, towers, projection_dim, optimization, norm=True, indicator=tuples)
        self.negatives, self.objective = negatives, objective
        if temperature is None:
            temperature = projection_dim ** ((1 - len(self.encoder.towers)) / 2) if tuples else 0.07
        self.scale = LogitScale(temperature)

    def loss(self, views: TupleBatch) -> Tensor:
        embedded, present = self.everywhere(views)
        temperature = self.scale.temperature
        if self.objective == "pairwise":
            return pairwise(embedded, present, partial(symmetric_info_nce, temperature=temperature))
        return symile(embedded, temperature=temperature, orders=self.orders(embedded[0]), normalize=False)

    def orders(self, like: Tensor) -> Tensor | None:
        """For every anchor and each other modality a permutation of the rows, (M, M - 1, N)."""
        if self.negatives == "all":
            return None
        count = len(self.encoder.towers)
        drawn = [
            torch.randperm(len(like), generator=self.generator, device=like.device) for _ in range(count * (count - 1))
        ]
        return torch.stack(drawn).view(count, count - 1, -1)

    def match(self, given: list[Tensor], candidates: Tensor) -> Tensor:
        if self.objective == "pairwise":
            return super().match(given, candidates)
        return torch.stack(given).prod(0) @ candidates.T
