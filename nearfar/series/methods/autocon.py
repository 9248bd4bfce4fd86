"""AutoCon: a forecaster whose features are drawn together where the whole series correlates."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses import autocorrelation, autocorrelation_contrast
from nearfar.series.data import WindowBatch
from nearfar.series.encoders import standardised
from nearfar.series.forecaster import AutoConNet, moving_mean
from nearfar.sources.data import in_order
from nearfar.system import Scores
from nearfar.training import Method, Optimization


class AutoCon(Method):
    """Park et al., 2024, ICLR, arXiv 2402.02023; junwoopark92/Self-Supervised-Contrastive-Forecsating.

    A window is too short to show variations longer than itself. While a forecaster is trained, windows of a batch are
    drawn to the one whose distance in time has the highest autocorrelation over the whole training series, by as much
    as that is (global); so are a random third of the steps inside a window (local); see
    :func:`nearfar.losses.autocorrelation_contrast`. Before it is correlated the series is smoothed over a window; of
    several channels signed correlations are averaged, as released for one that is not channel by channel.

    The released schedule halves the rate after every epoch; here it falls along a cosine. The channels are standardised
    by the training series, in whose unit the errors are.

    Args:
        in_channels: numbers at a step; taken from the data when not given, as are the next three.
        window: steps that are seen, even.
        horizon: steps that are told.
        clock: features of the calendar at a step.
        hidden: width of the blocks.
        out_features: width of the representation.
        depth: number of hidden blocks.
        scales: windows of the moving means of the long branch, less one; the horizon when not given.
        weight: of the contrast beside the squared error, at least 0; 1.0 on ETTh1, 0.1 on ETTh2.
        dropout: of embedding and representation, in [0, 1).
        centre, spread: of the channels; taken from the data when not given.
        optimization: Adam.
    """

    verbs = ("embeds", "predicts")
    takes = WindowBatch
    can_collapse = False
    encoder: AutoConNet
    correlation: Tensor

    def __init__(
        self,
        in_channels: int | None = None,
        *,
        window: int | None = None,
        horizon: int | None = None,
        clock: int = 0,
        hidden: int = 16,
        out_features: int = 16,
        depth: int = 2,
        scales: tuple[int, ...] = (),
        weight: float = 1.0,
        dropout: float = 0.1,
        centre: tuple[float, ...] | None = None,
        spread: tuple[float, ...] | None = None,
        optimization: Optimization = Optimization("adam", lr=5e-3, weight_decay=1e-5, decay_all=True),
    ) -> None:
        super().__init__(optimization)
        if in_channels is None or window is None or horizon is None:
            raise ValueError("in_channels, window and horizon are needed; they are taken from data with --ahead")
        if weight < 0:
            raise ValueError(f"weight must be at least 0, got {weight}")
        self.encoder = AutoConNet(
            in_channels,
            window,
            horizon,
            clock=clock,
            hidden=hidden,
            out_features=out_features,
            depth=depth,
            scales=scales or (horizon - horizon % 2,),
            dropout=dropout,
            centre=centre,
            spread=spread,
        )
        self.register_buffer("correlation", torch.ones(1), persistent=False)
        self.window, self.horizon, self.clock, self.weight = window, horizon, clock, weight

    def begin(self, data: Any) -> None:
        """The autocorrelation of the smoothed training series at every lag."""
        values = self._scaled(torch.from_numpy(data.training_values))
        smooth = moving_mean(values[None].double(), self.window + 1)[0]
        self.correlation = autocorrelation(smooth).mean(1).abs().float().to(self.device)

    def resumed(self, data: Any) -> None:
        self.begin(data)

    def loss(self, views: WindowBatch) -> dict[str, Tensor]:
        told, steps = self.encoder(self._scaled(views.past), views.clock[..., : self.clock])
        terms = {"error": F.mse_loss(told, self._scaled(views.future))}
        if self.weight:
            features = F.normalize(steps, dim=2)
            rows, count = features.shape[:2]
            order = torch.rand(rows, count, generator=self.generator, device=self.generator.device).argsort(1)
            chosen = order[:, : max(count // 3, 2)]
            local = autocorrelation_contrast(
                features.gather(1, chosen[:, :, None].expand(-1, -1, features.shape[2])), chosen, self.correlation
            )
            terms["local"] = self.weight * local / 2
            if rows > 1:
                whole = autocorrelation_contrast(features.amax(1)[None], views.start[None], self.correlation)
                terms["global"] = self.weight * whole / 2
        return terms

    def encode(self, batch: WindowBatch) -> Tensor:
        """The representation (B, D) of a window, the largest value of every feature over its steps."""
        past = self._scaled(batch.past)
        return self.encoder.represent(past - past[:, -1:], batch.clock[..., : self.clock]).amax(1)

    def predict(self, batch: WindowBatch) -> Tensor:
        """The steps (B, O, C) that follow each window, in the unit of the series."""
        told = self.encoder(self._scaled(batch.past), batch.clock[..., : self.clock])[0]
        return told * self.encoder.spread + self.encoder.centre

    def evaluate(self, data: Any, *, seed: int = 0) -> Scores:
        """Mean squared and absolute error of the forecasts of all test windows, standardised by the training series."""
        test = data.splits().get("test", data)
        squared, absolute, count = 0.0, 0.0, 0
        with self.frozen():
            for _, batch in in_order(test, 512):
                error = self._scaled(self.predict(batch)) - self._scaled(batch.future)
                squared, absolute = squared + float(error.square().sum()), absolute + float(error.abs().sum())
                count += error.numel()
        return Scores({"mse": squared / count, "mae": absolute / count}, lower=["mse", "mae"])

    def _scaled(self, values: Tensor) -> Tensor:
        return standardised(values, self.encoder.centre, self.encoder.spread)
