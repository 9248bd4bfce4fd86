r"""InfoDiffusion (Wang et al. 2023, ICML, arXiv 2306.08757): a diffusion that tells its denoiser a small code.

An encoder makes a code z of a picture; the denoiser is told z in every block, so that z has to say what noise hides.
Codes are drawn towards a prior by their maximum mean discrepancy, which keeps what they say of the picture:

.. math:: L = \|\hat\epsilon(x_t, t, z) - \epsilon\|^2
              + \lambda\, \mathrm{MMD}(z', z) + \kappa \sum \mathrm{KL}(q(z | x) \| N(0, I))

with :math:`z'` drawn from the prior. As in the released code z is the encoder's output itself unless :math:`\kappa` is
above 0, and then a draw of :math:`N(\mu, \sigma^2)`; the KL is a sum over the batch, the other terms are means. The
released code's reconstruction term, which it divides by the number of steps, is left out: it is below the rounding of
the others. Its encoder begins with a last convolution of almost nothing; here with an ordinary one, because codes that
lie in one point push each other nowhere: the kernel's slope is 0 at distance 0.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from nearfar.common.share import for_examples
from nearfar.generation.autoencoding import DiffusionAutoencoder, Noise
from nearfar.generation.data import Blank, PictureBatch
from nearfar.generation.evaluation import COUNT, distance, evaluate, real_pictures
from nearfar.generation.latent import CodeDenoiser, CodeEncoder
from nearfar.generation.method import Draws
from nearfar.generation.priors import Prior, check_prior, prior_sample
from nearfar.generation.unet import Denoiser, Widths
from nearfar.generation.writing import asked
from nearfar.losses import maximum_mean_discrepancy
from nearfar.parts.momentum import MomentumEncoder
from nearfar.system import Scores
from nearfar.training import Data, Optimization, Phase, embed


class InfoDiffusion(DiffusionAutoencoder):
    """Codes of pictures, and pictures of codes.

    Where only the representation matters, a contrastive method of the field ``vision`` is far cheaper.

    Args:
        side: of the pictures in pixels; the data's own when not given.
        dim: width of the code (32 or 256 in the paper).
        mmd_weight: lambda, at least 0.
        kl_weight: kappa, at least 0; above 0 codes are drawn.
        prior: of the codes, ``normal``, ``mixture`` (ten Gaussians on a circle) or ``roll`` (a spiral).
        bandwidth: of the kernel: ``official``, whose gradients vanish as the code gets wider, or ``median``.
        channels: 3, or 1 for grey pictures.
        noise: the diffusion.
        encoder_widths, widths: sizes of the encoder's and of the denoiser's U-net; (1, 2, 4) for 28 pixels.
        averaging: momentum of the averaged weights, which encode and generate; in [0, 1].
        code_share: share of the run, in [0, 1), at whose end a second diffusion learns how codes are distributed. New
            pictures are then made of its codes (the paper's latent diffusion) instead of the prior's.
        optimization: AdamW; the released rate rises from 1e-4 to 2e-4 in the first epoch.
    """

    verbs: ClassVar[tuple[str, ...]] = ("embeds", "generates")
    takes = PictureBatch
    from_nothing = True
    can_collapse = False

    def __init__(
        self,
        side: int | None = None,
        dim: int = 32,
        mmd_weight: float = 0.1,
        kl_weight: float = 0.0,
        prior: Prior = "normal",
        bandwidth: Literal["official", "median"] = "official",
        channels: int = 3,
        noise: Noise = Noise(),
        encoder_widths: Widths = Widths(),
        widths: Widths = Widths(),
        averaging: float = 0.9999,
        code_share: float = 0.0,
        optimization: Optimization = Optimization(lr=2e-4, weight_decay=1e-5, warmup=0.02, clip=1.0),
    ) -> None:
        super().__init__(channels, noise, optimization)
        if side is None or channels not in (1, 3):
            raise ValueError(
                f"InfoDiffusion needs the side of its pictures and 1 or 3 channels, got {side}, {channels}"
            )
        if min(mmd_weight, kl_weight) < 0 or not 0 <= code_share < 1:
            raise ValueError(
                "mmd_weight and kl_weight must be at least 0 and code_share in [0, 1), got "
                f"{mmd_weight}, {kl_weight} and {code_share}"
            )
        check_prior(prior, dim)
        for size in (encoder_widths, widths):
            size.fit(side)
        self.dim, self.prior, self.bandwidth = dim, prior, bandwidth
        self.mmd_weight, self.kl_weight, self.side = mmd_weight, kl_weight, side
        self.encoder = CodeEncoder(channels, side, dim, encoder_widths)
        self.denoiser = Denoiser(channels, widths, code=dim)
        self.codes = CodeDenoiser(dim) if code_share else None
        if code_share:
            self.phases = (Phase("pictures", 1 - code_share), Phase("codes"))
        self.average = MomentumEncoder(self.network, averaging, "warmup")

    @property
    def network(self) -> nn.ModuleDict:
        """All that learns."""
        parts = {"encoder": self.encoder, "denoiser": self.denoiser}
        return nn.ModuleDict(parts if self.codes is None else {**parts, "codes": self.codes})

    def loss(self, x: Tensor) -> dict[str, Tensor]:
        if self.phase == "codes":
            assert self.codes is not None
            with torch.no_grad():
                known = self.code(self.averaged["encoder"], x)
            return {"codes": self.denoised(self.codes, known)}
        a = self.encoder(x)
        mean, log_variance = self.encoder.mean(a), self.encoder.log_variance(a)  # type: ignore[operator]
        code = a
        if self.kl_weight:
            code = mean + (0.5 * log_variance).exp() * self.normal(a)
        terms = {"noise": self.denoised(lambda x_t, t: self.denoiser(x_t, t, code), x)}
        if self.mmd_weight:
            uniform = for_examples(lambda n: torch.rand(n, self.dim, generator=self.generator, device=x.device), len(x))
            drawn, every = self.gather(prior_sample(self.prior, self.normal(a), uniform), code)
            found = maximum_mean_discrepancy(drawn, every, bandwidth=self.bandwidth)
            terms["mmd"] = self.mmd_weight * found
        if self.kl_weight:
            divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum()
            terms["kl"] = self.kl_weight * divergence
        return terms

    def code(self, encoder: Any, x: Tensor) -> Tensor:
        a = encoder(x)
        return encoder.mean(a) if self.kl_weight else a

    def made_of_nothing(self, draws: Draws) -> tuple[Tensor, Tensor]:
        return self.new_codes(draws), draws.normal(self.channels, self.side, self.side)

    def new_codes(self, draws: Draws) -> Tensor:
        """Codes (N, dim) as those of pictures are distributed: drawn from what learned it, or from the prior."""
        normal = draws.normal(self.dim)
        if self.codes is None:
            return prior_sample(self.prior, normal, draws.uniform(self.dim))
        return self.diffusion.sample(self.averaged["codes"], normal, steps=self.sampling)

    def evaluate(self, data: Data, *, seed: int = 0) -> Scores:
        """Rebuilt pictures (``psnr``, ``ssim``), codes against factors, ``new frechet ...`` of new pictures, and
        ``prior distance``, the mean discrepancy of held-out codes from the prior; see
        :func:`nearfar.generation.evaluation.evaluate`."""
        scores = evaluate(self, data, seed=seed)
        new = [made.thing for made in self.generate(Blank(COUNT), seed=seed, batch_size=COUNT)]
        scores.add(distance(new, real_pictures(data)), prefix="new ")
        codes = torch.from_numpy(embed(self, asked(data)).array)
        drawn = Draws(seed, torch.arange(len(codes)))
        wanted = prior_sample(self.prior, drawn.normal(self.dim), drawn.uniform(self.dim))
        scores["prior distance"] = float(maximum_mean_discrepancy(codes, wanted, bandwidth="median"))
        return scores.direct(lower=["prior distance"])
