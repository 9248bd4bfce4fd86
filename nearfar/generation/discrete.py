r"""Discrete diffusion of tokens that are kept, replaced or masked (VQ-Diffusion, Gu et al. 2022, arXiv 2111.14822).

Of K tokens, K itself stands for a mask that stays. At level t a token is still itself with :math:`\bar\alpha_t`, masked
with :math:`\bar\gamma_t`, and else any of the K with :math:`\bar\beta_t = (1 - \bar\alpha_t - \bar\gamma_t) / K` each.
Both run along lines from the first level to the last; level -1 is the signal itself. Probabilities are kept as
logarithms (B, K + 1, L), the mask last, held within [-70, 0] as released.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEAST = -70.0
NEVER = -69.0775527898  # log(1e-30)


class MaskAndReplace(nn.Module):
    """A schedule of masking and replacing.

    Args:
        tokens: K, at least 2.
        steps: T, at least 2.
        most, least: shares at the first and the last level, of what is kept; of what is masked the other way round.

    Attributes:
        kept, masked: (T + 1,) float64, :math:`\\bar\\alpha` and :math:`\\bar\\gamma`; the last entry is level -1.
    """

    kept: Tensor
    masked: Tensor

    def __init__(self, tokens: int, steps: int = 100, most: float = 0.99999, least: float = 0.000009) -> None:
        super().__init__()
        if tokens < 2 or steps < 2:
            raise ValueError(f"a discrete diffusion needs at least 2 tokens and 2 steps, got {tokens} and {steps}")
        if not 0 < least < most <= 1 - least:
            raise ValueError(f"shares must fall from below 1 to above 0, got {most} and {least}")
        self.tokens, self.steps = tokens, steps
        line = torch.arange(steps, dtype=torch.float64) / (steps - 1)
        self.register_buffer("kept", torch.cat([line * (least - most) + most, line.new_ones(1)]), persistent=False)
        self.register_buffer("masked", torch.cat([line * (most - least) + least, line.new_zeros(1)]), persistent=False)

    def rates(self, t: Tensor, earlier: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """(B,) float64 each: what is kept, replaced by each token, and masked on the way from a level to t.

        Args:
            t: (B,) levels, from -1.
            earlier: (B,) levels below; the signal when not given.
        """
        kept, masked = self.kept[t], self.masked[t]
        if earlier is not None:
            kept, masked = kept / self.kept[earlier], 1 - (1 - masked) / (1 - self.masked[earlier])
        return kept, (1 - kept - masked) / self.tokens, masked

    def spread(self, logs: Tensor, t: Tensor, earlier: Tensor | None = None) -> Tensor:
        """Where what is distributed as ``logs`` (B, K + 1, L) at the earlier level is at level t.

        Exact where nothing of it is masked; the released code too replaces by each token whatever is masked.
        """
        kept, replaced, masked = (rate.clamp_min(0).to(logs).view(-1, 1, 1) for rate in self.rates(t, earlier))
        plain = torch.logaddexp(logs[:, :-1] + kept.log(), replaced.log())
        return torch.cat([plain, torch.logaddexp(logs[:, -1:] + (1 - masked).log(), masked.log())], 1)

    def posterior(self, logs: Tensor, x: Tensor, t: Tensor, earlier: Tensor | None = None) -> Tensor:
        """What was at the earlier level, given tokens at level t, averaged over what the signal may be.

        Args:
            logs: (B, K + 1, L) log-probabilities of the signal; that of the mask is ignored.
            x: (B, L) tokens at level t.
            t: (B,) levels, from 0.
            earlier: (B,) levels below; the one before when not given. Several levels at once are exact.
        """
        earlier = t - 1 if earlier is None else earlier
        hidden = (x == self.tokens)[:, None]
        mine = certain(x, self.tokens + 1).to(logs)
        masked, step = (self.rates(t, e)[2].to(logs).view(-1, 1, 1).log() for e in (None, earlier))
        whole = torch.where(hidden, masked, self.spread(mine, t)[:, :-1])
        one = torch.where(hidden, step, self.spread(mine, t, earlier)[:, :-1])
        never = torch.full_like(one[:, :1], NEVER)
        one = torch.cat([one, torch.where(hidden, torch.zeros_like(never), never)], 1)
        q = torch.cat([logs[:, :-1] - whole, never], 1)
        total = q.logsumexp(1, keepdim=True)
        return (self.spread(q - total, earlier) + one + total).clamp(LEAST, 0)

    def noised(self, x0: Tensor, t: Tensor, uniform: Tensor) -> Tensor:
        """(B, L) tokens at level t of tokens at -1, and of uniform numbers (B, L) in [0, 1)."""
        return chosen(self.spread(certain(x0, self.tokens + 1), t), uniform)

    def times(self, steps: int | None = None) -> list[int]:
        """``steps`` levels spread evenly from the last to the first, falling; all of them when not given.

        Raises:
            ValueError: more than there are.
        """
        if steps is not None and not 1 <= steps <= self.steps:
            raise ValueError(f"steps must be between 1 and the {self.steps} of the schedule, got {steps}")
        line = torch.linspace(self.steps - 1, 0, steps or self.steps, dtype=torch.float64)
        return line.round().long().tolist()

    def sample(
        self, predict: Callable[[Tensor, Tensor], Tensor], x: Tensor, uniform: Callable[[], Tensor], steps: int | None
    ) -> Tensor:
        """From masks (B, L) to tokens.

        Args:
            predict: (x, t (B,)) to log-probabilities (B, K + 1, L) of the signal.
            x: all masked.
            uniform: numbers (B, L) in [0, 1), others at every call.
            steps: of all levels, so many.
        """
        times = self.times(steps)
        for t, earlier in zip(times, [*times[1:], -1], strict=True):
            at, to = (torch.full((len(x),), level, device=x.device) for level in (t, earlier))
            x = chosen(self.posterior(predict(x, at), x, at, to), uniform())
        return x


def level_chances(history: Tensor, seen: Tensor) -> Tensor:
    """(T,) with which probability each level is drawn: by the root of its mean squared fit once every level was seen
    more than ten times, evenly before; the first is taken for the second."""
    if not bool((seen > 10).all()):
        return torch.full_like(history, 1 / len(history))
    root = (history + 1e-10).sqrt() + 1e-4
    root[0] = root[1]
    return root / root.sum()


@torch.no_grad()
def remember(history: Tensor, seen: Tensor, t: Tensor, fit: Tensor) -> None:
    """Take the fits (B,) at levels (B,) into the moving mean of their squares (T,), and count them in ``seen`` (T,)."""
    squares = fit.to(history).square()
    count = torch.zeros_like(seen).index_add(0, t, torch.ones_like(squares))
    mean = torch.zeros_like(history).index_add(0, t, squares) / count.clamp_min(1)
    history.copy_(torch.where(count > 0, 0.1 * mean + 0.9 * history, history))
    seen += count


def certain(tokens: Tensor, count: int) -> Tensor:
    """(B, count, L) float32 log-probabilities of tokens (B, L) that are known; others have 1e-30."""
    return F.one_hot(tokens, count).mT.float().clamp_min(1e-30).log()


def start_logs(logits: Tensor) -> Tensor:
    """(B, K + 1, L) log-probabilities of the signal from a network's logits (B, K, L); the mask is never one."""
    logs = logits.double().log_softmax(1).to(logits)
    return torch.cat([logs, torch.full_like(logs[:, :1], LEAST)], 1).clamp(LEAST, 0)


def chosen(logs: Tensor, uniform: Tensor) -> Tensor:
    """(B, L) tokens drawn from (B, K, L) log-probabilities by uniform numbers (B, L), which choose by inversion."""
    shares = logs.double().exp().cumsum(1)
    mark = uniform.double()[:, None] * shares[:, -1:]
    return (shares <= mark).sum(1).clamp_max(logs.shape[1] - 1)


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """(B, L): KL(p || q) of log-probabilities (B, K, L)."""
    return (p.exp() * (p - q)).sum(1)


def surprise(tokens: Tensor, logs: Tensor) -> Tensor:
    """(B, L): minus the log-probability of tokens (B, L)."""
    return -logs.gather(1, tokens[:, None])[:, 0]


def likely(logs: Tensor, share: float) -> Tensor:
    """Log-probabilities (B, K, L) without the least likely, whose sum is above ``share``; the likeliest stays."""
    ordered, place = logs.sort(1, descending=True)
    before = ordered.exp().cumsum(1) - ordered.exp()
    kept = (before < share).scatter(1, place, before < share)
    return logs.masked_fill(~kept, LEAST)
