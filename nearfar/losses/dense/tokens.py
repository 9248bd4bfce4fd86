"""Tokens of one picture that phrases name: contrast among them, contrast with the phrases, and the focal loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import embeddings, floating, full_precision, number, unit_rows
from nearfar.losses.contrast.weighted import weighted_supcon


@full_precision
def token_supcon(
    tokens: Tensor, named: Tensor, *, temperature: float | Tensor = 0.1, max_negatives: int | None = None
) -> Tensor:
    r"""Supervised contrast among the tokens of ONE picture (C-REX, arXiv 2505.22850; no released code).

    .. math::
        L = \operatorname{mean}_{r : |P_r| > 1} \operatorname{mean}_{i \in P_r} \frac{-1}{|P_r| - 1}
            \sum_{j \in P_r, j \ne i} \log \frac{e^{z_i \cdot z_j / \tau}}
            {\sum_{a \in P_r \cup N_i, a \ne i} e^{z_i \cdot z_a / \tau}}

    over phrases r with their tokens :math:`P_r`, rows L2-normalised. The negatives :math:`N_i` are the tokens that
    share no phrase with token i: those of other phrases and of the background. A token that two phrases name is thus
    never pushed away from the tokens of either (ours; the paper's text does not say). Phrases that name one token
    have no positive pair and are left out.

    Args:
        tokens: (M, D).
        named: (R, M) boolean, which tokens each phrase names.
        temperature: divides the cosines, above 0.
        max_negatives: so many negatives that are most like the anchor stay; all when not given. Background is most of
            a picture, and little of it teaches.

    Returns:
        A scalar, 0 (with a gradient of 0) where no phrase names two tokens.

    Raises:
        TypeError: tokens that are not floating, ``named`` that is not boolean.
        ValueError: shapes, devices or numbers that do not fit.
    """
    (tokens,) = embeddings(tokens=tokens)
    _check_named(named, tokens)
    if max_negatives is not None:
        number("max_negatives", max_negatives, at_least=1)
    phrase, anchor = (named & (named.sum(1, keepdim=True) > 1)).nonzero(as_tuple=True)
    if len(anchor) == 0:
        return tokens.sum() * 0.0
    itself = torch.arange(len(tokens), device=tokens.device) == anchor[:, None]
    positives = named[phrase] & ~itself
    together = (named.float().T @ named.float() > 0)[anchor]
    negatives = ~together & ~itself
    if max_negatives is not None and max_negatives < negatives.shape[1]:
        unit = unit_rows(tokens.detach())
        cosines = (unit[anchor] @ unit.T).masked_fill(~negatives, -2.0)
        hardest = torch.zeros_like(negatives).scatter_(1, cosines.topk(max_negatives).indices, value=True)
        negatives &= hardest
    each = weighted_supcon(
        tokens[anchor], tokens, positives, temperature=temperature, denominator=positives | negatives, reduction="none"
    )
    count = torch.zeros(len(named), dtype=each.dtype, device=each.device).index_add(0, phrase, torch.ones_like(each))
    return (each / count[phrase]).sum() / (count > 0).sum()


@full_precision
def token_phrase_agreement(tokens: Tensor, phrases: Tensor, named: Tensor) -> Tensor:
    r"""Contrast of the tokens of one picture with its phrases, the baseline of C-REX (GroundingREC, CVPR 2024;
    ``utils/criterion.py``, ``contrastive_loss``).

    For each phrase r the cosines c of its tokens with it are logits of "yes", and those with the other phrases of the
    picture logits of "no":

    .. math::
        L = \operatorname{mean}_r \tfrac12 \big( \operatorname{mean}_{i \in P_r} -\log \sigma(c_{ir})
            + \operatorname{mean}_{i \in P_r, s \ne r} -\log(1 - \sigma(c_{is})) \big)

    No temperature, as released: a cosine of 1 still costs 0.31. A picture with one phrase, and a phrase without tokens
    (NaN in the released code), count 0.

    Args:
        tokens: (M, D).
        phrases: (R, D).
        named: (R, M) boolean, which tokens each phrase names.

    Returns:
        A scalar, at least 0.

    Raises:
        TypeError: rows that are not floating, ``named`` that is not boolean.
        ValueError: shapes or devices that do not fit.
    """
    tokens, phrases = embeddings(tokens=tokens, phrases=phrases)
    _check_named(named, tokens)
    if len(named) != len(phrases):
        raise ValueError(f"named has {len(named)} rows for {len(phrases)} phrases; a row for each is needed")
    if len(phrases) == 1:
        return (tokens.sum() + phrases.sum()) * 0.0
    cosines = unit_rows(phrases) @ unit_rows(tokens).T
    mine = named.to(cosines.dtype)
    count = mine.sum(1)
    yes = -(F.logsigmoid(cosines) * mine).sum(1)
    no = -(mine @ F.logsigmoid(-cosines).T)
    no = (no.sum(1) - no.diagonal()) / (len(phrases) - 1)
    return ((yes + no) / (2 * count.clamp_min(1))).mean()


@full_precision
def focal_loss(logits: Tensor, targets: Tensor, *, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    r"""Binary cross-entropy that what is easy counts little in (arXiv 1708.02002).

    .. math::
        L = \operatorname{mean} \alpha_t (1 - p_t)^\gamma (-\log p_t)

    with p_t the probability of the right answer, and :math:`\alpha_t` alpha where that is yes, 1 - alpha where it is
    no.

    Args:
        logits: any shape.
        targets: of the same shape, numbers in [0, 1].
        alpha: weight of yes, in [0, 1].
        gamma: at least 0; 0 is the weighted cross-entropy.

    Returns:
        A scalar, at least 0.

    Raises:
        TypeError: tensors that are not floating.
        ValueError: shapes or numbers that do not fit.
    """
    logits, targets = floating(logits=logits, targets=targets)
    if logits.shape != targets.shape or logits.numel() == 0:
        raise ValueError(
            f"targets must have the shape of logits and neither be empty, got {tuple(targets.shape)} and "
            f"{tuple(logits.shape)}"
        )
    if not 0 <= number("alpha", alpha) <= 1:
        raise ValueError(f"alpha must be in [0, 1], got {alpha}")
    number("gamma", gamma, at_least=0.0)
    costs = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    wrong = logits.sigmoid() * (1 - 2 * targets) + targets
    return ((alpha * targets + (1 - alpha) * (1 - targets)) * wrong**gamma * costs).mean()


def _check_named(named: Tensor, tokens: Tensor) -> None:
    if not isinstance(named, Tensor) or named.dtype != torch.bool:
        got = named.dtype if isinstance(named, Tensor) else type(named).__name__
        raise TypeError(f"named must be a boolean tensor, got {got}")
    if named.ndim != 2 or len(named) == 0 or named.shape[1] != len(tokens) or named.device != tokens.device:
        raise ValueError(
            f"named must have shape (phrases, {len(tokens)}) on {tokens.device}, a row for each phrase and a column "
            f"for each token, got {tuple(named.shape)} on {named.device}"
        )
