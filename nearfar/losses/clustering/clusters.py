"""Contrast between assignments to clusters instead of between images: SwAV."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nearfar.losses._checks import embeddings, full_precision, inverse_temperature, number, paired


@torch.no_grad()
@full_precision
def sinkhorn(scores: Tensor, *, epsilon: float = 0.05, iterations: int = 3) -> Tensor:
    r"""Codes that follow the scores while every prototype gets an equal share (arXiv 2006.09882, equation 3).

    The Sinkhorn-Knopp iteration of the released code (``main_swav.py``, ``distributed_sinkhorn``): from
    ``Q = exp(scores / epsilon)``, repeatedly scale each prototype's column to the sum 1 / K, then each row to the
    sum 1 / N; the rows are returned with the sum 1. After few iterations the shares of the prototypes are only
    nearly equal. It runs on logarithms, so a small ``epsilon`` neither overflows nor divides 0 by 0.

    Args:
        scores: (N, K), of N examples and K prototypes; cosines in SwAV. With a queue, stack the scores of its rows
            on top and keep the last rows of the result. K should be below N.
        epsilon: smoothness, above 0; 0.05 in the paper. Large values give every prototype the same share of
            every example.
        iterations: rounds of scaling, at least 1.

    Returns:
        (N, K), at least 0, rows summing to 1, without gradient.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: scores that are no matrix, or an epsilon or iterations out of range.
    """
    (x,) = embeddings(scores=scores)
    number("epsilon", epsilon, above=0.0)
    number("iterations", iterations, at_least=1)
    log_codes = x / epsilon
    for _ in range(iterations):
        log_codes = torch.log_softmax(log_codes, dim=0)
        log_codes = torch.log_softmax(log_codes, dim=1)
    return log_codes.exp()


@full_precision
def swapped_prediction(scores: Sequence[Tensor], codes: Sequence[Tensor], *, temperature: float | Tensor) -> Tensor:
    r"""SwAV's loss: predict one view's code from another view (arXiv 2006.09882, equations 1 and 2).

    .. math::
        L = \frac{1}{A} \sum_{a=1}^{A} \frac{1}{V - 1} \sum_{v \ne a}
            \operatorname{mean}_i \Big( - \sum_k q_{a,ik} \log \operatorname{softmax}_k(s_{v,i} / \tau) \Big)

    over V views, of which the first A have codes: all views are asked for the codes of the large crops
    (``main_swav.py``, multi-crop). Codes are detached inside.

    Args:
        scores: V times (N, K), at least two; of the same N examples and K prototypes.
        codes: A times (N, K), of the first A views, rows summing to 1; from :func:`sinkhorn`.
        temperature: a positive float or a 0-d tensor; 0.1 in the paper.

    Returns:
        A scalar, at least the mean entropy of the codes.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: fewer than two views, no codes or more codes than views, or shapes, devices or a temperature
            that do not fit.
    """
    if len(scores) < 2 or not 1 <= len(codes) <= len(scores):
        raise ValueError(
            "swapped_prediction needs the scores of at least 2 views and the codes of 1 or more of them, the first: "
            f"got {len(scores)} scores and {len(codes)} codes"
        )
    named = {f"scores[{v}]": x for v, x in enumerate(scores)} | {f"codes[{a}]": q for a, q in enumerate(codes)}
    lifted = paired(**named)
    scale = inverse_temperature(temperature, lifted[0])
    log_p = [torch.log_softmax(x * scale, dim=1) for x in lifted[: len(scores)]]
    everyone = torch.stack(log_p).sum(0)
    terms = [
        -(code.detach() * (everyone - own)).sum(1).mean() / (len(scores) - 1)
        for code, own in zip(lifted[len(scores) :], log_p, strict=False)
    ]
    return torch.stack(terms).mean()
