"""What methods on series share: an encoder with averaged weights, representations of steps and of whole series."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from nearfar.parts import MomentumEncoder
from nearfar.series.data import SeriesBatch
from nearfar.series.encoders import SeriesEncoder
from nearfar.training import Method, Optimization
from nearfar.training.door import Door

__all__ = ["ADAMW", "SeriesMethod", "pooled", "series_door"]

ADAMW = Optimization("adamw", lr=1e-3, weight_decay=1e-2, schedule="constant", decay_all=True)
"""The framework's defaults, with which TS2Vec was trained."""


class SeriesMethod(Method):
    """A method whose network represents every step, and of which the average of all weights so far is kept.

    Attributes:
        network: what gradients move.
        encoder: the uniform average of its weights over the steps of training (stochastic weight averaging).
    """

    encoder: MomentumEncoder
    takes = SeriesBatch

    def __init__(
        self,
        in_channels: int | None,
        *,
        hidden: int,
        out_features: int,
        depth: int,
        centre: Sequence[float] | None,
        spread: Sequence[float] | None,
        optimization: Optimization,
    ) -> None:
        super().__init__(optimization)
        if in_channels is None:
            raise ValueError("in_channels is needed: the number of channels of a series")
        self.network = SeriesEncoder(
            in_channels, hidden=hidden, out_features=out_features, depth=depth, centre=centre, spread=spread
        )
        self.encoder = MomentumEncoder(self.network, 1.0, "warmup")

    def after_step(self) -> None:
        self.encoder.update(self.network)

    def encode_steps(self, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """The representation (B, T, D) of every step of values (B, T, C)."""
        return self.encoder(values, mask) if mask is not None else self.encoder(values)

    def door(self, batch: SeriesBatch) -> Door:
        """Series of one length."""
        return series_door(lambda values: self.encode_steps(values).amax(1), self.encoder, batch)

    def encode(self, batch: SeriesBatch) -> Tensor:
        """The representation (B, D) of whole series: the largest value of every feature over its steps."""
        return pooled(self.encode_steps(batch.values), batch.inside)


def series_door(vectors: Callable[[Tensor], Tensor], encoder: nn.Module, batch: SeriesBatch) -> Door:
    """The door of a method by what it makes of whole series (B, T, C) to (B, D), with the module that this uses."""
    values = batch.values[:, : int(batch.inside.sum(1).min())]
    says = {"layout": "series, steps, channels", "gaps": "NaN in any channel of a step", "standardised": "in the graph"}
    return Door(_Whole(vectors, encoder).eval(), {"values": values}, {"values": {0: "series", 1: "steps"}}, says)


class _Whole(nn.Module):
    def __init__(self, vectors: Callable[[Tensor], Tensor], encoder: nn.Module) -> None:
        super().__init__()
        self.vectors, self.encoder = vectors, encoder

    def forward(self, values: Tensor) -> Tensor:
        return self.vectors(values)


def pooled(steps: Tensor, inside: Tensor) -> Tensor:
    """(B, D), the maximum over the steps (B, T, D) that lie inside their series (B, T)."""
    return torch.where(inside[:, :, None], steps, -torch.inf).amax(1)
