"""CPC and TNC on windows of a series: which follows, which is near."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from nearfar.evaluation import linear_probe
from nearfar.losses import cpc_windows, tnc
from nearfar.series.data import SeriesBatch
from nearfar.series.evaluation import evaluate
from nearfar.series.method import series_door
from nearfar.series.views import rows_from
from nearfar.series.windows import WindowEncoder, consecutive, near_and_far
from nearfar.system import Scores
from nearfar.training import Method, Optimization
from nearfar.training.door import Door

# Windows of a series that one step sees, as released.
MOST_WINDOWS = 40


class CPC(Method):
    """CPC: van den Oord et al., 2018, arXiv 1807.03748; TNC: Tonekaboni et al., 2021, ICLR, arXiv 2106.00750;
    both as in sanatonek/TNC_representation_learning.

    A recurrent network turns a window into a code. ``cpc``: a second one reads the codes of a window and of up to ten
    before it, and a linear map of what it says must pick out the next window among five others of the series, none
    within two of the present one (:func:`nearfar.losses.cpc_windows`). ``tnc``: a discriminator must tell windows near
    in time from distant ones, which may belong together all the same, with probability ``weight``
    (:func:`nearfar.losses.tnc`).

    The neighbourhood of ``tnc`` is set by hand: the release's test of stationarity fails on constants and gaps. Each
    process contrasts its own batch. Gaps are filled with the mean of their channel.

    Args:
        in_channels: numbers at a step; taken from the data when not given.
        objective: ``cpc`` or ``tnc``.
        window: steps of a window; a series needs at least six.
        hidden: width of the recurrent network in each direction.
        out_features: width of a code.
        negatives: of ``cpc``, other windows for each.
        memory: of ``cpc``, windows before the present one that its context sees.
        samples: of ``tnc``, near windows, and as many distant ones, for each.
        neighbourhood: of ``tnc``, the standard deviation of the distance of near windows, in windows; distant ones are
            at least five times that away.
        weight: of ``tnc``, the probability that a distant window belongs, in [0, 1]; 0 takes them all for negatives.
        centre, spread: of the channels; taken from the data when not given.
        optimization: Adam at a constant rate, as released.
    """

    takes = SeriesBatch
    encoder: WindowEncoder

    def __init__(
        self,
        in_channels: int | None = None,
        *,
        objective: Literal["cpc", "tnc"] = "cpc",
        window: int = 50,
        hidden: int = 100,
        out_features: int = 10,
        negatives: int = 5,
        memory: int = 10,
        samples: int = 20,
        neighbourhood: float = 2.0,
        weight: float = 0.05,
        centre: tuple[float, ...] | None = None,
        spread: tuple[float, ...] | None = None,
        optimization: Optimization = Optimization(
            "adam", lr=1e-3, weight_decay=1e-5, schedule="constant", decay_all=True
        ),
    ) -> None:
        super().__init__(optimization)
        if in_channels is None:
            raise ValueError("in_channels is needed: the number of channels of a series")
        self.encoder = WindowEncoder(in_channels, hidden, out_features, centre=centre, spread=spread)
        self.objective, self.window, self.negatives, self.memory = objective, window, negatives, memory
        self.samples, self.neighbourhood, self.weight = samples, neighbourhood, weight
        if objective == "cpc":
            self.context = nn.GRU(out_features, out_features, batch_first=True)
            self.predictor = nn.Linear(out_features, out_features)
        else:
            wide = 4 * out_features
            self.discriminator = nn.Sequential(
                nn.Linear(2 * out_features, wide), nn.ReLU(), nn.Dropout(0.5), nn.Linear(wide, 1)
            )

    def views(self, batch: SeriesBatch) -> tuple[Tensor, ...]:
        values, inside = batch.values, batch.inside
        length = int(inside.sum(1).min())
        if length < 6 * self.window:
            raise ValueError(f"a series has {length} steps; at least six windows of {self.window} are needed")
        spare = inside.sum(1) - length
        shift = (torch.rand(len(values), generator=self.generator, device=values.device) * (spare + 1)).long()
        values = rows_from(values, inside.int().argmax(1) + shift, length)
        if self.objective == "tnc":
            return near_and_far(values, self.window, self.samples, self.neighbourhood, self.generator)
        windows = consecutive(values, self.window)
        count = min(windows.shape[1], MOST_WINDOWS)
        first = torch.randint(windows.shape[1] - count + 1, (), generator=self.generator, device=values.device)
        windows = windows[:, int(first) : int(first) + count]
        rows = len(windows)
        now = torch.randint(2, count - 2, (rows,), generator=self.generator, device=values.device)
        apart = (torch.arange(count, device=values.device) - now[:, None]).abs() > 2
        others = torch.multinomial(apart.float(), self.negatives, replacement=True, generator=self.generator)
        return windows, now, others

    def loss(self, views: tuple[Tensor, ...]) -> Tensor:
        if self.objective == "tnc":
            codes = [self.encoder(w.flatten(0, 1)).view(*w.shape[:2], -1) for w in views]
            here = codes[0].expand_as(codes[1])
            near, far = (self.discriminator(torch.cat([here, c], 2)).flatten() for c in codes[1:])
            return tnc(near, far, weight=self.weight)
        windows, now, others = views
        codes = self.encoder(windows.flatten(0, 1)).view(*windows.shape[:2], -1)
        said = [
            self.context(c[None, max(int(t) - self.memory, 0) : int(t) + 1])[1][0, 0]
            for c, t in zip(codes, now, strict=True)
        ]
        row = torch.arange(len(codes), device=codes.device)
        chosen = codes[row[:, None], others]
        return cpc_windows(self.predictor(torch.stack(said)), codes[row, now + 1], chosen)

    def encode_windows(self, values: Tensor) -> Tensor:
        """The codes (B, K, D) of the windows, side by side, of values (B, T, C)."""
        windows = consecutive(values, self.window)
        return self.encoder(windows.flatten(0, 1)).view(*windows.shape[:2], -1)

    def door(self, batch: SeriesBatch) -> Door:
        """Series of one length."""
        return series_door(lambda values: self.encode_windows(values).mean(1), self.encoder, batch)

    def encode(self, batch: SeriesBatch) -> Tensor:
        """The mean code (B, D) of the windows of each series."""
        return torch.stack(
            [
                self.encode_windows(values[inside][None])[0].mean(0)
                for values, inside in zip(batch.values, batch.inside, strict=True)
            ]
        )

    def evaluate(self, data: Any, *, seed: int = 0) -> Scores:
        """Accuracy of a linear probe of the state of windows, where the series say at which step they were in which;
        otherwise as every method on series is judged."""
        test = data.splits().get("test")
        if getattr(data, "states", None) is None or test is None:
            return evaluate(self, data, seed=seed)
        (x, y), (test_x, test_y) = self._states(data), self._states(test)
        return Scores({"state accuracy": linear_probe(x, y, test_x, test_y, seed=seed).accuracy})

    def _states(self, data: Any) -> tuple[np.ndarray, np.ndarray]:
        """Codes of all windows, and the state of each at its middle."""
        codes, states = [], []
        with self.frozen():
            for values, found in zip(data.series, data.states, strict=True):
                codes.append(self.encode_windows(torch.from_numpy(values)[None])[0].numpy())
                states.append(found[self.window // 2 :: self.window][: len(codes[-1])])
        return np.concatenate(codes), np.concatenate(states)
