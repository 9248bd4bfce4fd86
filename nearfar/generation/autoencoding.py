"""Systems that make codes of pictures, and pictures of codes by a diffusion that is told them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nearfar.common.share import for_examples
from nearfar.generation.data import BlankBatch, PictureBatch
from nearfar.generation.data.pictures import as_signal, plain_images
from nearfar.generation.made import Made
from nearfar.generation.method import Draws, Generates, pictures_made
from nearfar.parts.diffusion import Diffusion
from nearfar.parts.momentum import MomentumEncoder
from nearfar.training import Method, Optimization


@dataclass(frozen=True)
class Noise:
    """How pictures are noised, and in how many steps noise becomes a picture.

    Args:
        steps: T, noised levels.
        first, last: betas of the first and of the last level.
        sampling: steps of generation and of inversion, at most T.
    """

    steps: int = 1000
    first: float = 1e-5
    last: float = 1e-2
    sampling: int = 100


class DiffusionAutoencoder(Generates, Method):  # type: ignore[misc]
    """A picture is its code and the noise that the told diffusion makes it of.

    A subclass has a :attr:`network` with ``encoder`` and ``denoiser``, their average in ``self.average``, and says how
    an encoder's output is read (:meth:`code`) and what is new (:meth:`made_of_nothing`).

    Args:
        channels: 3, or 1 for grey pictures.
        noise: the diffusion.
        optimization: how the parameters move.
    """

    average: MomentumEncoder

    def __init__(self, channels: int, noise: Noise, optimization: Optimization) -> None:
        super().__init__(optimization)
        self.channels, self.sampling = channels, noise.sampling
        self.diffusion = Diffusion(noise.steps, noise.first, noise.last)
        self.diffusion.times(noise.sampling)  # raises early on a bad value

    @property
    def network(self) -> nn.ModuleDict:
        """All that learns."""
        raise NotImplementedError

    def code(self, encoder: Any, x: Tensor) -> Tensor:
        """Codes (N, dim) of pictures (N, C, side, side) in [-1, 1] by an encoder."""
        return encoder(x)

    def made_of_nothing(self, draws: Draws) -> tuple[Tensor, Tensor]:
        """Codes and noise of new pictures."""
        raise NotImplementedError

    @property
    def averaged(self) -> nn.ModuleDict:
        """The network with averaged weights, which encodes and generates."""
        return self.average.module  # type: ignore[return-value]

    def kept(self) -> nn.Module:
        return self.averaged

    def after_step(self) -> None:
        self.average.update(self.network)

    def views(self, batch: PictureBatch) -> Tensor:
        return as_signal(batch.images, self.channels)

    def normal(self, like: Tensor) -> Tensor:
        """Standard normal numbers of this shape, whose first axis are examples."""
        shape = like.shape[1:]
        return for_examples(lambda n: torch.randn(n, *shape, generator=self.generator, device=like.device), len(like))

    def denoised(self, predict: Any, x: Tensor) -> Tensor:
        """The loss of predicting noise at a random level of each example."""
        t = for_examples(
            lambda n: torch.randint(len(self.diffusion), (n,), generator=self.generator, device=x.device), len(x)
        )
        return self.diffusion.loss(predict, x, self.normal(x), t).mean()

    def encode(self, batch: Any) -> Tensor:
        return self.code(self.averaged["encoder"], as_signal(plain_images(batch), self.channels))

    def decode(self, codes: Tensor, noise: Tensor) -> Tensor:
        """Pictures (N, C, side, side) in [-1, 1] of codes (N, dim) and standard normal noise of the pictures' shape."""
        return self.diffusion.sample(self._told(codes), noise, steps=self.sampling, clip=1.0)

    def invert(self, pictures: Tensor, codes: Tensor) -> Tensor:
        """The noise that :meth:`decode` makes these pictures in [-1, 1] of, nearly."""
        return self.diffusion.invert(self._told(codes), pictures, steps=self.sampling)

    def _told(self, codes: Tensor) -> Any:
        return lambda x_t, t: self.averaged["denoiser"](x_t, t, codes)

    @torch.no_grad()
    def interpolate(self, first: Tensor, second: Tensor, shares: Sequence[float]) -> Tensor:
        """Pictures (N, S, C, side, side) in [-1, 1] on the way from N pictures (N, 3, side, side) uint8 to N others.

        Codes lie on the line between theirs, noise on the arc.
        """
        ends = [as_signal(each, self.channels) for each in (first, second)]
        codes = [self.code(self.averaged["encoder"], x) for x in ends]
        a, b = (self.invert(x, code) for x, code in zip(ends, codes, strict=True))
        cosine = (a * b).flatten(1).sum(1) / (a.flatten(1).norm(dim=1) * b.flatten(1).norm(dim=1))
        angle = cosine.clamp(-0.9999, 0.9999).acos().view(-1, 1, 1, 1)
        found = []
        for share in shares:
            noise = (((1 - share) * angle).sin() * a + (share * angle).sin() * b) / angle.sin()
            found.append(self.decode((1 - share) * codes[0] + share * codes[1], noise))
        return torch.stack(found, 1)

    def make(self, batch: Any, draws: Draws) -> list[Made]:
        """Of pictures, themselves from code and inverted noise; of nothing, new ones."""
        if isinstance(batch, BlankBatch):
            return pictures_made(batch, self.decode(*self.made_of_nothing(draws)))
        pictures, codes = as_signal(batch.images, self.channels), self.encode(batch)
        return pictures_made(batch, self.decode(codes, self.invert(pictures, codes)), reference=True)
