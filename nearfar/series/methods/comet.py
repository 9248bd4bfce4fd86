"""COMET: contrast at the levels of a medical recording: step, segment, trial, patient."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from nearfar.losses import hierarchical_contrast, id_contrast
from nearfar.series.data import SeriesBatch
from nearfar.series.method import SeriesMethod
from nearfar.series.views import continuous_mask
from nearfar.training import Data, Optimization

Views = tuple[Tensor, tuple[Tensor, Tensor], Tensor]


class COMET(SeriesMethod):
    """Wang et al., 2023, NeurIPS, arXiv 2310.14017; DL4mHealth/COMET.

    Four contrasts, from fine to coarse: a step finds itself in another mask of its segment, along time (observation)
    and across the batch (sample), as in TS2Vec; segments of one trial, and of one patient, attract each other
    (:func:`nearfar.losses.id_contrast`). Masks hide five stretches of a tenth each; the segments of the two upper
    levels are not masked and differ by dropout alone. Batches keep the segments of a trial together.

    The release multiplies only the two lower levels by their factors; the paper, and this, all four, unless
    ``legacy_weights``. The release makes two passes for every level; here the two lower levels share theirs, and so do
    the two upper ones.

    Args:
        in_channels: numbers at a step; taken from the data when not given.
        hidden: width of the residual blocks.
        out_features: width of the representation.
        depth: number of hidden blocks.
        patient, trial, sample, observation: factors of the four levels, at least 0, 1 together in the paper; a quarter
            each for Alzheimer's EEG, 0.1, 0.7, 0.1 and 0.1 for PTB. 0 leaves a level out.
        temperature: of the two upper levels, above 0.
        legacy_weights: the two upper levels have weight 1, as released.
        context: steps before a step that its representation sees in forecasts.
        centre, spread: of the channels; taken from the data when not given.
        optimization: AdamW at a constant rate, as released.
    """

    def __init__(
        self,
        in_channels: int | None = None,
        *,
        hidden: int = 64,
        out_features: int = 320,
        depth: int = 10,
        patient: float = 0.25,
        trial: float = 0.25,
        sample: float = 0.25,
        observation: float = 0.25,
        temperature: float = 0.1,
        legacy_weights: bool = False,
        context: int = 200,
        centre: tuple[float, ...] | None = None,
        spread: tuple[float, ...] | None = None,
        optimization: Optimization = Optimization(
            "adamw", lr=1e-4, weight_decay=1e-2, schedule="constant", decay_all=True
        ),
    ) -> None:
        super().__init__(
            in_channels,
            hidden=hidden,
            out_features=out_features,
            depth=depth,
            centre=centre,
            spread=spread,
            optimization=optimization,
        )
        self.factors = {"patient": patient, "trial": trial, "sample": sample, "observation": observation}
        if min(self.factors.values()) < 0 or not any(self.factors.values()):
            raise ValueError(f"the factors must be at least 0 and not all 0, got {self.factors}")
        self.temperature, self.legacy_weights, self.context = temperature, legacy_weights, context

    def begin(self, data: Any) -> None:
        groups = getattr(data, "groups", np.full((1, 2), -1))
        for column, level in enumerate(("patient", "trial")):
            if self.factors[level] and (groups.shape[1] <= column or (groups[:, column] < 0).all()):
                raise ValueError(
                    f"{data.name} does not say which {level} a series is of, which --{level} above 0 needs; give the "
                    f"table a column {level}, or set the factor to 0"
                )

    def order(self, data: Data, rng: np.random.Generator) -> np.ndarray:
        """Trials in random order, the segments of each together, in random order too."""
        order = data.order(rng)
        groups = getattr(data, "groups", np.zeros((0, 0)))
        sections = getattr(data, "sections", None)
        if sections is None or groups.shape[1] < 2:
            return order
        trials = groups[[row for row, _, _ in sections], 1][order]
        place = {trial: position for position, trial in enumerate(rng.permutation(np.unique(trials)))}
        return order[np.argsort([place[trial] for trial in trials], kind="stable")]

    def views(self, batch: SeriesBatch) -> Views:
        rows, steps = batch.values.shape[:2]
        first, second = (continuous_mask(rows, steps, generator=self.generator) for _ in range(2))
        return batch.values, (first, second), batch.groups

    def loss(self, views: Views) -> dict[str, Tensor]:
        values, masks, groups = views
        terms: dict[str, Tensor] = {}
        if self.factors["observation"] or self.factors["sample"]:
            z1, z2 = (self.network(values, mask) for mask in masks)
            for level, alpha in (("observation", 0.0), ("sample", 1.0)):
                if self.factors[level]:
                    terms[level] = self.factors[level] * hierarchical_contrast(z1, z2, alpha=alpha, last=False)
        if self.factors["trial"] or self.factors["patient"]:
            z1, z2 = self.network(values), self.network(values)
            for column, level in enumerate(("patient", "trial")):
                if self.factors[level]:
                    factor = 1.0 if self.legacy_weights else self.factors[level]
                    terms[level] = factor * id_contrast(z1, z2, groups[:, column], temperature=self.temperature)
        return terms
