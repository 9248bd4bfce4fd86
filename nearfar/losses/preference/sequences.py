"""Log-probabilities of sequences, and of tokens from the states before a vocabulary's matrix."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nearfar.losses._checks import floating, tensors
from nearfar.losses.engine.once import OnceDifferentiable, first_derivative

IGNORED = -100


def sequence_logps(logits: Tensor, labels: Tensor, *, average: bool = False) -> Tensor:
    """The log-probability of each sequence's labels: position t of the logits speaks of position t + 1 of the labels.

    Args:
        logits: (N, T, V).
        labels: (N, T) int64, -100 where a token does not count; the first one never does.
        average: the mean over the tokens that count, 0 where none does (the DPO release gives NaN there); the sum
            otherwise.

    Returns:
        (N,), computed in float32 at least.
    """
    (logits,) = floating(logits=logits)
    if logits.ndim != 3 or labels.shape != logits.shape[:2]:
        raise ValueError(
            f"logits must be (N, T, V) and labels (N, T), got {tuple(logits.shape)} and {tuple(labels.shape)}"
        )
    wanted = labels[:, 1:]
    counted = wanted != IGNORED
    chosen = logits[:, :-1].gather(2, wanted.clamp_min(0).unsqueeze(-1)).squeeze(-1)
    found = torch.where(counted, chosen - logits[:, :-1].logsumexp(-1), 0.0).sum(-1)
    return found / counted.sum(-1).clamp_min(1) if average else found


@tensors
def token_logps(states: Tensor, weight: Tensor, tokens: Tensor, *, chunk: int = 256) -> Tensor:
    """The log-probability of each token after its state, equal to ``log_softmax(states @ weight.T)`` at the tokens.

    The logits are made for ``chunk`` tokens at a time, and once more for the gradient of the weight, so that no more
    of them are ever held. The products are in the precision of the states, the softmax in float32 at least.

    Args:
        states: (N, D), the last layer's.
        weight: (V, D), the vocabulary's matrix.
        tokens: (N,) int64, in [0, V).
        chunk: tokens whose logits are held together, at least 1.

    Returns:
        (N,), with first derivatives only.
    """
    if states.ndim != 2 or weight.ndim != 2 or states.shape[1] != weight.shape[1] or tokens.shape != states.shape[:1]:
        raise ValueError(
            "states must be (N, D), weight (V, D) and tokens (N,), got "
            f"{tuple(states.shape)}, {tuple(weight.shape)} and {tuple(tokens.shape)}"
        )
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1, got {chunk}")
    return _TokenLogps.apply(states, weight.to(states.dtype), tokens, chunk)


class _TokenLogps(OnceDifferentiable):
    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, tokens: Tensor, chunk: int) -> Tensor:
        found, totals = [], []
        for part, wanted in zip(states.split(chunk), tokens.split(chunk), strict=True):
            logits = _wide(part @ weight.T)
            total = logits.logsumexp(-1)
            totals.append(total)
            found.append(logits.gather(1, wanted[:, None]).squeeze(1) - total)
        ctx.chunk = chunk
        total = torch.cat(totals) if totals else _wide(states.new_zeros(0))
        ctx.save_for_backward(states, weight, tokens, total)
        return torch.cat(found) if found else total

    @staticmethod
    @first_derivative
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        states, weight, tokens, total = ctx.saved_tensors
        asked_states, asked_weight = ctx.needs_input_grad[:2]
        d_states = torch.empty_like(states) if asked_states else None
        d_weight = torch.zeros_like(weight, dtype=total.dtype) if asked_weight else None
        for first in range(0, len(states), ctx.chunk):
            rows = slice(first, first + ctx.chunk)
            scale = grad[rows].to(total.dtype)[:, None]
            slope = _wide(states[rows] @ weight.T).sub_(total[rows, None]).exp_().mul_(-scale)
            slope.scatter_add_(1, tokens[rows, None], scale)
            slope = slope.to(states.dtype)
            if d_states is not None:
                d_states[rows] = slope @ weight
            if d_weight is not None:
                d_weight += slope.T @ states[rows]
        return d_states, None if d_weight is None else d_weight.to(weight.dtype), None, None


def _wide(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
