"""PCL-SR: super-resolution whose results are pulled to sharpened truths and off blurred ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.generation.cuttings import cuttings
from nearfar.generation.data.pictures import PictureBatch
from nearfar.generation.data.whole import WholeBatch, at_own_sizes
from nearfar.generation.made import Made, Picture
from nearfar.generation.method import BATCH, Draws, Generates
from nearfar.generation.restored import restoration_scores
from nearfar.generation.upscaling import (
    as_pixels,
    blurred,
    degrade,
    quantised,
    sharpened,
    upscale,
    upscaler,
)
from nearfar.generation.wavelets import Activation, WaveletCritic, haar_bands
from nearfar.losses import dual_contrast, informative_contrast
from nearfar.sources.data import Data
from nearfar.system import Scores
from nearfar.training import Method, Optimization, Update


class RestorationViews(NamedTuple):
    """Small pictures (N, 3, h, w) and the true ones (N, 3, H, W), in [0, 1]; of the true ones P versions that are as
    sharp or sharper, and M that are blurred, each (N, 3, H, W): the truth and the enlarged small one come first."""

    small: Tensor
    true: Tensor
    sharp: list[Tensor]
    dull: list[Tensor]


class PCLSR(Generates, Method):  # type: ignore[misc]
    r"""Practical contrastive learning for single-image super-resolution (Wu et al., 2021, arXiv 2111.13924; released
    code: Aitical/PCL-SISR).

    .. math:: L_G = 255\, \overline{| g(x) - y |} + w\, L_{CL}

    Positives are the true picture and sharpened versions of it, negatives its small version enlarged and blurred ones
    of it: hard ones, of the same picture. What is contrasted are features of a critic of wavelet details, which learns
    along by the dual contrast of real and sharp against made and blurred patches, instead of a frozen VGG; see
    :func:`nearfar.losses.informative_contrast` and :class:`nearfar.generation.wavelets.WaveletCritic`. No adversarial
    term.

    Departures from the release, on purpose. There the features of the made picture are computed without gradients, so
    that the contrast never moves the network; here they have gradients, as the paper says. Its script loses the
    sharpened positives behind a missing backslash; here they are used. Its clipping of single gradient values at 1 is
    left out.

    The paper begins with a network that was trained by L1. Name one with ``--start``, or let the first
    ``pretraining`` of the run be L1 alone.

    It makes pictures ``scale`` times as large: ``nearfar generate RUN FOLDER -o OUT`` works on the files at their own
    sizes.

    Args:
        network: ``rcan``, ``edsr``, ``edsr-small``, or a module; see :mod:`nearfar.generation.upscaling`.
        scale: 2, 3, 4 or 8.
        patch: side of the true cuttings that are trained on, in pixels, a multiple of ``scale``.
        contrast_weight: w, at least 0, beside an L1 of pixels in 0 to 255; 5 for RCAN, 3 for NLSN; 0 is L1 alone.
        copies: sharpened, and as many blurred, versions of each picture.
        temperature: of the contrast, above 0.
        contrast: ``infonce``, or ``difference`` of mean similarities as in the script for NLSN.
        layers: blocks of the critic whose features are contrasted, 0 to 7.
        activation: see :class:`nearfar.generation.wavelets.WaveletCritic`.
        critic_width: of the critic's first block.
        pretraining: share of the run with L1 alone, in [0, 1].
        optimization: of the network, and of the critic with the same settings.
    """

    verbs = ("generates",)
    takes = PictureBatch
    can_collapse = False

    def __init__(
        self,
        network: str | nn.Module = "rcan",
        *,
        scale: int = 4,
        patch: int = 192,
        contrast_weight: float = 5.0,
        copies: int = 3,
        temperature: float = 1.0,
        contrast: Literal["infonce", "difference"] = "infonce",
        layers: tuple[int, ...] = (4,),
        activation: Activation = "post",
        critic_width: int = 64,
        pretraining: float = 0.0,
        optimization: Optimization = Optimization("adam", lr=5e-5, weight_decay=0.0),
    ) -> None:
        super().__init__(optimization)
        if patch % scale or patch < 4 * scale:
            raise ValueError(f"patch must be a multiple of the scale of {scale}, at least 4 of it, got {patch}")
        if contrast_weight < 0 or copies < 1 or not 0 <= pretraining <= 1:
            raise ValueError(
                "contrast_weight must be at least 0, copies at least 1 and pretraining in [0, 1], got "
                f"{contrast_weight}, {copies} and {pretraining}"
            )
        if not layers or min(layers) < 0 or max(layers) > 7:
            raise ValueError(f"layers must be blocks 0 to 7 of the critic, got {layers}")
        self.encoder = upscaler(network, scale)
        self.critic = WaveletCritic(critic_width, activation)
        self.scale, self.patch, self.copies, self.layers = scale, patch, copies, tuple(layers)
        self.contrast_weight, self.temperature, self.contrast = contrast_weight, temperature, contrast
        self.pretraining = pretraining

    @property
    def contrasts(self) -> bool:
        """Whether the step has a contrast."""
        return self.contrast_weight > 0 and self.progress >= self.pretraining

    def views(self, batch: PictureBatch) -> RestorationViews:
        """A random cutting of every picture, turned and mirrored, its small version, sharp and dull ones."""
        true = quantised(cuttings(batch.images.float() / 255, self.patch, self.generator))
        small = degrade(true, self.scale)
        if not self.contrasts:
            return RestorationViews(small, true, [], [])
        enlarged = F.interpolate(small, size=true.shape[2:], mode="bicubic", align_corners=True).clamp(0, 1)
        sharp = [sharpened(true, self.generator) for _ in range(self.copies)]
        dull = [blurred(true, self.generator) for _ in range(self.copies)]
        return RestorationViews(small, true, [true, *sharp], [enlarged, *dull])

    def updates(self) -> list[Update]:
        critic, network = list(self.critic.parameters()), list(self.encoder.parameters())
        return [
            Update("critic", critic, self.critic_loss, self.optimization),
            Update("network", network, self.network_loss, self.optimization),
        ]

    def critic_loss(self, views: RestorationViews) -> Tensor:
        if not views.sharp:
            return torch.stack([p.sum() for p in self.critic.parameters()]).sum() * 0.0
        with torch.no_grad():
            made = self.encoder(views.small)
        # The enlarged small picture is no example of what is made (released code).
        real = [self.critic.score(each) for each in views.sharp]
        fake = [self.critic.score(each) for each in (made, *views.dull[1:])]
        return dual_contrast(torch.cat(real), torch.cat(fake))

    def network_loss(self, views: RestorationViews) -> dict[str, Tensor]:
        made = self.encoder(views.small)
        terms = {"l1": 255 * (made - views.true).abs().mean()}
        if views.sharp:
            terms["contrast"] = self.contrast_weight * self.contrasted(made, views)
        return terms

    def contrasted(self, made: Tensor, views: RestorationViews) -> Tensor:
        """The contrast, averaged over layers. Each version has batch statistics of its own in the critic."""
        mine = self.critic.features(haar_bands(made), max(self.layers))
        with torch.no_grad():
            near, far = (self.critic.stacked(each, self.layers) for each in (views.sharp, views.dull))
        how: dict[str, Any] = {"temperature": self.temperature, "form": self.contrast}
        each = zip(self.layers, near, far, strict=True)
        return torch.stack([informative_contrast(mine[layer], a, b, **how) for layer, a, b in each]).mean()

    def generate(self, data: Data, *, seed: int = 0, batch_size: int = BATCH) -> Iterator[Made]:
        """One larger picture for each; files are taken at their own sizes, one at a time."""
        whole = at_own_sizes(data)
        return super().generate(whole, seed=seed, batch_size=batch_size if whole is data else 1)

    def check_inputs(self, data: Data) -> None:
        if data.gives is not WholeBatch:
            super().check_inputs(data)

    def make(self, batch: PictureBatch | WholeBatch, draws: Draws) -> list[Made]:
        """Each picture ``scale`` times as large."""
        found = []
        for image, row in zip(batch.images, batch.rows.tolist(), strict=True):
            larger = upscale(self.encoder, image.to(self.device).float() / 255, self.scale)
            found.append(Made(row, {"": Picture(as_pixels(larger))}, given=Picture(as_pixels(image / 255))))
        return found

    def evaluate(self, data: Data, *, seed: int = 0) -> Scores:
        """Held-out pictures are made small and restored: ``psnr`` (dB), ``ssim``, and ``detail error``, the mean
        absolute error of their wavelet details on the scale of 0 to 1, where lower is better."""
        return restoration_scores(lambda small: self.encoder(small), self, data)
