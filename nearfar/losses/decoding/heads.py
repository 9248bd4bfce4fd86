"""Which attention heads an answer rests on."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.losses._checks import floating, number


def head_importance(outputs: Tensor, gradients: Tensor, lengths: Tensor, answers: Tensor) -> Tensor:
    r"""How much a loss would change if a head were silent, to first order (HICD, ``calculate_importance``).

    :math:`I_{lh} = \sum_{b,t} |\langle o_{lbth}, \partial L / \partial o_{lbth} \rangle|`; the last layer is divided by
    the number of answer tokens, the others by that of all tokens but one for each item.

    Args:
        outputs: (L, B, T, H, D), head outputs before the output projection.
        gradients: the same shape, of the loss.
        lengths: (B,), tokens of question and answer.
        answers: (B,), tokens of the answer.

    Returns:
        (L, H), at least 0.
    """
    o, g = floating(outputs=outputs, gradients=gradients)
    if o.shape != g.shape or o.ndim != 5:
        raise ValueError(f"outputs and gradients must both be (L, B, T, H, D), got {tuple(o.shape)}, {tuple(g.shape)}")
    total = (o * g).sum(-1).abs().sum((1, 2))
    tokens = torch.full((len(o), 1), float((lengths - 1).sum()), dtype=total.dtype, device=total.device)
    tokens[-1] = float(answers.sum())
    return total / tokens


def inducing_heads(correct: Tensor, wrong: Tensor, *, scale: float = 20.0, count: int = 30) -> list[tuple[int, int]]:
    r"""HICD's heads: important for right answers, and more so than for wrong ones (arXiv 2503.12908).

    Both importances are brought to [0, 1] over all heads; the score is
    :math:`I^{+} + \text{scale} \cdot (I^{+} - I^{-})`.

    Args:
        correct, wrong: (L, H), :func:`head_importance` for right and wrong answers.
        scale: of the difference; 10 to 70 in the released settings.
        count: number of heads.

    Returns:
        (layer, head), best first.
    """
    correct, wrong = floating(correct=correct, wrong=wrong)
    if correct.ndim != 2 or correct.shape != wrong.shape:
        raise ValueError(f"correct and wrong must both be (L, H), got {tuple(correct.shape)}, {tuple(wrong.shape)}")
    if not 1 <= count <= correct.numel():
        raise ValueError(f"count must be between 1 and the {correct.numel()} heads, got {count}")
    a, b = ((x - x.min()) / (x.max() - x.min()).clamp_min(1e-12) for x in (correct, wrong))
    score = a + number("scale", scale) * (a - b)
    heads = correct.shape[1]
    return [divmod(int(i), heads) for i in score.flatten().sort(descending=True, stable=True).indices[:count]]
