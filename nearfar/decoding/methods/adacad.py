"""AdaCAD: context-aware decoding that adapts to the conflict."""

from __future__ import annotations

from torch import Tensor

from nearfar.decoding.engine import Look
from nearfar.decoding.method import Model, Writing
from nearfar.decoding.methods.cad import CAD
from nearfar.losses import adacad_weight, contrast_logits


class AdaCAD(CAD):
    """Wang et al., 2024, arXiv 2409.07394.

    :class:`CAD` with a weight of its own at every word and for every prompt: the Jensen-Shannon divergence of the two
    branches in nats, so between 0 and ln 2. Where the context says nothing new nothing is changed.

    Args:
        model: as for :class:`nearfar.decoding.method.Decoder`.
        floor: the weight is at least this: 0 for short answers, 0.3 for long texts, as released.
        writing: how texts are continued; the paper is greedy.
    """

    def __init__(self, model: Model | None = None, *, floor: float = 0.0, writing: Writing = Writing()) -> None:
        super().__init__(model, writing=writing)
        self.floor = floor

    def combine(self, looks: list[Look]) -> Tensor:
        told, untold = (look.logits for look in looks)
        return contrast_logits(told, untold, weight=adacad_weight(told, untold, floor=self.floor))
