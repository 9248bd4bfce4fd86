r"""NoiseCLR (Dalva and Yanardag 2024, CVPR, arXiv 2312.05390): what a frozen diffusion model can change.

A direction k is the vector of a word :math:`d_k` that the model never knew. What it changes in a picture at level t is
what the network says with and without it:

.. math:: \Delta^k_i = \epsilon(x_t^i, t, d_k) - \epsilon(x_t^i, t, \varnothing)

A step draws one direction, some others and one level for all its pictures, each with noise of its own, and asks the
direction to change different pictures alike and every picture otherwise than the others do
(:func:`nearfar.losses.direction_contrast`). Nothing but the vectors learns. The released code keeps them as rows of the
text encoder's table and restores all other rows after every step; here they are put in place of a word while the
encoder reads, and the table is never touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from nearfar.common.share import for_examples
from nearfar.generation.base import Base
from nearfar.generation.data import PictureBatch
from nearfar.generation.directions import Editing, beginnings
from nearfar.generation.effects import COUNT, effects_of
from nearfar.generation.evaluation import fidelity
from nearfar.generation.made import Made
from nearfar.generation.method import Draws, Generates, pictures_made
from nearfar.generation.open_base import open_base
from nearfar.generation.writing import asked
from nearfar.losses import direction_contrast
from nearfar.parts.diffusion import Predict
from nearfar.system import Scores
from nearfar.training import Data, Method, Optimization


class NoisedPictures(NamedTuple):
    """Noised pictures (N, C, h, w), their level (1,) int64, and the directions of the step (K,) int64, the one that is
    asked first."""

    x: Tensor
    t: Tensor
    chosen: Tensor


class NoiseCLR(Generates, Method):  # type: ignore[misc]
    """Directions in which a text-to-picture diffusion model can change any picture, learned without labels.

    A hundred pictures of one kind are enough. For a change that can be named use the name as the model's text.

    Args:
        base: the frozen model: a folder of diffusers, ``hf:<model>``, ``made:sprites`` or ``made:digits``, or a
            :class:`nearfar.generation.base.Base`.
        directions: K, at least 2.
        others: directions that the one asked is compared with in a step, at least 1; all when not given (the paper's
            sum, the release takes 20).
        temperature: tau, above 0.
        initial: the vectors begin as ``words`` that the model knows (released), or as ``normal`` numbers with the mean
            and the spread of such words.
        flip: mirror half of the pictures; not where left and right matter.
        together: directions that the network is told at once. Changes memory and speed only: with fewer than a step has
            the network works twice and keeps nothing in between.
        editing: how pictures are changed.
        optimization: of the vectors; 1,000 steps of 6 pictures.
    """

    verbs = ("generates",)
    takes = PictureBatch
    from_nothing = True
    can_collapse = False

    def __init__(
        self,
        base: str | Base = "hf:stable-diffusion-v1-5/stable-diffusion-v1-5",
        directions: int = 100,
        *,
        others: int | None = 20,
        temperature: float = 0.5,
        initial: Literal["words", "normal"] = "words",
        flip: bool = True,
        together: int = 1,
        editing: Editing = Editing(),
        optimization: Optimization = Optimization(lr=1e-3, weight_decay=0.01, schedule="constant"),
    ) -> None:
        super().__init__(optimization)
        if directions < 2 or (others is not None and others < 1) or together < 1:
            raise ValueError(
                "directions must be at least 2, others and together at least 1, got "
                f"{directions}, {others} and {together}"
            )
        if initial not in ("words", "normal"):
            raise ValueError(f"initial must be words or normal, got {initial!r}")
        self.base = open_base(base)
        self.base.diffusion.times(editing.steps)  # raises early on a bad value
        self.encoder = nn.Embedding(directions, self.base.table().shape[1])
        with torch.no_grad():
            self.encoder.weight.copy_(beginnings(self.base.table(), directions, initial))
        self.others = directions - 1 if others is None else min(others, directions - 1)
        self.temperature, self.flip, self.together, self.editing = temperature, flip, together, editing

    @property
    def vectors(self) -> Tensor:
        """(K, D): the words that are learned."""
        return self.encoder.weight  # type: ignore[return-value]

    def views(self, batch: PictureBatch) -> NoisedPictures:
        images, device = batch.images, batch.images.device
        if self.flip:
            turned = for_examples(lambda n: torch.rand(n, generator=self.generator, device=device), len(images)) < 0.5
            images = torch.where(turned[:, None, None, None], images.flip(3), images)
        x = self.base.latents(images, self._normal(len(images)))
        t = torch.randint(len(self.base.diffusion), (1,), generator=self.generator, device=device)
        chosen = torch.randperm(len(self.vectors), generator=self.generator, device=device)[: self.others + 1]
        return NoisedPictures(self.base.diffusion.noised(x, t, self._normal(len(x))), t, chosen)

    def _normal(self, count: int) -> Tensor:
        shape = self.base.shape
        return for_examples(lambda n: torch.randn(n, *shape, generator=self.generator, device=self.device), count)

    def loss(self, views: NoisedPictures) -> Tensor:
        states = self.base.word_states(self.vectors[views.chosen])
        with torch.no_grad():
            untold = self.base.noise(views.x, views.t, self.base.states([""]))
        parts = states.split(self.together)
        if len(parts) == 1:
            found = [self.edits(states, views, untold)]
        else:
            found = [checkpoint(self.edits, part, views, untold, use_reentrant=False) for part in parts]
        (every,) = self.gather(torch.cat(found).transpose(0, 1).contiguous())
        return direction_contrast(every.transpose(0, 1), temperature=self.temperature)

    def edits(self, states: Tensor, views: NoisedPictures, untold: Tensor) -> Tensor:
        """(K, N, D): what K texts, by their states, change in the noise that the network sees in N pictures."""
        x = views.x.repeat(len(states), 1, 1, 1)
        told = self.base.noise(x, views.t, states.repeat_interleave(len(views.x), 0))
        return (told.unflatten(0, (len(states), -1)) - untold).flatten(2)

    def edited(self, noise: Tensor, scales: Mapping[int, float]) -> Tensor:
        """Pictures (N, C, H, W) in about [-1, 1] of noise (N, C, h, w), changed along directions; several add up."""
        diffusion, steps = self.base.diffusion, self.editing.steps
        found = diffusion.sample(self._told(scales), noise, steps=steps, clip=self.base.clip)
        return self.base.pictures(found)

    def inverted(self, images: Tensor) -> Tensor:
        """The noise (N, C, h, w) that pictures (N, 3, H, W) uint8 are made of, nearly, when nothing is said."""
        return self.base.diffusion.invert(self._told({}), self.base.latents(images), steps=self.editing.steps)

    def _told(self, scales: Mapping[int, float]) -> Predict:
        untold = self.base.states([""])
        if not scales:
            return lambda x, t: self.base.noise(x, t, untold)
        states = self.base.word_states(self.vectors[[*scales]])
        times, steps = self.base.diffusion.times(self.editing.steps), self.editing.steps
        during = times[round(self.editing.start * steps) : round(self.editing.end * steps)]

        def predict(x: Tensor, t: Tensor) -> Tensor:
            plain = self.base.noise(x, t, untold)
            if int(t[0]) not in during:
                return plain
            told = [self.base.noise(x, t, state[None]) for state in states]
            return plain + sum(scale * (each - plain) for each, scale in zip(told, scales.values(), strict=True))

        return predict

    def make(self, batch: Any, draws: Draws) -> list[Made]:
        """The picture rebuilt, or a new one, then the same changed along each of the shown directions."""
        given = isinstance(batch, PictureBatch)
        noise = self.inverted(batch.images) if given else draws.normal(*self.base.shape)
        named: dict[str, dict[int, float]] = {"": {}}
        named |= {f"direction {k}": {k: self.editing.scale} for k in range(min(self.editing.shown, len(self.vectors)))}
        found = {name: self.edited(noise, scales) for name, scales in named.items()}
        return pictures_made(batch, found, reference=given)

    def evaluate(self, data: Data, *, seed: int = 0) -> Scores:
        """``psnr`` and ``ssim`` of held-out pictures that are rebuilt with nothing changed, and what the shown
        directions change in new ones: see :func:`nearfar.generation.effects.effects_of`."""
        rebuilt = fidelity([*self.generate(asked(data).sample(COUNT), seed=seed)])
        return rebuilt.add(effects_of(self, seed=seed))
