"""Texts against what may be said of them: noise-contrastive estimation over the texts of labels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import boolean, floating, full_precision, number

__all__ = ["binary_nce", "ranking_nce"]


@full_precision
def binary_nce(scores: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    r"""Binary noise-contrastive estimation: each label is told to be the text's or not, by itself.

    .. math::
        \ell = -\frac{1}{P + K} \Big( \sum_p \log \sigma(s_p) + \sum_k \log \sigma(-s_k) \Big)

    over the P labels of a text and K that are not, as the primer on contrastive pretraining (arXiv 2102.12982) writes
    input-label contrast; the rendering is ours. A text may have several labels. Where it has one, and only the order of
    labels matters, take :func:`ranking_nce`.

    Args:
        scores: (N, L), any numbers; a label is said to be the text's where the score is above 0.
        positive: (N, L) booleans, labels of the text.
        negative: (N, L) booleans, labels that it has not. The others take no part.

    Returns:
        A scalar, the mean over texts with at least one of either; 0 where there is none.

    Raises:
        TypeError: a dtype that does not fit. ValueError: shapes or devices that do not fit.
    """
    s, right, wrong = _checked(scores, positive, negative)
    losses = F.softplus(-s) * right + F.softplus(s) * wrong
    count = right.sum(1) + wrong.sum(1)
    return (losses.sum(1) / count.clamp_min(1)).sum() / (count > 0).sum().clamp_min(1)


@full_precision
def ranking_nce(
    scores: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    temperature: float = 1.0,
    log_expected: Tensor | None = None,
) -> Tensor:
    r"""Ranking noise-contrastive estimation: each label of a text is found among labels that it has not.

    .. math::
        \ell = -\frac{1}{P} \sum_p \log \frac{e^{s_p / \tau}}{e^{s_p / \tau} + \sum_k e^{s_k / \tau}}

    With ``log_expected`` every :math:`s / \tau` is lowered by it, which makes scores of sampled labels those of the
    softmax over all (Jean et al. 2015, arXiv 1412.2007).

    Args:
        scores: (N, L), any numbers.
        positive: (N, L) booleans, labels of the text.
        negative: (N, L) booleans, labels that it has not. The others take no part.
        temperature: divides scores, above 0.
        log_expected: (L,) the logarithm of how often each label is expected among the candidates, ``log(K q)``.

    Returns:
        A scalar, the mean over texts that have a label; 0 where none has.

    Raises:
        TypeError: a dtype that does not fit. ValueError: shapes, devices or a temperature that do not fit.
    """
    s, right, wrong = _checked(scores, positive, negative)
    s = s / number("temperature", temperature, above=0.0)
    if log_expected is not None:
        (correction,) = floating(log_expected=log_expected)
        if correction.shape != s.shape[1:]:
            raise ValueError(
                f"log_expected must have shape {tuple(s.shape[1:])}, a number of each label; "
                f"got {tuple(correction.shape)}"
            )
        s = s - correction.to(s.dtype)
    lowest = torch.finfo(s.dtype).min
    others = torch.logsumexp(s.masked_fill(~wrong, lowest), 1, keepdim=True)
    losses = torch.where(right, F.softplus(others - s), 0.0)
    count = right.sum(1)
    return (losses.sum(1) / count.clamp_min(1)).sum() / (count > 0).sum().clamp_min(1)


def _checked(scores: Tensor, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    (s,) = floating(scores=scores)
    if s.ndim != 2:
        raise ValueError(f"scores must be a matrix (N, L), got shape {tuple(s.shape)}")
    shape = s.shape[0], s.shape[1]
    right = boolean("positive", positive, shape, s, "scores").bool()
    wrong = boolean("negative", negative, shape, s, "scores").bool()
    if (right & wrong).any():
        raise ValueError("a label is positive and negative of the same text")
    return s, right, wrong
