"""CPL: contrastive preference learning."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.losses import cpl_loss
from nearfar.preference.data.segments import SegmentBatch
from nearfar.sources.data import in_order
from nearfar.system import Scores
from nearfar.training import Method, Optimization, Phase

ADAM = Optimization("adam", lr=1e-4, weight_decay=0.0, schedule="constant")


class CPL(Method):
    """Hejna et al., 2023, ICLR 2024, arXiv 2310.13639.

    People prefer the segment with less regret, and the regret of an optimal policy is its own log-probability: a policy
    is learnt from comparisons of segments by a contrastive loss, without a reward and without reinforcement. First it
    imitates all segments. Where the release then begins with a new optimiser and a warm-up of 10,000 steps, the same
    one goes on here. Discounting is in the paper and not in the release; it is off by default.

    Args:
        observed: width of an observation; the data's.
        actions: number of choices, or width of an action; the data's.
        choices: whether an action is one of several choices; a policy of numbers is a point whose log-probability is
            minus the squared distance (no half, as released).
        hidden: widths of the policy's network.
        dropout: within it, in [0, 1); active in training.
        alpha: temperature, above 0; has to shrink with the length of segments (0.1 for 64 steps).
        lam: how much the other segment counts, in [0, 1] (with a reference 0.75, with imitation 1).
        discount: of later steps, in (0, 1].
        imitate: share of the run that imitates, in [0, 1); 0.4 in the paper.
        imitation: weight of imitation beside the comparisons, at least 0.
        reference: compare with the policy that imitation made (CPL-KL, whose alpha is 0.2 and whose rate is a tenth).
        optimization: Adam 1e-4 by default.
    """

    verbs = ("acts",)
    takes = SegmentBatch
    can_collapse = False

    def __init__(
        self,
        observed: int | None = None,
        actions: int | None = None,
        choices: bool | None = None,
        *,
        hidden: tuple[int, ...] = (512, 512),
        dropout: float = 0.25,
        alpha: float = 0.1,
        lam: float = 0.5,
        discount: float = 1.0,
        imitate: float = 0.4,
        imitation: float = 0.0,
        reference: bool = False,
        optimization: Optimization = ADAM,
    ) -> None:
        super().__init__(optimization)
        if observed is None or actions is None or choices is None:
            raise ValueError("observed, actions and choices are needed; data of segments gives them")
        if not 0 <= imitate < 1:
            raise ValueError(f"imitate must be a share of the run in [0, 1), got {imitate}")
        self.choices, self.alpha, self.lam, self.discount = choices, alpha, lam, discount
        self.imitation = imitation
        scale = 0.1 if reference else 1.0
        parts = (Phase("imitate", imitate), Phase("prefer", lr_scale=scale))
        self.phases = parts if imitate else parts[1:]
        layers: list[nn.Module] = []
        for width, after in zip((observed, *hidden), hidden, strict=False):
            layers += [nn.Linear(width, after), nn.ReLU(), nn.Dropout(dropout)]
        self.encoder = nn.Sequential(*layers, nn.Linear((observed, *hidden)[-1], actions))
        for layer in self.encoder:
            if isinstance(layer, nn.Linear):
                nn.init.orthogonal_(layer.weight)
                nn.init.zeros_(layer.bias)
        self.reference = deepcopy(self.encoder).requires_grad_(False) if reference else None

    def begin_phase(self, phase: str, data: Any) -> None:
        if phase == "prefer" and self.reference is not None:
            self.reference.load_state_dict(self.encoder.state_dict())

    def logp(self, policy: nn.Module, seen: Tensor, done: Tensor) -> Tensor:
        """(N, T): log-probabilities of what was done."""
        found = policy(seen)
        if self.choices:
            return found.log_softmax(-1).gather(-1, done.unsqueeze(-1)).squeeze(-1)
        return -(torch.tanh(found) - done).square().sum(-1)

    def loss(self, views: SegmentBatch) -> dict[str, Tensor]:
        parts = ((views.first, views.first_actions), (views.second, views.second_actions))
        first, second = (self.logp(self.encoder, *part) for part in parts)
        like = -torch.cat([first, second]).mean()
        if self.phase == "imitate":
            return {"imitation": like}
        refs: list[Tensor | None] = [None, None]
        if self.reference is not None:
            with torch.no_grad():
                refs = [self.logp(self.reference.eval(), *part) for part in parts]
        preference = cpl_loss(first, second, views.label, *refs, alpha=self.alpha, lam=self.lam, discount=self.discount)
        terms = {"preference": preference}
        return {**terms, "imitation": self.imitation * like} if self.imitation else terms

    def act(self, observations: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Choices (N,) int64, drawn with ``generator`` and the likeliest without it; or points (N, A) in [-1, 1]."""
        found = self.encoder(observations)
        if not self.choices:
            return torch.tanh(found)
        if generator is None:
            return found.argmax(-1)
        return torch.multinomial(found.softmax(-1), 1, generator=generator).squeeze(-1)

    def evaluate(self, data: Any, *, seed: int = 0) -> Scores:
        """``accuracy`` in [0, 1]: whether the preferred held-out segment is the likelier one. In a world that is known,
        exactly: the discounted ``return`` and the ``success`` of the policy as it draws, and ``greedy`` success."""
        held = data.splits().get("test", data)
        right: list[float] = []
        with self.frozen():
            for _, batch in in_order(held, 256):
                first = self.logp(self.encoder, batch.first, batch.first_actions).sum(1)
                second = self.logp(self.encoder, batch.second, batch.second_actions).sum(1)
                right += ((second > first).float() == batch.label.round()).float().tolist()
            scores = Scores({"accuracy": sum(right) / len(right)})
            if held.world is None or not self.choices:
                return scores
            logits = self.encoder(torch.as_tensor(held.world.observations)).double()
        best = F.one_hot(logits.argmax(-1), logits.shape[1]).double().numpy()
        scores.add(held.world.worth(logits.softmax(-1).numpy()))
        return scores.add({"greedy": held.world.worth(best)["success"]})
