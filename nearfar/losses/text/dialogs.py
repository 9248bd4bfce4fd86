"""Turns of dialogs: what was said before against what comes after, and hypotheses against a correction."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import boolean, floating, full_precision, inverse_temperature, number

__all__ = ["nbest_agreement", "past_future"]


@full_precision
def past_future(turns: Tensor, there: Tensor, *, temperature: float | Tensor, symmetric: bool = False) -> Tensor:
    r"""What a dialog was up to a turn finds what it became, among what other dialogs became.

    .. math::
        \ell_{it} = -\log \frac{e^{p_{it} \cdot f_{it} / \tau}}{e^{p_{it} \cdot f_{it} / \tau} + \sum_{j \ne i, s}
            e^{p_{it} \cdot f_{js} / \tau}}

    with p the mean of a dialog's turns up to and with turn t and f that of those after it, of turns and means of length
    1. CLC (arXiv 2401.02417) has such a loss and published no code: how turns are pooled is a reconstruction.

    Args:
        turns: (N, T, D), the turns of N dialogs in their order.
        there: (N, T) booleans, which places hold a turn.
        temperature: divides cosines, above 0.
        symmetric: the mean of this and of futures that find pasts.

    Returns:
        A scalar, the mean over turns with a turn after them; 0 where there is none.

    Raises:
        TypeError: a dtype that does not fit. ValueError: shapes, devices or a temperature that do not fit.
    """
    (x,) = floating(turns=turns)
    if x.ndim != 3:
        raise ValueError(f"turns must be (N, T, D), got shape {tuple(x.shape)}")
    weight = boolean("there", there, (x.shape[0], x.shape[1]), x, "turns").unsqueeze(2)
    scale = inverse_temperature(temperature, x)
    unit = F.normalize(x, dim=2) * weight
    before, count = unit.cumsum(1), weight.cumsum(1)
    after, left = unit.sum(1, keepdim=True) - before, weight.sum(1, keepdim=True) - count
    valid = (there & (left.squeeze(2) > 0)).flatten()
    if not valid.any():
        return x.sum() * 0
    past, future = (F.normalize(side.flatten(0, 1)[valid], dim=1) for side in (before, after))
    dialog = torch.arange(len(x), device=x.device).repeat_interleave(x.shape[1])[valid]
    own = torch.eye(len(past), dtype=torch.bool, device=x.device)
    logits = (past @ future.t() * scale).masked_fill((dialog.unsqueeze(1) == dialog) & ~own, -torch.inf)
    target = torch.arange(len(past), device=x.device)
    forth = F.cross_entropy(logits, target)
    return (forth + F.cross_entropy(logits.t(), target)) / 2 if symmetric else forth


@full_precision
def nbest_agreement(scores: Tensor, quality: Tensor, there: Tensor, *, temperature: float = 0.1) -> Tensor:
    r"""Hypotheses are scored as much as they are like what was said afterwards.

    .. math::
        \ell = -\sum_k \frac{e^{w_k / \tau}}{\sum_j e^{w_j / \tau}} \log \frac{e^{s_k}}{\sum_j e^{s_j}}

    Args:
        scores: (N, K) of the model, such as log likelihoods.
        quality: (N, K), how like the correction each hypothesis is, usually in [0, 1]. No gradient reaches it.
        there: (N, K) booleans, which places hold a hypothesis.
        temperature: divides qualities, above 0; a small one trains towards the best hypothesis alone.

    Returns:
        A scalar, the mean over rows with at least two hypotheses; 0 where there is none.

    Raises:
        TypeError: a dtype that does not fit. ValueError: shapes, devices or a temperature that do not fit.
    """
    s, w = floating(scores=scores, quality=quality)
    if s.ndim != 2 or s.shape != w.shape:
        raise ValueError(f"scores and quality must both be (N, K), got {tuple(s.shape)} and {tuple(w.shape)}")
    kept = boolean("there", there, (s.shape[0], s.shape[1]), s, "scores").bool()
    tau = number("temperature", temperature, above=0.0)
    rows = kept.sum(1) > 1
    if not rows.any():
        return s.sum() * 0
    s, w, kept = s[rows], w[rows].detach(), kept[rows]
    lowest = torch.finfo(s.dtype).min
    wanted = (w / tau).masked_fill(~kept, lowest).softmax(1)
    found = s.masked_fill(~kept, lowest).log_softmax(1)
    return -torch.where(kept, wanted * found, 0.0).sum(1).mean()
