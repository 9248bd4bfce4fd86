"""Contrastive pre-training for data efficiency: learn from what nobody labelled, then from few labels."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from nearfar.control.augment import shift
from nearfar.control.data import Sampling, Transitions
from nearfar.control.method import Agent, kept_parts, known, recorded
from nearfar.control.networks import Actor, Choices, Policy
from nearfar.control.pixel_sac import PixelEncoder
from nearfar.control.spaces import Spaces
from nearfar.losses import bilinear_info_nce
from nearfar.parts import MLPHead, MomentumEncoder
from nearfar.training import Optimization, Phase

ADAM = Optimization("adam", lr=1e-3, weight_decay=0.0, schedule="constant")
CONTRAST, CLONING = "contrast", "cloning"


class ContrastivePretraining(Agent):
    """Pre-training by contrast, then imitation of few labelled steps; no single paper, nearest are CURL (arXiv
    2004.04136) and augmented temporal contrast (ATC, arXiv 2009.08319), whose two objectives these are.

    In the first part of a run an encoder learns from all recorded pictures and no action: a shifted picture finds
    another shift of the same (``crops``), or, through a prediction beside what it is, a shift of the next one
    (``steps``), among those of the batch by a learned product, the other side being a slow encoder. In the second part
    a policy on that encoder imitates ``labelled`` steps. With ``none`` the whole run imitates, which is what
    pre-training has to beat with as many updates. :meth:`teach` takes steps of someone else's instead of the data's.

    Args:
        spaces: what is observed and done; taken from the data when not given.
        objective: ``steps``, ``crops`` or ``none``.
        labelled: steps whose action is known, drawn once from the data, at least 1.
        share: of the run that pre-trains, in [0, 1].
        tune: whether imitation moves the encoder as well.
        stack: frames that an observation shows.
        filters, features: of the encoder, see :class:`~nearfar.control.pixel_sac.PixelEncoder`.
        hidden: width of the policy's two layers.
        pad: largest shift in pixels each way.
        tau: how fast the slow encoder follows, in (0, 1].
        optimization: Adam 1e-3.
    """

    encoder: PixelEncoder
    shown: Tensor
    done: Tensor

    def __init__(
        self,
        spaces: Spaces | None = None,
        *,
        objective: Literal["steps", "crops", "none"] = "steps",
        labelled: int = 50,
        share: float = 0.8,
        tune: bool = True,
        stack: int = 2,
        filters: int = 32,
        features: int = 50,
        hidden: int = 256,
        pad: int = 4,
        tau: float = 0.01,
        optimization: Optimization = ADAM,
    ) -> None:
        super().__init__(optimization)
        self.spaces = known(spaces)
        self.spaces.needs_pixels("contrastive-pretraining")
        if objective not in ("steps", "crops", "none"):
            raise ValueError(f"objective must be steps, crops or none, got {objective!r}")
        if labelled < 1 or not 0 <= share <= 1:
            raise ValueError(f"labelled must be at least 1 and share in [0, 1], got {labelled} and {share}")
        self.sampling = Sampling(stack=stack)
        channels, *side = self.spaces.observation
        shape = (channels * stack, *side)
        self.encoder = PixelEncoder(shape, filters, features)
        self.ahead = MLPHead(features, hidden, features, norm="none")
        self.product = nn.Parameter(torch.rand(features, features))
        self.slow = MomentumEncoder(self.encoder, 1 - tau, "constant")
        self.actor = Actor(features, self.spaces, hidden=(hidden, hidden))
        self.register_buffer("shown", torch.zeros((labelled, *shape), dtype=torch.uint8))
        self.register_buffer("done", torch.zeros(labelled, self.spaces.actions))
        self.phases = (Phase(CONTRAST, share * (objective != "none")), Phase(CLONING))
        self.objective, self.tune, self.pad, self._taught = objective, tune, pad, False

    def teach(self, observations: Tensor, actions: Tensor) -> None:
        """Imitate steps: observations (N, ...) of stacked frames and actions (N, A), choices as one-hot rows."""
        # A copy, as what is a part of a larger tensor is not kept with the weights.
        self.shown, self.done = observations.to(self.device, copy=True), actions.to(self.done)
        self._taught = True

    def begin(self, data: Any) -> None:
        found = recorded(data, "contrastive-pretraining")
        if not self._taught:
            drawn = found.replay.sample(np.random.default_rng(self.seed), len(self.done), self.sampling)
            self.teach(drawn[0], drawn[1])

    def views(self, batch: Transitions) -> tuple[Tensor, Tensor]:
        if self.phase == CLONING:
            rows = torch.randint(len(self.done), (len(batch.rewards),), generator=self.generator, device=self.device)
            return shift(self.shown[rows], self.pad, self.generator), self.done[rows]
        after = batch.next_observations if self.objective == "steps" else batch.observations
        return shift(batch.observations, self.pad, self.generator), shift(after, self.pad, self.generator)

    def loss(self, views: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        if self.phase == CLONING:
            return {CLONING: self.cloned(*views)}
        queries = self.encoder(views[0])
        if self.objective == "steps":
            queries = queries + self.ahead(queries)
        queries, keys = self.gather(queries, self.slow(views[1]))
        return {CONTRAST: bilinear_info_nce(queries, keys, self.product)}

    def cloned(self, pixels: Tensor, actions: Tensor) -> Tensor:
        """How unlikely the policy finds labelled actions; by squares for numbers, which have no noise to explain."""
        with torch.set_grad_enabled(self.tune and torch.is_grad_enabled()):
            seen = self.encoder(pixels)
        policy = self.actor(seen)
        if isinstance(policy, Choices):
            return -policy.log_prob(actions).mean()
        return (policy.best - actions).square().mean()

    def after_step(self) -> None:
        if self.phase == CONTRAST:
            self.slow.update(self.encoder)

    def policy(self, observations: Tensor, goals: Tensor) -> Policy:
        return self.actor(self.encoder(observations))

    def encode(self, batch: Tensor) -> Tensor:
        return self.encoder(batch)

    def kept(self) -> nn.Module:
        return kept_parts({"encoder": self.encoder, "actor": self.actor})
