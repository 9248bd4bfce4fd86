"""Contrastive active inference: an agent that prefers to see a picture, and models the world without drawing it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nearfar.control.data import Observed, Sampling, Sequences
from nearfar.control.imagination import imagined, searched
from nearfar.control.method import Agent, kept_parts, known
from nearfar.control.networks import Actor, Policy, mlp
from nearfar.control.recurrent_model import PictureCodes, RecurrentModel, State, World, code, divergence, lambda_returns
from nearfar.control.spaces import Spaces
from nearfar.losses import contrastive_free_energy, info_nce
from nearfar.parts import MomentumEncoder
from nearfar.training import Optimization, Update

WORLD = Optimization("adam", lr=6e-4, weight_decay=0.0, schedule="constant", clip=100.0)
ACTING = Optimization("adam", lr=8e-5, weight_decay=0.0, schedule="constant", clip=100.0)


class ContrastiveActiveInference(Agent):
    r"""Mazzaglia, Verbelen and Dhoedt, 2021, NeurIPS, arXiv 2110.10083.

    Where Dreamer draws what it sees, a state here has to find its own observation among all of the batch:
    :math:`L = \mathrm{CE}(h(s_i) \cdot g(x_j), j = i) + \max(\mathrm{KL}, 3)`. What is preferred is a picture. A policy
    lowers the expected free energy of imagined states (:func:`~nearfar.losses.contrastive_free_energy`), by the
    model's own gradients for numbers and by REINFORCE for choices, with lambda-returns; a value learns those.

    The paper trains a policy for one preferred picture. Here goals are drawn from the batch and the policy and the
    value are told their codes, so that any picture can be preferred later. The paper's agent carries its state through
    an episode; here it begins anew from what it sees now, so that ``stack`` has to show what one frame does not. With
    ``search`` no policy is learned, and all sequences of so many choices are imagined instead.

    Args:
        spaces: what is observed and done, with pictures and goals; taken from the data when not given.
        length: steps of the sequences that are learned from, at least 1; 6 for MiniGrid, 30 for Reacher.
        stack: frames that an observation shows.
        horizon: steps that are imagined, at least 1; 6 for MiniGrid, 10 for Reacher.
        search: choices that are searched through when acting, 0 for a policy.
        hidden: width of the three layers of policy and value.
        discount, trace: of the lambda-returns.
        entropy: weight of the policy's entropy.
        copy_every: steps after which the slow value is the fast one; an episode's updates in the paper.
        world: size of the model.
        optimization, acting_optimization: of the model, and of policy and value.
    """

    made: Tensor
    encoder: PictureCodes

    def __init__(
        self,
        spaces: Spaces | None = None,
        *,
        length: int = 6,
        stack: int = 1,
        horizon: int = 6,
        search: int = 0,
        hidden: int = 200,
        discount: float = 0.99,
        trace: float = 0.95,
        entropy: float = 1e-4,
        copy_every: int = 100,
        world: World = World(),
        optimization: Optimization = WORLD,
        acting_optimization: Optimization = ACTING,
    ) -> None:
        super().__init__(optimization)
        self.spaces = known(spaces)
        self.spaces.needs_pixels("contrastive-active-inference")
        self.spaces.needs_goals("contrastive-active-inference")
        for name, value, least in (("length", length, 1), ("horizon", horizon, 1), ("search", search, 0)):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        if search and not self.spaces.discrete:
            raise ValueError("search goes through all choices, and this world takes numbers; leave it at 0")
        self.sampling = Sampling(length=length, stack=stack)
        channels, *side = self.spaces.observation
        self.encoder = PictureCodes((channels * stack, *side), world.depth)
        self.model = RecurrentModel(self.spaces.actions, self.encoder.width, world)
        wide = world.certain + world.drawn
        self.state_code = code(wide, world.hidden, world.code)
        self.seen_code = code(self.encoder.width, 2 * world.hidden, world.code)
        layers = (hidden,) * 3
        self.actor = Actor(wide + world.code, self.spaces, hidden=layers)
        self.value = mlp(wide + world.code, layers, 1)
        self.slow = MomentumEncoder(self.value, 0.0, "constant")
        self.register_buffer("made", torch.zeros((), dtype=torch.long))
        self.free, self.horizon, self.search = world.free, horizon, search
        self.discount, self.trace, self.entropy, self.copy_every = discount, trace, entropy, copy_every
        self.acting_optimization = acting_optimization

    def updates(self) -> list[Update]:
        parts = (self.encoder, self.model, self.state_code, self.seen_code)
        world = Update("world", [p for part in parts for p in part.parameters()], self.world_loss, self.optimization)
        acting = self.acting_optimization
        return [world] + [
            Update("policy", [*self.actor.parameters()], self.policy_loss, acting),
            Update("value", [*self.value.parameters()], self.value_loss, acting),
        ] * (not self.search)

    def world_loss(self, views: Sequences) -> dict[str, Tensor]:
        seen = self.encoder(views.observations.flatten(0, 1)).unflatten(0, views.observations.shape[:2])
        expected, state = self.model.follow(seen, views.actions, self.generator)
        codes = self.seen_code(seen[:, 1:].transpose(0, 1).flatten(0, 1))
        with torch.no_grad():  # where the policy will stand when it acts
            self._known = self.model.first(seen[:, 1:].transpose(0, 1).flatten(0, 1), self.generator)
        self._codes = codes.detach()
        return {
            "contrast": info_nce(
                *self.gather(self.state_code(state.features), codes), temperature=1.0, normalize=False
            ),
            "divergence": divergence(state, expected).mean().clamp_min(self.free),
        }

    def policy_loss(self, views: Sequences) -> dict[str, Tensor]:
        state, goals = self._known, self._codes
        goals = goals[torch.randperm(len(goals), generator=self.generator, device=goals.device)]
        found = imagined(self.model, self.actor, state, goals, self.horizon, self.generator, self.spaces.discrete)
        costs = [contrastive_free_energy(self.state_code(each.features), goals, self._codes) for each in found.states]
        after = [self.slow.module(torch.cat([each.features, goals], 1)).squeeze(1) for each in found.states]
        returns = lambda_returns(torch.stack(costs), torch.stack(after), discount=self.discount, trace=self.trace)
        weight = self.discount ** torch.arange(self.horizon, device=returns.device)[:, None]
        self._told, self._returns = found.told.detach(), returns.detach()
        if self.spaces.discrete:
            with torch.no_grad():
                ahead = returns - self.value(self._told).squeeze(2)
            objective = found.logs * ahead
        else:
            objective = returns
        return {"cost": (weight * objective).mean(), "entropy": -self.entropy * (weight * found.spread).mean()}

    def value_loss(self, views: Sequences) -> Tensor:
        weight = self.discount ** torch.arange(self.horizon, device=self._returns.device)[:, None]
        return (weight * 0.5 * (self.value(self._told).squeeze(2) - self._returns).square()).mean()

    def after_step(self) -> None:
        self.made += 1
        if int(self.made) % self.copy_every == 0:
            self.slow.update(self.value)

    def expected(self, observations: Tensor) -> State:
        """What is known of observations (N, ...) alone."""
        return self.model.first(self.encoder(observations), None)

    def preferred(self, goals: Tensor) -> Tensor:
        """(N, D) the codes of goal pictures; one that shows a single frame is taken for a stack of them."""
        return self.seen_code(self.encoder(goals.repeat(1, self.sampling.stack, 1, 1)))

    def policy(self, observations: Tensor, goals: Tensor) -> Policy:
        return self.actor(torch.cat([self.expected(observations).features, self.preferred(goals)], 1))

    def distance(self, state: State, goals: Tensor) -> Tensor:
        """(N,) free energy of states towards codes of goals (N, D), as when acting."""
        return contrastive_free_energy(self.state_code(state.features), goals)

    def act(self, observed: Observed, *, generator: torch.Generator | None = None) -> Tensor:
        if not observed.goals.shape[1]:
            raise ValueError("contrastive-active-inference prefers a picture, and this world sets none")
        if not self.search:
            return super().act(observed, generator=generator)
        state, goals = self.expected(observed.observations), self.preferred(observed.goals)
        return searched(self.model, state, goals, self.distance, self.search, self.discount)

    def kept(self) -> nn.Module:
        names = ("encoder", "model", "state_code", "seen_code", "actor")
        return kept_parts({name: getattr(self, name) for name in names})
