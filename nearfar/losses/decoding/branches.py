"""Two looks at the next word, one to follow and one to move away from."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from nearfar.losses._checks import choice, floating, number

Form = Literal["extrapolate", "difference", "complement"]
SMALLEST = 1e-9
"""Probabilities below this count as this in a divergence, as AdaCAD's released code has it."""


def rows(**named: Tensor) -> list[Tensor]:
    """Scores (..., V) over one vocabulary, of one shape."""
    lifted = floating(**named)
    first_name, first = next(iter(named.items()))
    for name, tensor in named.items():
        if tensor.ndim < 1 or tensor.shape != first.shape:
            raise ValueError(
                f"{name} has shape {tuple(tensor.shape)} and {first_name} has shape {tuple(first.shape)}; both must be "
                "(..., V) over one vocabulary"
            )
    return lifted


def plausible(scores: Tensor, alpha: float, *, min_keep: int = 1, rank: int = 1) -> Tensor:
    r"""Which words the branch to follow finds plausible (Li et al. 2022, arXiv 2210.15097).

    .. math:: V_\alpha = \{v : p(v) \ge \alpha \max_w p(w)\}

    With ``rank`` k the k-th largest probability stands in place of the largest (CD-K of Yu et al. 2023, arXiv
    2309.02591), so that at least k words are kept.

    Words that tie with the threshold are kept, as released (``EntrPLogitsWarper``). Logits and log-probabilities give
    the same mask.

    Args:
        scores: (..., V), of the branch to follow, before any contrast.
        alpha: in [0, 1]; 0 keeps every word, 1 the best and its ties.
        min_keep: at least so many words are kept; 2 under beam search.
        rank: k, at least 1; of fewer words than k the last counts.

    Returns:
        (..., V), boolean.

    Raises:
        ValueError: alpha, min_keep or rank out of range.
    """
    (scores,) = rows(scores=scores)
    if not 0 <= number("alpha", alpha) <= 1:
        raise ValueError(f"alpha must be in [0, 1], got {alpha}")
    if min_keep < 1:
        raise ValueError(f"min_keep must be at least 1, got {min_keep}")
    if rank < 1:
        raise ValueError(f"rank must be at least 1, got {rank}")
    if alpha == 0:
        return torch.ones_like(scores, dtype=torch.bool)
    best = scores.topk(min(rank, scores.shape[-1]), -1).values[..., -1:] if rank > 1 else scores.amax(-1, keepdim=True)
    least = best + math.log(alpha)
    if min_keep > 1:
        least = torch.minimum(least, scores.topk(min(min_keep, scores.shape[-1]), -1).values[..., -1:])
    return scores >= least


def contrast_logits(
    positive: Tensor,
    negative: Tensor,
    *,
    weight: float | Tensor = 1.0,
    form: Form = "extrapolate",
    alpha: float = 0.0,
    min_keep: int = 1,
    rank: int = 1,
) -> Tensor:
    r"""Scores of the next word from two branches.

    ==============  ====================================  ======================================================
    form            scores                                systems
    ==============  ====================================  ======================================================
    extrapolate     :math:`(1 + w) s^+ - w s^-`           CAD, AdaCAD, VCD, VDD, DCD, HICD, contrastive decoding
                                                          for reasoning
    difference      :math:`\log p^+ - w \log p^-`         contrastive decoding, DoLa, ACD
    complement      :math:`s^+ + w s^-`                   RITUAL
    ==============  ====================================  ======================================================

    A constant added to a row of either branch changes nothing after the softmax, so logits and log-probabilities give
    the same distribution. ``extrapolate`` with w and ``difference`` with :math:`w / (1 + w)` have the same order; when
    sampling they differ by a temperature of :math:`1 + w`.

    Args:
        positive: (..., V), the branch to follow; it alone decides what is plausible.
        negative: (..., V), the branch to move away from, or, in ``complement``, the second opinion.
        weight: w, a number or one for each row (...).
        form: as above.
        alpha: words less plausible than this share of the best become -inf; see :func:`plausible`. 0 keeps all.
        min_keep, rank: see :func:`plausible`.

    Returns:
        (..., V).

    Raises:
        ValueError: shapes that differ, an unknown form. TypeError: scores that are not floating.
    """
    positive, negative = rows(positive=positive, negative=negative)
    choice("form", form, ("extrapolate", "difference", "complement"))
    kept = plausible(positive, alpha, min_keep=min_keep, rank=rank) if alpha else None
    if isinstance(weight, Tensor):
        w: float | Tensor = weight.to(positive).unsqueeze(-1)
    else:
        w = number("weight", weight)
    if form == "extrapolate":
        found = (1 + w) * positive - w * negative
    elif form == "difference":
        found = positive.log_softmax(-1) - w * negative.log_softmax(-1)
    else:
        found = positive + w * negative
    # After the subtraction: the difference of two minus infinities is no number.
    return found if kept is None else found.masked_fill(~kept, -math.inf)


def contrastive_decoding(
    expert: Tensor, amateur: Tensor, *, weight: float = 1.0, temperature: float = 0.5, alpha: float = 0.1
) -> Tensor:
    r"""Contrastive decoding as released in its sampling mode (Li et al. 2022).

    .. math:: \log p_e(v) - w\, s_a(v) / \tau, \quad v \in V_\alpha(p_e)

    The amateur's *logits* are divided by the temperature and not normalised, which changes a row by a constant.
    ``alpha=0`` is the released greedy mode, which takes the expert's raw logits and keeps every word; the paper keeps
    the constraint in both, and so does the decoder by default.

    Args:
        expert, amateur: (..., V), logits.
        weight: ``st_coef``.
        temperature: of the amateur, above 0: 0.5 for GPT-2.
        alpha: of :func:`plausible`.
    """
    expert, amateur = rows(expert=expert, amateur=amateur)
    number("temperature", temperature, above=0.0)
    if not alpha:
        return expert - weight * amateur / temperature
    kept = plausible(expert, alpha)
    found = expert.log_softmax(-1) - weight * amateur / temperature
    return found.masked_fill(~kept, -math.inf)


class Candidates(NamedTuple):
    """The 2K best continuations of K beams, best first: scores (2K,), words (2K,), and which beam each continues."""

    scores: Tensor
    tokens: Tensor
    beams: Tensor


def contrastive_beam_step(
    expert: Tensor,
    amateur: Tensor,
    beam_scores: Tensor,
    *,
    weight: float = 1.0,
    temperature: float = 0.5,
    alpha: float = 0.1,
    first: bool = False,
    renormalize: bool = False,
) -> Candidates:
    r"""A step of contrastive decoding's beam search, as released (``beam_search`` with ``teacher_student``).

    The 2K candidates are the best of all beams' words by the *expert's* log-probability at this step; the running
    scores count among them in the first step only. Their scores are running score + log p_e - w a, with
    :math:`a = \log p_a / \tau`: log-probabilities divided by the temperature and not normalised again, unlike in
    sampling (``renormalize=True`` does). Words outside the plausible set, of which two are kept at least, stay among
    the candidates at minus infinity.

    Args:
        expert, amateur: (K, V), logits of K beams of one prompt.
        beam_scores: (K,), the running contrastive scores.
        first: whether this is the first step, in which all beams are equal.
    """
    expert, amateur = rows(expert=expert, amateur=amateur)
    number("temperature", temperature, above=0.0)
    vocabulary = expert.shape[-1]
    logp = expert.log_softmax(-1)
    kept = plausible(logp, alpha, min_keep=2)
    running = logp.masked_fill(~kept, -math.inf) + beam_scores[:, None].to(logp)
    a = amateur.log_softmax(-1) / temperature
    if renormalize:
        a = a.log_softmax(-1)
    by = running if first else logp
    places = by.flatten().topk(min(2 * len(expert), by.numel())).indices
    scores = running.flatten()[places] - weight * a.flatten()[places]
    scores, order = scores.sort(descending=True, stable=True)
    places = places[order]
    return Candidates(scores, places % vocabulary, places.div(vocabulary, rounding_mode="floor"))


def js_divergence(p: Tensor, q: Tensor) -> Tensor:
    r"""Jensen-Shannon divergence of each row's two distributions, in nats, in [0, ln 2].

    :math:`\tfrac12 KL(p \| m) + \tfrac12 KL(q \| m)` with the midpoint m; probabilities below 1e-9 count as 1e-9.

    Args:
        p, q: (..., V), logits or log-probabilities.

    Returns:
        (...): one for each row. AdaCAD's released function averages over the rows of a batch, of which it has one.
    """
    p, q = (x.softmax(-1).clamp_min(SMALLEST) for x in rows(p=p, q=q))
    m = (p + q) / 2
    return ((p * (p / m).log()).sum(-1) + (q * (q / m).log()).sum(-1)) / 2


def midpoint_divergence(p: Tensor, q: Tensor) -> Tensor:
    r"""What DoLa's released code calls Jensen-Shannon: :math:`\tfrac12 KL(m \| p) + \tfrac12 KL(m \| q)`, a row's MEAN
    over the vocabulary.

    Args:
        p, q: (..., V), logits or log-probabilities.
    """
    lp, lq = (x.log_softmax(-1) for x in rows(p=p, q=q))
    m = (lp.exp() + lq.exp()) / 2
    logm = torch.logaddexp(lp, lq) - math.log(2.0)
    return (m * (2 * logm - lp - lq)).mean(-1) / 2


def adacad_weight(with_context: Tensor, without: Tensor, *, floor: float = 0.0) -> Tensor:
    """AdaCAD's weight: the Jensen-Shannon divergence of the two branches, at least ``floor`` (arXiv 2409.07394).

    In nats, so never above ln 2. The released floor is 0.3 for long texts and 0 for short answers.

    Args:
        with_context, without: (..., V), logits at temperature 1, before any filter.

    Returns:
        (...): one for each row.
    """
    return js_divergence(with_context, without).clamp_min(number("floor", floor, at_least=0.0))
