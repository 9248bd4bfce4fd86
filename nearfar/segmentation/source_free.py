"""Adapting a finished segmenter without the data that it was trained on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from nearfar.parts import MomentumEncoder
from nearfar.segmentation.data.pairs import PairBatch
from nearfar.segmentation.method import SegmentationMethod, Segmenter, draw_appearances
from nearfar.segmentation.pseudo_labels import without_dropout
from nearfar.segmentation.source_labels import balanced_labels, class_thresholds, probabilities
from nearfar.segmentation.source_model import load_source
from nearfar.sources.data import in_order
from nearfar.training import Data, Optimization, Phase

BATCH = 8


class SourceFree(SegmentationMethod):
    """A segmenter whose run, or the last part of it, adapts to pictures without labels.

    When adaptation starts, the segmenter as it is then labels all of them once; the labels are kept in memory, a byte
    per pixel. From there on its decoder is frozen. A subclass says what an adapting step learns: it gives
    :meth:`labelled_views` while it is not :attr:`adapting`.

    Args:
        encoder, num_classes, optimization: see :class:`nearfar.segmentation.method.SegmentationMethod`, as for
            ``options``.
        source: folder of a finished run to start from, or a ``.safetensors`` file of its encoder; the whole run adapts.
        source_share: without ``source``, the share of the run that trains the source model, in [0, 1]; half of it when
            not given.
        adaptation_lr: multiple of the schedule's rate during adaptation.
        portion, scales: of the pseudo-labels; see :func:`nearfar.segmentation.source_labels.class_thresholds` and
            :func:`nearfar.segmentation.source_labels.averaged_probabilities`.
    """

    takes = PairBatch

    thresholds: Tensor
    adapted_steps: Tensor

    def __init__(
        self,
        encoder: str | nn.Module,
        num_classes: int | None,
        optimization: Optimization,
        *,
        source: str | None,
        source_share: float | None,
        adaptation_lr: float,
        portion: float,
        scales: tuple[float, ...],
        **options: Any,
    ) -> None:
        super().__init__(encoder, num_classes, optimization, **options)
        if source is not None and source_share:
            raise ValueError(f"source = {source!r} is trained already; leave source_share out, got {source_share}")
        self.source = source
        self.source_share = 0.5 if source is None and source_share is None else source_share or 0.0
        if not 0.0 <= self.source_share <= 1.0 or adaptation_lr <= 0:
            raise ValueError(
                f"source_share must be in [0, 1] and adaptation_lr above 0, got {self.source_share} and {adaptation_lr}"
            )
        self.labeller = MomentumEncoder(self.encoder)
        without_dropout(self.labeller)
        self.register_buffer("thresholds", torch.ones(self.num_classes))
        self.register_buffer("adapted_steps", torch.full((), -1, dtype=torch.int64))
        adaptation = Phase("adaptation", 1 - self.source_share, adaptation_lr)
        self.phases = (Phase("source", self.source_share), adaptation) if self.source_share else (adaptation,)
        self.portion, self.scales = portion, tuple(scales)
        self.pseudo_labels: Tensor | None = None

    @property
    def adapting(self) -> bool:
        """Whether the source model is finished."""
        return int(self.adapted_steps) >= 0

    def begin(self, data: Data) -> None:
        if self.source is not None:
            load_source(self.encoder, Path(self.source))

    def begin_phase(self, phase: str, data: Data) -> None:
        if phase == "adaptation":
            self.start_adaptation(data)

    def resumed(self, data: Data) -> None:
        if self.adapting:
            self.label(data)

    def start_adaptation(self, data: Data) -> None:
        """Take the segmenter as it is for the source model, which labels the pictures of ``data``."""
        self.labeller.module.load_state_dict(self.encoder.state_dict())
        self.thresholds.copy_(class_thresholds(self.probabilities(data), self.num_classes, self.portion))
        self.label(data)
        self.adapted_steps.zero_()
        self.train(self.training)

    def label(self, data: Data) -> None:
        """Pseudo-labels of all adverse pictures by the source model."""
        found = [balanced_labels(p, self.thresholds).to(torch.uint8).cpu() for p in self.probabilities(data)]
        self.pseudo_labels = torch.cat(found)

    def labels_of(self, batch: PairBatch) -> Tensor:
        """The batch's pseudo-labels (N, h, w) int64."""
        assert self.pseudo_labels is not None
        return self.pseudo_labels[batch.rows.cpu()].to(batch.adverse.device).long()

    def probabilities(self, data: Data) -> Iterator[Tensor]:
        """The source model's, of all adverse pictures in order."""
        labeller = self.labeller.module
        assert isinstance(labeller, Segmenter)
        with self.frozen():
            yield from probabilities(labeller, (batch.adverse for _, batch in in_order(data, BATCH)), self.scales)

    def labelled_views(self, batch: PairBatch) -> tuple[Tensor, Tensor]:
        """Crops of the labelled scenes, which the source model learns from, and of their labels."""
        images = draw_appearances(batch.images, 1, self.generator)
        images, labels = self.crop(images, batch.labels, self.generator)
        return images[:, 0], labels

    def after_step(self) -> None:
        if self.adapting:
            self.adapted_steps += 1

    def before_step(self) -> None:
        if self.adapting:
            for parameter in self.encoder.head.parameters():
                parameter.grad = None

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.adapting:
            self.encoder.head.eval()
        return self
