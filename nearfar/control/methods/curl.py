"""CURL: contrastive unsupervised representations for reinforcement learning."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from nearfar.control.augment import centre_crop, random_crop
from nearfar.control.data import Transitions
from nearfar.control.pixel_sac import SAC, PixelSAC
from nearfar.control.spaces import Spaces
from nearfar.losses import bilinear_info_nce
from nearfar.training import Update


class Cropped(NamedTuple):
    """A batch with one crop of its observations and of the next ones, and another crop of the former."""

    batch: Transitions
    shown: list[Tensor]
    shown_next: list[Tensor]
    keys: Tensor


class CURL(PixelSAC):
    """Laskin, Srinivas and Abbeel, 2020, ICML, arXiv 2004.04136.

    Soft actor-critic from pixels with instance discrimination beside it: a crop of a stack of frames finds another crop
    of the same stack, encoded by the target critics' slow encoder, among those of the batch, by a learned product. The
    same crops train the critics. No norms, no temperature, no projection.

    The released agent holds the encoder in two optimisers, so that each contrastive gradient moves it twice:
    ``double_step`` makes a second contrastive update of the encoder. Batches are 128 in the release's script and 512 in
    the paper.

    Args:
        spaces: what is observed and done; taken from the data when not given.
        crop: side of the crops in pixels; 0.84 of the side (84 of 100) when not given.
        weight: of the contrastive loss, at least 0; at 0 it is SAC on random crops.
        double_step: move the encoder twice by the contrastive loss, as released.
        sac: networks and rates.
    """

    def __init__(
        self,
        spaces: Spaces | None = None,
        *,
        crop: int | None = None,
        weight: float = 1.0,
        double_step: bool = False,
        sac: SAC = SAC(),
    ) -> None:
        if weight < 0:
            raise ValueError(f"weight must be at least 0, got {weight}")
        side = spaces.observation[-1] if spaces is not None else 0
        crop = crop or round(0.84 * side)
        if spaces is not None and spaces.pixels and not 16 <= crop <= side:
            raise ValueError(f"crop must be between 16 and the {side} pixels of a picture, got {crop}")
        super().__init__(spaces, sac, who="curl", side=crop)
        self.product = nn.Parameter(torch.rand(sac.features, sac.features))
        self.weight, self.double_step = weight, double_step

    def views(self, batch: Transitions) -> Cropped:
        anchor, keys, after = (
            random_crop(pixels, self.side, self.generator)
            for pixels in (batch.observations, batch.observations, batch.next_observations)
        )
        return Cropped(batch, [anchor], [after], keys)

    def updates(self) -> list[Update]:
        found = super().updates()
        if self.weight:
            adam, encoder = self.sac.adam(), [*self.encoder.parameters()]
            found.append(Update("contrast", [*encoder, self.product], self.contrast, adam))
            if self.double_step:
                found.append(Update("contrast_again", encoder, self.contrast, adam))
        return found

    def contrast(self, views: Cropped) -> Tensor:
        keys = self.slow_encoder(views.keys)
        return self.weight * bilinear_info_nce(self.encoder(views.shown[0]), keys, self.product)

    def shown(self, pixels: Tensor) -> Tensor:
        return centre_crop(pixels, self.side)
