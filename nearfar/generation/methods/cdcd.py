r"""CDCD (Zhu et al. 2023, ICLR, arXiv 2206.07771): a discrete diffusion that must not fit what does not belong.

A VQ-Diffusion of tokens x under a condition c, and a contrast that takes away from its loss how well the same steps
would fit negatives: the tokens in another order of their chunks (intra), or those of other examples (inter), under the
same condition. At level t of T, drawn with probability p,

.. math:: L = \frac{1}{p} \Big( D_t(x) + w (2 - \tfrac{t}{T}) A_t(x)
                                - \lambda (1 + \tfrac{t}{T}) \tfrac{1}{n} \sum_k C_t(\tilde x^k) \Big)

with :math:`D_t(x) = KL(q(x_{t-1} | x_t, x) \| p_\theta(x_{t-1} | x_t, c))` and
:math:`A_t(x) = -\log p_\theta(x | x_t, c)`, each a sum over tokens, and C either D (``step``) or A (``sample``) with
the negative in place of x while :math:`x_t` stays that of the example. At t = 0 each of them is
:math:`-\log p_\theta(x_{0} | x_1, c)` of its own tokens. The loss is the sum over the batch by the number of tokens.

This is the released code (L-YeZhu/CDCD); the paper writes the contrast as an InfoNCE, to which it reduces. Taking a
divergence away has no lower bound, so :math:`\lambda` must stay tiny. Of several examples at one level the history
takes the mean; there the last written. The paper also makes music for dances; whatever comes as tokens under a
condition fits, and here are pictures.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nearfar.common.share import for_examples
from nearfar.generation import discrete
from nearfar.generation.data import BlankBatch, PictureBatch
from nearfar.generation.discrete import MaskAndReplace, level_chances
from nearfar.generation.evaluation import by_condition
from nearfar.generation.made import Made
from nearfar.generation.method import Draws, Generates, pictures_made
from nearfar.generation.token_fit import TokenFit, TokenViews
from nearfar.generation.token_negatives import Contrast, negative_tokens
from nearfar.generation.token_net import Kind, TokenDenoiser, TokenNet, Told
from nearfar.generation.tokens import PictureTokens, open_tokens
from nearfar.parts.momentum import MomentumEncoder
from nearfar.system import Scores
from nearfar.training import Data, Method, Optimization


class CDCD(Generates, Method):  # type: ignore[misc]
    """Pictures of a class or of a caption, token by token from masks, in few steps.

    For pictures without a condition, or for their codes, take ``infodiffusion``.

    Args:
        side: of the pictures in pixels; the data's own when not given.
        num_classes: the data's own when not given.
        tokens: ``grey:<levels>``, or a folder of diffusers (``hf:<model>``) with a ``VQModel``; see
            :mod:`nearfar.generation.tokens`. The paper's are 974 codes of a VQGAN on 16 x 16 places.
        condition: ``class``, or ``caption``, whose words are learned along (the paper's are CLIP's).
        contrast: negatives and their weight.
        levels: T, of noise.
        sampling: steps of generation, at most T; all when not given.
        truncation: of every prediction the likeliest tokens up to this share are drawn from, in (0, 1].
        net: the transformer.
        auxiliary: w, at least 0; 5e-4 but for ImageNet's 1e-3.
        adaptive: whether the weights of the auxiliary and of the contrast change with the level; otherwise factors 1.
        on_masked, elsewhere: weight of divergences at places that are masked, and at others.
        averaging: momentum of the averaged weights, which generate; moved every ``averaging_every`` steps, and at first
            the mean of all so far (the release begins at the full momentum).
        optimization: AdamW; the release halves its rate on plateaus.
    """

    verbs = ("generates",)
    takes = PictureBatch
    from_nothing = True
    can_collapse = False
    history: Tensor
    seen: Tensor
    moves: Tensor

    def __init__(
        self,
        side: int | None = None,
        num_classes: int | None = None,
        tokens: str | PictureTokens = "grey:16",
        *,
        condition: Kind = "class",
        contrast: Contrast = Contrast(),
        levels: int = 80,
        sampling: int | None = None,
        truncation: float = 0.86,
        net: TokenNet = TokenNet(),
        auxiliary: float = 1e-3,
        adaptive: bool = True,
        on_masked: float = 1.0,
        elsewhere: float = 1.0,
        averaging: float = 0.99,
        averaging_every: int = 25,
        optimization: Optimization = Optimization(
            lr=4.5e-4, weight_decay=0.045, beta2=0.96, warmup=0.004, schedule="constant", clip=0.5
        ),
    ) -> None:
        super().__init__(optimization)
        if side is None:
            raise ValueError("CDCD needs the side of its pictures, got none")
        if condition not in ("class", "caption"):
            raise ValueError(f"condition must be class or caption, got {condition!r}")
        if auxiliary < 0 or not 0 < truncation <= 1 or averaging_every < 1:
            raise ValueError(
                "auxiliary must be at least 0, truncation in (0, 1] and averaging_every at least 1, got "
                f"{auxiliary}, {truncation} and {averaging_every}"
            )
        self.tokens: Any = open_tokens(tokens, side)
        self.diffusion = MaskAndReplace(self.tokens.count, levels)
        self.diffusion.times(sampling)  # raises early on a bad value
        self.encoder = TokenDenoiser(self.tokens.count, self.tokens.grid, net, condition, num_classes)
        self.average = MomentumEncoder(self.encoder, averaging, "warmup")
        for name in ("history", "seen"):
            self.register_buffer(name, torch.zeros(levels, dtype=torch.float64))
        self.register_buffer("moves", torch.zeros((), dtype=torch.int64))
        self.contrast, self.sampling, self.truncation = contrast, sampling, truncation
        self.auxiliary, self.adaptive, self.weights = auxiliary, adaptive, (on_masked, elsewhere)
        self.every = averaging_every

    def kept(self) -> nn.Module:
        return self.average.module

    def views(self, batch: PictureBatch) -> TokenViews:
        x = self.tokens.encode(batch.images)
        chances = level_chances(self.history, self.seen).to(x.device)
        t = for_examples(lambda n: torch.multinomial(chances, n, True, generator=self.generator), len(x))
        noised = self.diffusion.noised(x, t, self._uniform(x))
        negatives = negative_tokens(x, batch.labels, self.contrast, self.generator)
        return TokenViews(x, noised, t, chances[t], negatives, batch.labels, batch.captions)

    def _uniform(self, like: Tensor) -> Tensor:
        length = like.shape[1]
        return for_examples(lambda n: torch.rand(n, length, generator=self.generator, device=like.device), len(like))

    def loss(self, views: TokenViews) -> dict[str, Tensor]:
        told = self.encoder.condition(views.labels, views.captions)  # type: ignore[operator]
        terms, fit = self.terms(self.encoder(views.noised, views.t, told), views)
        self.collect(t=views.t, fit=fit)
        return terms

    def terms(self, logits: Tensor, views: TokenViews) -> tuple[dict[str, Tensor], Tensor]:
        """The terms of the loss of a network's logits (B, K, L), and the fit (B,) that the history of levels takes."""
        t, size = views.t, views.x.numel()
        fit = TokenFit(self.diffusion, logits, views.noised, t, self.weights)
        share = t.to(logits) / self.diffusion.steps if self.adaptive else None
        rising, falling = (1.0, 1.0) if share is None else (1 + share, 2 - share)
        step = fit.step(views.x)
        terms = {"step": (step / views.chance).sum() / size}
        if self.auxiliary:
            terms["clean"] = self.auxiliary * (falling * fit.sample(views.x) / views.chance).sum() / size
        if len(views.negatives):
            apart = fit.step if self.contrast.fit == "step" else fit.sample
            far = torch.stack([apart(each) for each in views.negatives]).mean(0)
            terms["contrast"] = -self.contrast.weight * (rising * far / views.chance).sum() / size
        return terms, step.detach()

    @torch.no_grad()
    def after_step(self) -> None:
        self.moves += 1
        if int(self.moves) % self.every == 0:
            self.average.update(self.encoder)
        discrete.remember(self.history, self.seen, self.collected("t"), self.collected("fit"))

    def make(self, batch: Any, draws: Draws) -> list[Made]:
        """New pictures of the classes, or captions, of given ones; of nothing, of every class in turn."""
        net: Any = self.average.module
        labels = batch.rows % max(net.condition.classes, 1) if isinstance(batch, BlankBatch) else batch.labels
        captions = [""] * len(labels) if isinstance(batch, BlankBatch) else batch.captions
        told: Told = net.condition(labels, captions)

        def predict(x: Tensor, t: Tensor) -> Tensor:
            return discrete.likely(discrete.start_logs(net(x, t, told)), self.truncation)

        length = self.tokens.grid[0] * self.tokens.grid[1]
        masks = torch.full((len(labels), length), self.diffusion.tokens, device=labels.device)
        found = self.diffusion.sample(predict, masks, lambda: draws.uniform(length), self.sampling)
        return pictures_made(batch, self.tokens.decode(found))

    def evaluate(self, data: Data, *, seed: int = 0) -> Scores:
        """New pictures of held-out conditions: their ``frechet ...`` distance, and ``agreement`` with known classes;
        see :mod:`nearfar.generation.evaluation`."""
        return by_condition(self, data, seed=seed)
