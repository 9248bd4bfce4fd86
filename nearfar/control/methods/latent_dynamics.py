"""Latent dynamics by temporal contrast: a space in which what comes next is predicted, and planned in."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from nearfar.control.data import Observed, Sampling, Sequences
from nearfar.control.method import Agent, kept_parts, known
from nearfar.control.networks import mlp, torso
from nearfar.control.spaces import Spaces
from nearfar.losses import latent_hinge, latent_info_nce
from nearfar.system import Scores
from nearfar.training import Interaction, Optimization

ADAM = Optimization("adam", lr=5e-4, weight_decay=0.0, schedule="constant")


class LatentDynamics(Agent):
    r"""Latent dynamics learned by contrast; no single paper, nearest are CPC with actions (arXiv 1807.03748) and C-SWM
    (arXiv 1911.12247), whose hinge loss is the option.

    :math:`\hat z_{t+k} = F(\ldots F(E(o_t), a_t) \ldots, a_{t+k-1})` with :math:`F(z, a) = z + \mathrm{MLP}([z; a])`
    has to be nearest to :math:`E(o_{t+k})` among the states of the batch. Whoever sets a goal has it reached by
    random shooting: of ``plans`` sequences of actions the one that ends nearest to the goal's code begins. The design
    is the library's own. What can be predicted is encoded, also where it is of no use, such as a film in the
    background.

    Args:
        spaces: what is observed and done; taken from the data when not given.
        loss: ``infonce`` or ``hinge``.
        latent: width of the space.
        hidden: width of the transition's layer.
        horizon: steps that are rolled out, at least 1.
        temperature: divides squared distances, above 0 (``infonce``).
        margin, sigma: of the hinge.
        plans: sequences of actions that are tried, at least 1; ``plan_steps`` long.
        optimization: Adam 5e-4.
    """

    encoder: nn.Sequential
    can_collapse = False

    def __init__(
        self,
        spaces: Spaces | None = None,
        *,
        loss: Literal["infonce", "hinge"] = "infonce",
        latent: int = 32,
        hidden: int = 128,
        horizon: int = 5,
        temperature: float = 1.0,
        margin: float = 1.0,
        sigma: float = 0.5,
        plans: int = 256,
        plan_steps: int = 5,
        optimization: Optimization = ADAM,
    ) -> None:
        super().__init__(optimization)
        self.spaces = known(spaces)
        if loss not in ("infonce", "hinge"):
            raise ValueError(f"loss must be infonce or hinge, got {loss!r}")
        for name, value in (("horizon", horizon), ("plans", plans), ("plan_steps", plan_steps)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.sampling = Sampling(length=horizon)
        body, width = torso(self.spaces)
        self.encoder = nn.Sequential(body, mlp(width, (hidden,), latent))
        self.transition = mlp(latent + self.spaces.actions, (hidden,), latent)
        self.kind, self.temperature, self.margin, self.sigma = loss, temperature, margin, sigma
        self.plans, self.plan_steps = plans, plan_steps

    def step(self, codes: Tensor, actions: Tensor) -> Tensor:
        """Codes (N, D) after actions (N, A)."""
        return codes + self.transition(torch.cat([codes, actions], 1))

    def rolled(self, codes: Tensor, actions: Tensor) -> Tensor:
        """(K, N, D) predictions for actions (N, K, A) from codes (N, D)."""
        found = []
        for action in actions.unbind(1):
            codes = self.step(codes, action)
            found.append(codes)
        return torch.stack(found)

    def loss(self, views: Sequences) -> Tensor:
        codes = self.encoder(views.observations.flatten(0, 1))
        codes = codes.reshape(*views.observations.shape[:2], -1).transpose(0, 1)  # (K + 1, B, D)
        predicted = self.rolled(codes[0], views.actions)
        if self.kind == "infonce":
            return latent_info_nce(predicted, codes[1:], temperature=self.temperature)
        others = torch.randperm(len(views.actions), generator=self.generator, device=codes.device)
        return latent_hinge(predicted, codes[1:], margin=self.margin, sigma=self.sigma, others=others)

    def act(self, observed: Observed, *, generator: torch.Generator | None = None) -> Tensor:
        """The first actions of the plans that end nearest to the goals. Plans are drawn anew for each call: by
        ``generator``, or by a fixed one."""
        if not observed.goals.shape[1]:
            raise ValueError("latent-dynamics plans towards goals, and this world sets none")
        generator = generator or torch.Generator(self.device).manual_seed(0)
        start, wanted = self.encoder(observed.observations), self.encoder(observed.goals)
        shape = (self.plans, self.plan_steps)
        if self.spaces.discrete:
            drawn = torch.randint(self.spaces.actions, shape, generator=generator, device=self.device)
            tries = torch.nn.functional.one_hot(drawn, self.spaces.actions).to(start.dtype)
        else:
            tries = torch.rand(*shape, self.spaces.actions, generator=generator, device=self.device) * 2 - 1
        count = len(start)
        ends = self.rolled(start.repeat_interleave(self.plans, 0), tries.repeat(count, 1, 1))
        # The nearest that a plan comes at any of its steps, sooner being better.
        far = (ends.reshape(len(ends), count, self.plans, -1) - wanted[None, :, None]).square().sum(-1)
        late = 1 + 0.01 * torch.arange(len(ends), device=self.device)[:, None, None]
        best = (far * late).min(0).values.argmin(1)
        return tries[best, 0]

    def kept(self) -> nn.Module:
        return kept_parts({"encoder": self.encoder, "transition": self.transition})

    def evaluate(self, data: Interaction, *, seed: int = 0) -> Scores:
        """Share of predictions 1, 5 and 10 steps ahead whose nearest of 500 states is the one reached (``hits@1``), and
        the mean reciprocal rank; of episodes that are drawn with ``seed``."""
        scores = Scores()
        rng = np.random.default_rng(seed)
        for ahead in (1, 5, 10):
            found = data.replay.sample(rng, 500, Sampling(length=ahead))  # type: ignore[attr-defined]
            with self.frozen():
                start = self.encoder(found.observations[:, 0].to(self.device))
                end = self.rolled(start, found.actions.to(self.device))[-1]
                reached = self.encoder(found.observations[:, -1].to(self.device))
            # States that look the same are not held against each other.
            _, kind = np.unique(found.observations[:, -1].flatten(1).numpy(), axis=0, return_inverse=True)
            same = torch.from_numpy(kind.ravel()[:, None] == kind.ravel()[None])
            far = torch.cdist(end, reached).cpu().masked_fill(same & ~torch.eye(500, dtype=torch.bool), torch.inf)
            rank = 1 + (far < far.diagonal()[:, None]).sum(1)
            scores[f"hits@1 after {ahead}"] = float((rank == 1).float().mean())
            scores[f"mrr after {ahead}"] = float((1 / rank).mean())
        return scores
