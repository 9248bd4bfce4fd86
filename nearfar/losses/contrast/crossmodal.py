"""Two modalities against each other and each against itself, with temperatures that know what is alike (CLSR)."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.losses._checks import full_precision, inverse_temperature, number, paired, unit_rows, whole_numbers
from nearfar.losses.engine.blocks import in_row_blocks


@full_precision
def clsr(
    a: Tensor,
    b: Tensor,
    *,
    temperature: float | Tensor = 0.07,
    adaptivity: float = 0.3,
    intra_weight: float = 0.1,
    groups: Tensor | None = None,
) -> dict[str, Tensor]:
    r"""Contrast between modalities and inside each (our reading of CLSR, arXiv 2309.08839), as two named terms.

    Row i of ``a`` and row i of ``b`` belong together, all of length 1. Between the modalities, in both directions,

    .. math::
        L_\text{inter} = -\frac{1}{2} \operatorname{mean}_i \Big(
            \log \frac{e^{a_i \cdot b_i / \tau}}{\sum_j e^{a_i \cdot b_j / \tau_{ij}}} +
            \log \frac{e^{a_i \cdot b_i / \tau}}{\sum_j e^{a_j \cdot b_i / \tau_{ij}}} \Big), \qquad
        \tau_{ij} = \tau \big(1 + \gamma (s_{ij} - \bar s_i)\big), \quad
        s_{ij} = \tfrac{1}{2} (a_i \cdot a_j + b_i \cdot b_j), \quad \tau_{ii} = \tau ,

    with :math:`\bar s_i` the mean over the row's negatives, so that of these, those that mean about the same are pushed
    less and others more. Without that mean, all negatives of a network that says the same of everything would be
    warmer than the positive, and that network would be good. No gradient goes through what multiplies :math:`\tau`.
    Inside, the pair has to win against the rows of one modality,

    .. math::
        L_\text{intra} = -\frac{1}{2} \operatorname{mean}_i \Big(
            \log \frac{e^{a_i \cdot b_i / \tau}}{e^{a_i \cdot b_i / \tau} + \sum_{j \ne i} e^{a_i \cdot a_j / \tau}} +
            \log \frac{e^{a_i \cdot b_i / \tau}}{e^{a_i \cdot b_i / \tau} + \sum_{j \ne i} e^{b_i \cdot b_j / \tau}}
            \Big) .

    With an ``adaptivity`` and an ``intra_weight`` of 0 the first is
    :func:`symmetric_info_nce`, which is tiled and faster. Memory is linear in N.

    Args:
        a: (N, D), one modality.
        b: (N, D), the other.
        temperature: tau, a positive float or a 0-d tensor that may need a gradient.
        adaptivity: gamma, in [0, 0.5), which keeps temperatures above 0.
        intra_weight: at least 0, of the second term.
        groups: (N,) integers; rows of one group, such as several captions of a sound, are no negatives of each other.

    Returns:
        ``{"inter": scalar, "intra": scalar}``, the second already times its weight; one row alone gives 0.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: shapes, devices or numbers that do not fit.
    """
    a, b = paired(a=a, b=b)
    if number("adaptivity", adaptivity, at_least=0.0) >= 0.5:
        raise ValueError(f"adaptivity must be below 0.5, got {adaptivity}")
    number("intra_weight", intra_weight, at_least=0.0)
    scale = inverse_temperature(temperature, a)
    n, d = a.shape
    if groups is not None:
        groups = whole_numbers("groups", groups, (n,))

    def of_rows(rows: Tensor, all_rows: Tensor, start: int) -> Tensor:
        """(rows, 4): negative log-likelihoods from a to b, from b to a, of a among a, and of b among b."""
        (ra, rb), (ka, kb) = rows.split(d, 1), all_rows.split(d, 1)
        number_of = torch.arange(start, start + len(rows), device=rows.device)
        own = number_of.unsqueeze(1) == torch.arange(n, device=rows.device)
        alike = own if groups is None else groups[number_of].unsqueeze(1) == groups
        aa, bb = ra @ ka.t(), rb @ kb.t()
        likeness = ((aa + bb) / 2).detach().masked_fill(alike, 0.0)
        mean = likeness.sum(1, keepdim=True) / (~alike).sum(1, keepdim=True).clamp_min(1)
        warmth = 1 + adaptivity * (likeness - mean)
        pair = ((ra * rb).sum(1) * scale).unsqueeze(1)
        found = []
        for cosine, divisor in ((ra @ kb.t(), warmth), (rb @ ka.t(), warmth), (aa, 1.0), (bb, 1.0)):
            logits = torch.where(own, pair, (cosine * scale / divisor).masked_fill(alike, -torch.inf))
            found.append(torch.logsumexp(logits, 1) - pair.squeeze(1))
        return torch.stack(found, 1)

    joined = torch.cat([unit_rows(a), unit_rows(b)], 1)
    forth, back, first, second = in_row_blocks(of_rows, joined, joined, entries=6 * n).mean(0)
    return {"inter": (forth + back) / 2, "intra": intra_weight * (first + second) / 2}
