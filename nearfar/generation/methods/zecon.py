r"""ZeCon (Yang et al. 2023, ICCV, arXiv 2303.08622): a text's style, the picture's content.

A frozen diffusion model makes a picture again from its own noise, step by step, while a loss says where to:

.. math:: x_{t-1} \sim N(\mu - \sigma^2 \nabla_{x_t} L, \sigma^2), \qquad
          \hat x = f \hat x_0(x_t) + (1 - f) x_t, \quad f = \sqrt{1 - \bar\alpha_t}

Style is how near pieces of :math:`\hat x` are to the text in CLIP, and whether they moved from the source picture as
the text moves from the source's. Content is a contrast that needs no training: in the maps of the diffusion network's
own way down, at level 0, each place of :math:`\hat x` must find the same place of the source (noised to the same level
and mixed alike) among the source's other places (:func:`nearfar.losses.patch_nce`). Places carry no colours that must
stay, so style is free where pixels would hold it.

Left out of the released code (YSerin/ZeCon): its VGG term (weight 100 in an example), for want of a VGG. Its weights
are those of pictures of 256 pixels; here they are multiplied by the number of pixels over that of 256 x 256, because a
mean over pixels has gradients that fall with their number. Its batch is one picture; here each of several has its own
contrast. Its noise for the source is drawn anew for each term; here once a step.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.generation.base import Base
from nearfar.generation.data import PictureBatch
from nearfar.generation.guides import Guide, open_guide, patches
from nearfar.generation.made import Made
from nearfar.generation.method import Draws, Generates, pictures_made
from nearfar.generation.open_base import open_base
from nearfar.generation.restyling import COUNT, restyling_scores
from nearfar.generation.writing import asked
from nearfar.losses import direction_distance, patch_nce, range_excess, spherical_distance
from nearfar.system import Procedure, Scores
from nearfar.training import Data

FULL = 256**2
"""Pixels of the pictures that weights are meant for."""


@dataclass(frozen=True)
class Strengths:
    """Weights of the terms, at least 0 each; the README's example.

    Args:
        near: of pieces near to the text.
        direction: of pieces that moved from the source as the text does.
        contrast: of the content's contrast.
        pixels: of the squared error against the source, in the last 70% of the levels only.
        range: of values beyond the range of pixels.
    """

    near: float = 10_000.0
    direction: float = 20_000.0
    contrast: float = 500.0
    pixels: float = 5_000.0
    range: float = 50.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 0:
                raise ValueError(f"{name} must be at least 0, got {value}")


class ZeCon(Generates, Procedure):
    """Pictures in the style of a text, by a frozen diffusion model and nothing that is trained.

    For a style that a picture shows, ``ccpl`` is far faster.

    Args:
        base: the diffusion model, which works on pixels: a folder of diffusers, ``hf:<model>`` (the paper's was taught
            ImageNet at 256 pixels), ``made:sprites`` or ``made:digits``, or a :class:`nearfar.generation.base.Base`.
        guide: compares pictures with texts: a folder with a CLIP or ``hf:openai/clip-vit-base-patch16`` (the paper's),
            or ``colours``; see :mod:`nearfar.generation.guides`.
        text: the style that is wanted.
        source: what the pictures are, in words.
        strengths: weights of the terms.
        steps: of the whole way, of which the first ``skipped`` are left out; both of the schedule's.
        pieces: of a picture in a step.
        piece_scale: smallest and largest share of the picture that a piece is.
        places: of a map that are contrasted, all where it has fewer.
        temperature: of the contrast, above 0.
    """

    verbs = ("generates",)
    takes = PictureBatch

    def __init__(
        self,
        base: str | Base = "made:digits",
        guide: str | Guide = "colours",
        text: str = "a picture in purple",
        source: str = "a picture",
        *,
        strengths: Strengths = Strengths(),
        steps: int = 50,
        skipped: int = 25,
        pieces: int = 32,
        piece_scale: tuple[float, float] = (0.01, 0.3),
        places: int = 256,
        temperature: float = 0.07,
    ) -> None:
        if not 0 <= skipped < steps or min(pieces, places) < 1:
            raise ValueError(
                "skipped must be at least 0 and below steps, pieces and places at least 1, got "
                f"{skipped}, {steps}, {pieces} and {places}"
            )
        if not 0 < piece_scale[0] <= piece_scale[1] <= 1:
            raise ValueError(f"piece_scale must rise from above 0 to at most 1, got {tuple(piece_scale)}")
        self.base, self.guide = open_base(base), open_guide(guide)
        if self.base.vae is not None:
            raise ValueError("ZeCon changes pixels, and this diffusion model works on what a VAE makes of them")
        self.text, self.source, self.strengths = text, source, strengths
        self.times = self.base.diffusion.times(steps)[skipped:]
        self.steps, self.pieces, self.piece_scale = steps, pieces, (piece_scale[0], piece_scale[1])
        self.places, self.temperature = places, temperature

    @property
    def device(self) -> torch.device:
        """Where the diffusion model lies; move that and the guide to use another."""
        return self.base.diffusion.signal.device

    def make(self, batch: PictureBatch, draws: Draws) -> list[Made]:
        """Each picture in the text's style."""
        return pictures_made(batch, self.restyled(self.base.latents(batch.images), draws), said={"style": self.text})

    def restyled(self, x0: Tensor, draws: Draws) -> Tensor:
        """Pictures (B, C, H, W) in about [-1, 1] of others in [-1, 1]."""
        diffusion, states = self.base.diffusion, self.base.states([""])
        with torch.no_grad():
            x = diffusion.invert(lambda x, t: self.base.noise(x, t, states), x0, steps=self.steps, end=self.times[0])
        for t, earlier in zip(self.times, [*self.times[1:], -1], strict=True):
            with torch.enable_grad():
                x = x.detach().requires_grad_()
                noise = self.base.noise(x, torch.full((len(x),), t, device=x.device), states)
                losses = self.losses(x, diffusion.clean(x, t, noise), x0, t, draws)
                (slope,) = torch.autograd.grad(sum(losses.values(), x.sum() * 0), x)
            with torch.no_grad():
                mean, variance = diffusion.ddpm(x, t, earlier, noise)
                x = mean - variance * slope * (x0[0, 0].numel() / FULL)
                x = x + variance**0.5 * draws.normal(*x.shape[1:]) if earlier >= 0 else x
        return x.detach()

    def losses(self, x: Tensor, clean: Tensor, x0: Tensor, t: int, draws: Draws) -> dict[str, Tensor]:
        """The weighted terms at level t, each a sum over the pictures.

        Args:
            x: noised pictures (B, C, H, W).
            clean: what the network takes for their signals.
            x0: the sources.
            t: the level.
            draws: of the pictures.
        """
        diffusion, weights = self.base.diffusion, self.strengths
        share = (1 - diffusion.at(t, x)).sqrt()
        now = share * clean + (1 - share) * x
        then = share * x0 + (1 - share) * diffusion.noised(x0, t, draws.normal(*x0.shape[1:]))
        found = {"range": weights.range * range_excess(clean).sum()}
        if weights.near or weights.direction:
            found["style"] = self.style(now, then, draws)
        if weights.contrast:
            found["contrast"] = weights.contrast * self.contrast(now, then, draws)
        if weights.pixels and t < 0.7 * len(diffusion):
            found["pixels"] = weights.pixels * (now - then).square().flatten(1).mean(1).sum()
        return found

    def style(self, now: Tensor, then: Tensor, draws: Draws) -> Tensor:
        """How far pieces are from the text, and from the way that it leads away from the whole sources."""
        count, side = len(now), self.guide.side
        wanted, was = self.guide.texts([self.text, self.source]).split(1)
        cut = patches(as_colours(now), draws.uniform(self.pieces, 14), side, self.piece_scale)
        seen = self.guide.images(cut)
        whole = F.interpolate(as_colours(then), (side, side), mode="bilinear", antialias=True)
        before = self.guide.images(whole).repeat_interleave(self.pieces, 0)
        near = spherical_distance(seen, wanted).view(count, -1).mean(1).sum()
        moved = direction_distance(seen, before, wanted, was).view(count, -1).mean(1).sum()
        return self.strengths.near * near + self.strengths.direction * moved

    def contrast(self, now: Tensor, then: Tensor, draws: Draws) -> Tensor:
        """Of every map the contrast of places, summed over maps and pictures."""
        states = self.base.states([""])
        with torch.no_grad():
            keys = self.base.features(then, states)
        found = []
        for query, key in zip(self.base.features(now, states), keys, strict=True):
            places = draws.uniform(query[0, 0].numel()).argsort(1)[:, : self.places, None]
            q, k = (each.flatten(2).mT.take_along_dim(places, 1) for each in (query, key))
            found.append(len(now) * patch_nce(q, k, temperature=self.temperature, own=-10.0))
        return torch.stack(found).sum()

    def evaluate(self, data: Data, *, seed: int = 0) -> Scores:
        """How far held-out pictures came to the text's style and what is left of them; see
        :func:`nearfar.generation.restyling.restyling_scores`."""
        made = [*self.generate(asked(data).sample(COUNT), seed=seed)]
        return restyling_scores(made, self.guide, self.text)


def as_colours(x: Tensor) -> Tensor:
    """Three channels of one or three."""
    return x.expand(-1, 3, -1, -1)
