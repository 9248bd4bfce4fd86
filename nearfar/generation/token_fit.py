"""Noised tokens beside the tokens that they were, and how well a network's prediction fits any tokens."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from nearfar.generation.discrete import MaskAndReplace, certain, divergence, start_logs, surprise


class TokenFit:
    """What a network says of noised tokens, held against tokens (B, L): (B,) numbers, the smaller the better.

    Args:
        diffusion: which noised them.
        logits: (B, K, L) of the clean tokens.
        noised: (B, L).
        t: (B,) their levels.
        weights: of divergences at places that are masked, and at others.
    """

    def __init__(
        self, diffusion: MaskAndReplace, logits: Tensor, noised: Tensor, t: Tensor, weights: tuple[float, float]
    ) -> None:
        self.diffusion, self.noised, self.t = diffusion, noised, t
        self.start = start_logs(logits)
        self.back = diffusion.posterior(self.start, noised, t)
        self.weight = torch.where(noised == diffusion.tokens, *weights)

    def step(self, tokens: Tensor) -> Tensor:
        """The divergence of the step back that the network makes from the one towards ``tokens``."""
        known = certain(tokens, self.diffusion.tokens + 1).to(self.start)
        return self._summed(tokens, divergence(self.diffusion.posterior(known, self.noised, self.t), self.back))

    def sample(self, tokens: Tensor) -> Tensor:
        """How surprising ``tokens`` are where the network says what is clean."""
        return self._summed(tokens, surprise(tokens, self.start))

    def _summed(self, tokens: Tensor, found: Tensor) -> Tensor:
        # The last step ends at the tokens themselves.
        ends = (self.t == 0)[:, None]
        return torch.where(ends, surprise(tokens, self.back), self.weight * found).sum(1)


class TokenViews(NamedTuple):
    """Tokens (B, L), the same noised (B, L), their levels (B,) and the levels' probabilities (B,), negatives
    (n, B, L), and the condition as class numbers (B,) and captions."""

    x: Tensor
    noised: Tensor
    t: Tensor
    chance: Tensor
    negatives: Tensor
    labels: Tensor
    captions: list[str]
