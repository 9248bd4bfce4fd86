"""CDiffuser: a diffusion of plans that leans towards states of high return."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.control.data import Observed, Sampling, Sequences
from nearfar.control.method import Agent, kept_parts, known, recorded
from nearfar.control.plan_networks import PlanUNet, PlanValue
from nearfar.control.planning import Contrast, Planning, guided, plan_rows
from nearfar.control.spaces import Spaces
from nearfar.parts import MomentumEncoder
from nearfar.parts.diffusion import Diffusion
from nearfar.training import Optimization, Update

ADAM = Optimization("adam", lr=2e-4, weight_decay=0.0, schedule="constant")


class CDiffuser(Agent):
    r"""Shan et al., 2024, arXiv 2402.02772 (released as ContraDiff), on Diffuser (Janner et al., 2022, ICML, arXiv
    2205.09991).

    A denoiser predicts plans :math:`x_0`, rows of action and state, from noised ones with the first state put in. The
    states that it predicts are pulled towards states of high value and pushed from those of low value, each drawn for
    itself (:func:`~nearfar.losses.return_contrast`): :math:`L = L_{diff} + \lambda L_c`. A second network learns from
    noised plans what the episode gave from there on, and guides the denoising of 64 plans when it acts.

    States are sorted by the discounted rewards that followed them. Windows lie within an episode; the release fills
    those at its end with zeros. Its slow denoiser follows with 0.995 at every tenth update, here with the tenth root at
    each, as an average of all in the beginning. Its variant whose positives are chained by clusters of states is not
    here, nor are earlier soft probabilities of being drawn.

    Args:
        spaces: what is observed and done, with observations of numbers; taken from the data when not given.
        horizon: steps of a plan.
        noises: levels of the diffusion, at least 2.
        width, times: of both networks, see :class:`~nearfar.control.plan_networks.PlanUNet`.
        contrast: what plans are pulled to.
        planning: how an action is found.
        discount: of what the guide learns, in (0, 1].
        action_weight: of the first action in the regression.
        momentum: of the slow denoiser that plans.
        optimization, value_optimization: of the denoiser and of the guide.
    """

    encoder: PlanUNet
    center: Tensor
    spread: Tensor
    high: Tensor
    low: Tensor

    def __init__(
        self,
        spaces: Spaces | None = None,
        *,
        horizon: int = 32,
        noises: int = 20,
        width: int = 32,
        times: tuple[int, ...] = (1, 2, 4, 8),
        contrast: Contrast = Contrast(),
        planning: Planning = Planning(),
        discount: float = 0.997,
        action_weight: float = 10.0,
        momentum: float = 0.9995,
        optimization: Optimization = ADAM,
        value_optimization: Optimization = ADAM,
    ) -> None:
        super().__init__(optimization)
        self.spaces = known(spaces)
        self.spaces.needs_numbers("cdiffuser")
        self.sampling = Sampling(length=horizon, returns=discount)
        self.acts, seen = self.spaces.actions, self.spaces.observation[0]
        row = self.acts + seen
        self.encoder = PlanUNet(row, horizon, width, times)
        self.slow = MomentumEncoder(self.encoder, momentum, "warmup")
        self.value = PlanValue(row, horizon, width, times)
        self.embedding = nn.Linear(seen, contrast.width)
        self.diffusion = Diffusion.cosine(noises)
        self.register_buffer("center", torch.zeros(row))
        self.register_buffer("spread", torch.ones(row))
        for name in ("high", "low"):
            self.register_buffer(name, torch.zeros(0, seen), persistent=False)
        self.contrast, self.planning, self.horizon = contrast, planning, horizon
        self.action_weight, self.value_optimization = action_weight, value_optimization

    def begin(self, data: Any) -> None:
        found = recorded(data, "cdiffuser")
        rows = torch.from_numpy(plan_rows(found.episodes, self.acts if self.spaces.discrete else 0)).to(self.center)
        self.center.copy_(rows.mean(0))
        self.spread.copy_(rows.std(0).clamp_min(1e-6))
        self.resumed(data)

    def resumed(self, data: Any) -> None:
        episodes = recorded(data, "cdiffuser").episodes
        best, worst = (torch.from_numpy(each).to(self.center) for each in self.contrast.extremes(episodes))
        scale = self.center[self.acts :], self.spread[self.acts :]
        self.high, self.low = ((states - scale[0]) / scale[1] for states in (best, worst))

    def updates(self) -> list[Update]:
        planned = [*self.encoder.parameters(), *self.embedding.parameters()]
        return [
            Update("plan", planned, self.plan_loss, self.optimization),
            Update("value", [*self.value.parameters()], self.value_loss, self.value_optimization),
        ]

    def views(self, batch: Sequences) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Plans (B, H, A + S), noised ones, their levels (B,), and what followed (B,)."""
        plans = (torch.cat([batch.actions, batch.observations[:, :-1]], 2) - self.center) / self.spread
        t = torch.randint(len(self.diffusion), (len(plans),), generator=self.generator, device=plans.device)
        noise = torch.randn(plans.shape, generator=self.generator, device=plans.device)
        return plans, self.begun(self.diffusion.noised(plans, t, noise), plans), t, batch.returns

    def begun(self, plans: Tensor, true: Tensor) -> Tensor:
        """Plans whose first state is that of other ones."""
        first = torch.cat([plans[:, :1, : self.acts], true[:, :1, self.acts :]], 2)
        return torch.cat([first, plans[:, 1:]], 1)

    def plan_loss(self, views: tuple[Tensor, Tensor, Tensor, Tensor]) -> dict[str, Tensor]:
        plans, noised, t, _ = views
        found = self.begun(self.encoder(noised, t), plans)
        weight = torch.ones_like(plans[0])
        weight[0, : self.acts] = self.action_weight
        terms = {"diffusion": (weight * (found - plans).square()).mean()}
        if self.contrast.weight:
            shape = (len(plans), self.contrast.each, self.horizon)
            high, low = (
                self.embedding(pool[torch.randint(len(pool), shape, generator=self.generator, device=pool.device)])
                for pool in (self.high, self.low)
            )
            terms["contrast"] = self.contrast.loss(self.embedding(found[..., self.acts :]), high, low)
        return terms

    def value_loss(self, views: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
        _, noised, t, returns = views
        return (self.value(noised, t) - returns).square().mean()

    def after_step(self) -> None:
        self.slow.update(self.encoder)

    def plan(self, observations: Tensor, generator: torch.Generator) -> Tensor:
        """(N, H, A + S) actions and states that begin at observations (N, S), the best of those that were drawn."""
        first = (observations - self.center[self.acts :]) / self.spread[self.acts :]
        true = F.pad(first, (self.acts, 0))[:, None].repeat_interleave(self.planning.plans, 0)
        start = torch.randn(len(true), self.horizon, true.shape[-1], generator=generator, device=self.device)
        x = guided(
            self.diffusion, self.slow, self.value, start, lambda x: self.begun(x, true), self.planning, generator
        )
        values = self.value(x, torch.zeros(len(x), device=self.device)).reshape(len(first), -1)
        best = x.unflatten(0, values.shape)[torch.arange(len(first)), values.argmax(1)]
        return best * self.spread + self.center

    def act(self, observed: Observed, *, generator: torch.Generator | None = None) -> Tensor:
        """The first actions of plans, which are drawn anew for each call: by ``generator``, or by a fixed one."""
        generator = generator or torch.Generator(self.device).manual_seed(0)
        with torch.no_grad():
            found = self.plan(observed.observations, generator)[:, 0, : self.acts]
        return F.one_hot(found.argmax(1), self.acts).to(found) if self.spaces.discrete else found.clamp(-1, 1)

    def kept(self) -> nn.Module:
        own = nn.Module()
        own.register_buffer("center", self.center)
        own.register_buffer("spread", self.spread)
        return kept_parts({"slow": self.slow.module, "value": self.value, "scale": own})
