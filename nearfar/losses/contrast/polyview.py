"""Contrast among more than two views of each thing (Poly-View)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import choice, full_precision, inverse_temperature, paired, unit_rows
from nearfar.losses.contrast.infonce import nt_xent
from nearfar.losses.engine.logsumexp import cross_logsumexp, self_logsumexp
from nearfar.losses.engine.tiles import LN2, LOG2E, exponents_are_bounded

PolyViewVariant = Literal["geometric", "arithmetic", "sufficient-statistics", "multi-crop"]
VARIANTS = ("geometric", "arithmetic", "sufficient-statistics", "multi-crop")


@full_precision
def poly_view(
    views: Sequence[Tensor], *, temperature: float | Tensor, variant: PolyViewVariant = "geometric"
) -> Tensor:
    r"""Every view against all other views of its image at once (Poly-View, arXiv 2403.05490).

    Of view a of image i and view b of the same image, M views and rows L2-normalised,

    .. math::
        r_{iab} = \frac{e^{z_{ia} \cdot z_{ib} / \tau}}
            {e^{z_{ia} \cdot z_{ib} / \tau} + \sum_{j \ne i} \sum_{g=1}^{M} e^{z_{ia} \cdot z_{jg} / \tau}} ,

    so the image's further views are neither positives nor negatives here. Averaged over images and views a,

    - ``"geometric"``: :math:`-\frac{1}{M-1} \sum_{b \ne a} \log r_{iab}`, the mean of the bounds;
    - ``"arithmetic"``: :math:`-\log \frac{1}{M-1} \sum_{b \ne a} r_{iab}`, the logarithm of the mean: a view may
      rest on the other view that suits it best;
    - ``"sufficient-statistics"``: :math:`-\log r` with every :math:`z_{ib}` and :math:`z_{jg}` replaced by the mean
      of the *other* views, :math:`\tilde z_{jg} = \frac{1}{M-1} \sum_{h \ne g} z_{jh}`, which is not normalised again;
    - ``"multi-crop"``: the baseline, :func:`nt_xent` of every two views, averaged.

    With two views all four are :func:`nt_xent`. Everything but multi-crop sees the negatives of all views at once;
    their matrix is made in tiles and memory is linear in M N. No code was released for the paper.

    Args:
        views: M at least 2 times (N, D), row i of each a view of the same image.
        temperature: a positive float or a 0-d tensor.
        variant: which of the four.

    Returns:
        A scalar; for one image 0 (for ``"arithmetic"`` up to rounding).

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: fewer than two views, an unknown variant, or shapes, devices or a temperature that do not fit.
    """
    count = len(views)
    if count < 2:
        raise ValueError(f"poly_view compares views with each other and needs at least 2, got {count}")
    choice("variant", variant, VARIANTS)
    lifted = paired(**{f"views[{v}]": z for v, z in enumerate(views)})
    if variant == "multi-crop":
        pairs = [nt_xent(a, b, temperature=temperature) for a, b in combinations(lifted, 2)]
        return torch.stack(pairs).mean()
    scale = inverse_temperature(temperature, lifted[0])
    bounded = exponents_are_bounded(scale, normalized=True)
    y = torch.stack([unit_rows(z, (scale * LOG2E) ** 0.5) for z in lifted])
    if variant == "sufficient-statistics":
        rest = ((y.sum(0) - y) / (count - 1)).flatten(0, 1)
        flat = y.flatten(0, 1)
        negatives, _ = cross_logsumexp(flat, rest, skip_diagonal=True, columns=False, bounded=bounded, views=count)
        return -F.logsigmoid((flat * rest).sum(1) * LN2 - negatives).mean()
    negatives = self_logsumexp(y.flatten(0, 1), views=count, bounded=bounded).view(count, -1)
    similar = torch.einsum("and,bnd->abn", y, y) * LN2
    log_r = F.logsigmoid(similar - negatives.unsqueeze(1))[~torch.eye(count, dtype=torch.bool, device=y.device)]
    log_r = log_r.view(count, count - 1, -1)  # of every view, against every other, of every image
    if variant == "geometric":
        return -log_r.mean()
    return math.log(count - 1) - torch.logsumexp(log_r, dim=1).mean()
