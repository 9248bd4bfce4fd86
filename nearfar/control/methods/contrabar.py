"""ContraBAR: contrastive Bayes-adaptive deep RL, its belief."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nearfar.control.data.tasks import TaskBatch
from nearfar.losses import belief_nce
from nearfar.training import Method, Optimization


class BeliefEncoder(nn.Module):
    """A recurrent network over what was seen, done and earned.

    Args:
        observation, actions: widths of a state and of an action.
        embedding: width that each of state, action and reward gets.
        belief: width of the hidden state.
        rewards: whether rewards are shown; without them there is nothing to tell tasks by, which is an ablation.
    """

    def __init__(
        self, observation: int, actions: int, *, embedding: int = 8, belief: int = 256, rewards: bool = True
    ) -> None:
        super().__init__()
        self.rewards = rewards
        self.parts = nn.ModuleList(
            nn.Sequential(nn.Linear(width, embedding), nn.ELU()) for width in (1, observation, actions)
        )
        self.norm = nn.LayerNorm(3 * embedding)
        self.memory = nn.GRU(3 * embedding, belief, batch_first=True)

    def codes(self, batch: TaskBatch) -> Tensor:
        """(B, T, Z) of each step: its reward, the state it led to, what was done."""
        rewards = batch.rewards[..., None] if self.rewards else torch.zeros_like(batch.rewards[..., None])
        shown = rewards, batch.observations, batch.actions
        return self.norm(torch.cat([part(x) for part, x in zip(self.parts, shown, strict=True)], -1))

    def forward(self, batch: TaskBatch) -> Tensor:
        """(B, T, H) the belief after each step."""
        return self.memory(self.codes(batch))[0]


class ContraBAR(Method):
    """Choshen and Tamar, 2023, ICML, arXiv 2306.02418.

    A recurrent network over what was seen, done and earned in several episodes of one unknown task learns a belief over
    tasks by contrastive predictive coding: at each step it tells what happens up to ``lookahead`` steps later from what
    happened in other trajectories. The hidden state goes on from episode to episode of a task. An agent's policy is
    then given state and belief, without gradients; this class is the belief, which :meth:`encode` gives at the end of
    each trajectory, and it is judged by what it knows of the task.

    Args:
        in_features: width of a state; taken from the data when not given.
        num_actions: width of an action; taken from the data when not given.
        embedding: width that each of state, action and reward gets.
        belief: width of the hidden state; 50 for the paper's point robot.
        lookahead: steps ahead, at least 1, each scored by a network of its own.
        negatives: of other trajectories for each step, at least 1.
        rewards: whether the belief is shown rewards.
        optimization: Adam 1e-4.
    """

    takes = TaskBatch
    encoder: BeliefEncoder

    def __init__(
        self,
        in_features: int | None = None,
        num_actions: int | None = None,
        *,
        embedding: int = 8,
        belief: int = 256,
        lookahead: int = 10,
        negatives: int = 15,
        rewards: bool = True,
        optimization: Optimization = Optimization("adam", lr=1e-4, weight_decay=0.0, schedule="constant"),
    ) -> None:
        super().__init__(optimization)
        if in_features is None or num_actions is None:
            raise ValueError("in_features and num_actions are needed: the widths of a state and of an action")
        for name, value in (("lookahead", lookahead), ("negatives", negatives)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.encoder = BeliefEncoder(in_features, num_actions, embedding=embedding, belief=belief, rewards=rewards)
        wide = 3 * embedding + belief
        self.scorers = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(wide), nn.Linear(wide, wide // 2), nn.ELU(), nn.Linear(wide // 2, 1))
            for _ in range(lookahead)
        )
        self.negatives = negatives

    def loss(self, views: TaskBatch) -> Tensor:
        codes = self.encoder.codes(views)
        beliefs = self.encoder.memory(codes)[0]
        rows, steps, _ = codes.shape
        # For each place of a trajectory, places of other trajectories; every offset that lands there shares them.
        other = torch.randint(1, rows, (rows, steps, self.negatives), generator=self.generator, device=codes.device)
        other = (other + torch.arange(rows, device=codes.device)[:, None, None]) % rows
        when = torch.randint(steps, other.shape, generator=self.generator, device=codes.device)
        elsewhere = codes[other, when]  # (B, T, m, Z)
        good, bad = [], []
        for ahead, scorer in enumerate(self.scorers, 1):
            if ahead >= steps:
                break
            context = beliefs[:, :-ahead]
            good.append(scorer(torch.cat([codes[:, ahead:], context], -1)).flatten())
            wide = context[:, :, None].expand(-1, -1, self.negatives, -1)
            bad.append(scorer(torch.cat([elsewhere[:, ahead:], wide], -1)).flatten(0, 1).squeeze(-1))
        return belief_nce(torch.cat(good), torch.cat(bad))

    def encode(self, batch: TaskBatch) -> Tensor:
        return self.encoder(batch)[:, -1]
