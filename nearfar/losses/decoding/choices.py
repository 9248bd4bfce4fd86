"""Answers to choose from: how likely each is, and without the prior that the question alone gives."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from nearfar.losses._checks import choice, floating, number

OUTSIDE = -1000.0
"""The log-probability that DoLa's released scoring gives a word outside the plausible set."""


def choice_logp(scores: Tensor, tokens: Tensor, *, normalize: bool = True, outside: float = OUTSIDE) -> Tensor:
    """The score of given words: log-softmax over the vocabulary, then the sum over the words.

    Args:
        scores: (..., T, V), what a decoder gives at each position; -inf where it forbids a word. Forbidden words keep
            their place in the normalisation where the decoder gives their raw score, and have none here.
        tokens: (..., T), the words of the answer; -100 for positions that do not count.
        normalize: take the log-softmax first.
        outside: what a forbidden word counts, instead of minus infinity.

    Returns:
        (...).
    """
    (scores,) = floating(scores=scores)
    if tokens.shape != scores.shape[:-1]:
        raise ValueError(f"tokens has shape {tuple(tokens.shape)} for scores of shape {tuple(scores.shape)}")
    logp = scores.log_softmax(-1) if normalize else scores
    counted = tokens >= 0
    found = logp.gather(-1, tokens.clamp_min(0).unsqueeze(-1)).squeeze(-1)
    found = torch.where(found == -math.inf, torch.full_like(found, outside), found)
    return torch.where(counted, found, torch.zeros_like(found)).sum(-1)


def posthoc_debias(
    p: Tensor,
    q: Tensor,
    *,
    mode: Literal["diagonal", "identity"] = "diagonal",
    pooled: bool = False,
    eps: float = 1e-4,
) -> Tensor:
    r"""Probabilities of labels without the prior measured on inputs that tell nothing (arXiv 2403.05262).

    ``diagonal``: :math:`p' \propto p / q`; ``identity``: :math:`p - q`, to take the argmax of. The released identity
    divides by the sum of these differences, which is a small negative number or zero, so that its argmax is the worst
    label; that division is left out here on purpose.

    Args:
        p: (N, C), at least 0: probabilities of the labels with the image (or context). A row is normalised.
        q: (N, C), the same without; several such looks are added before.
        mode: as above.
        pooled: one q for the set, the mean of the raw ones (released ``all``); nothing is then added to it.
        eps: added to each q, for labels that were never seen.

    Returns:
        (N, C).
    """
    p, q = floating(p=p, q=q)
    choice("mode", mode, ("diagonal", "identity"))
    if p.ndim != 2 or p.shape != q.shape:
        raise ValueError(f"p and q must both be (N, C), got {tuple(p.shape)} and {tuple(q.shape)}")
    if pooled:
        q = q.mean(0, keepdim=True).expand_as(q)
    q = q / q.sum(-1, keepdim=True)
    q = q if pooled else q + number("eps", eps, at_least=0.0)
    p = p / p.sum(-1, keepdim=True)
    if mode == "identity":
        return p - q
    found = p / q
    return found / found.sum(-1, keepdim=True)
