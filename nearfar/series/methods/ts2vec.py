"""TS2Vec: contextual representations of every step of a series, contrasted at every scale."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from nearfar.losses import hierarchical_contrast
from nearfar.series.anomalies import Anomalies, series_anomalies
from nearfar.series.data import SeriesBatch
from nearfar.series.method import ADAMW, SeriesMethod
from nearfar.series.views import Crops, binomial_mask, overlapping_crops
from nearfar.training import Optimization


class TS2Vec(SeriesMethod):
    """Yue et al., 2021, AAAI 2022, arXiv 2106.10466; zhihanyue/ts2vec.

    A step must find itself in another crop of its series, with other steps hidden: among the steps of its series, and
    among the series at that step; at every scale, as time is pooled by two until one step is left
    (:func:`nearfar.losses.hierarchical_contrast`). Steps are hidden after the linear map, by a mask of fair coins. The
    network that is kept is the average of all that training went through.

    Memory grows linearly with the length of series. Each process contrasts its own batch. Shorter series stand in the
    middle of the batch and what lies outside them is a gap; the maximum over steps leaves it out, where the released
    code takes it in.

    Its anomaly score is the released one: how far the representation of a step moves when that step is hidden, beside
    the 21 steps before (:func:`nearfar.series.anomalies.step_anomalies`); a series scores as its worst step.

    Args:
        in_channels: numbers at a step; taken from the data when not given.
        hidden: width of the residual blocks.
        out_features: width of the representation.
        depth: number of hidden blocks; block i sees 2^(i+1) steps to each side.
        alpha: share of the contrast across series, in [0, 1]; the rest is along time.
        temporal_unit: scales below this number have no contrast along time: for very long series.
        masked: hide steps of each view, with probability 1/2.
        context: steps before a step that its anomaly score sees.
        centre, spread: of the channels, with which what comes in is standardised; taken from the data when not given.
        optimization: AdamW at a constant rate, as released.
    """

    verbs = ("embeds", "scores")

    def __init__(
        self,
        in_channels: int | None = None,
        *,
        hidden: int = 64,
        out_features: int = 320,
        depth: int = 10,
        alpha: float = 0.5,
        temporal_unit: int = 0,
        masked: bool = True,
        context: int = 200,
        centre: tuple[float, ...] | None = None,
        spread: tuple[float, ...] | None = None,
        optimization: Optimization = ADAMW,
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
        self.alpha, self.temporal_unit, self.masked, self.context = alpha, temporal_unit, masked, context

    def views(self, batch: SeriesBatch) -> tuple[Crops, Sequence[Tensor | None]]:
        crops = overlapping_crops(batch.values, shortest=2 ** (self.temporal_unit + 1), generator=self.generator)
        if not self.masked:
            return crops, (None, None)
        shapes = (crops.first.shape[:2], crops.second.shape[:2])
        return crops, [binomial_mask(*shape, generator=self.generator) for shape in shapes]

    def loss(self, views: tuple[Crops, Sequence[Tensor | None]]) -> Tensor:
        crops, masks = views
        first = self.network(crops.first, masks[0])[:, -crops.shared :]
        second = self.network(crops.second, masks[1])[:, : crops.shared]
        return hierarchical_contrast(first, second, alpha=self.alpha, temporal_unit=self.temporal_unit)

    def score(self, batch: SeriesBatch) -> Anomalies:
        """For every series the score of its worst step, and which step that is."""
        return series_anomalies(self.encode_steps, batch, self.context)
