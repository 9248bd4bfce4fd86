"""Losses of mixed inputs: what an interpolation of two images should look like to the loss."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.losses._checks import choice, full_precision, number, paired, unit_rows
from nearfar.losses.alignment.redundancy import _at_least_two_rows
from nearfar.losses.engine.energy import off_diagonal_energy

VARIANCE_FLOOR = 1e-12
FORMS = ("small", "imagenet")


@full_precision
def mixed_barlow_twins(
    z1: Tensor,
    z2: Tensor,
    mixed: Tensor,
    partner: Tensor,
    share: float | Tensor,
    *,
    lambd: float,
    weight: float,
    normalize: bool = True,
    form: str = "small",
) -> dict[str, Tensor]:
    r"""Mixed Barlow Twins (arXiv 2312.02151; released code ``main.py`` for small images), as two named terms.

    Besides two views of each image the encoder sees ``share * view1 + (1 - share) * view2[order]``. What the mixture
    has in common with a view should be the interpolation of what its parts have in common with it:

    .. math::
        L = \sum_i (C_{ii} - 1)^2 + \lambda \sum_{i \ne j} C_{ij}^2
          + w \lambda \sum_{v=1,2} \Big\| \tfrac1N \big( s(z_m) - \mu s(z_1) - (1 - \mu) s(z_p) \big)^T s(z_v)
            \Big\|_F^2, \qquad C = s(z_1)^T s(z_2) / N,

    with s standardising each dimension over the batch by the *unbiased* standard deviation, so that C_ii is at most
    (N - 1) / N, and gradients through everything. Both as in the released code for small images. Its code for
    ImageNet (``main_imagenet.py``; ``form="imagenet"``) takes :math:`s(z_2)` in place of :math:`s(z_1)` inside the
    norm for v = 2, and halves the mixed term.

    Args:
        z1: (N, D), first view, N at least 2.
        z2: (N, D), second view.
        mixed: (N, D), embeddings of the mixtures.
        partner: (N, D), what ``mixed`` was mixed with: ``z2[order]``.
        share: the first view's part in the mixture, in [0, 1]: one number, or (N,) one for each row.
        lambd: weight of the redundancy term, at least 0; 1/128 at D = 1024.
        weight: of the mixed term, at least 0, on top of ``lambd``; 4, or 2 on STL-10.
        normalize: L2-normalise every row first, as the released model for small images does.
        form: ``"small"`` or ``"imagenet"``, see above.

    Returns:
        ``{"barlow": scalar, "mixed": scalar}``, the second already times its weights.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: fewer than 2 rows, or shapes, devices, a share, weights or a form that do not fit.
    """
    choice("form", form, FORMS)
    z1, z2, mixed, partner = paired(z1=z1, z2=z2, mixed=mixed, partner=partner)
    _at_least_two_rows("z1", z1)
    number("lambd", lambd, at_least=0.0)
    number("weight", weight, at_least=0.0)
    part = _share(share, z1)
    n = len(z1)
    s1, s2, sm, sp = (_standardize(unit_rows(z) if normalize else z) for z in (z1, z2, mixed, partner))
    diagonal = (s1 * s2).sum(0) / n
    redundancy = off_diagonal_energy(s1, s2, diagonal * n) / n**2
    rest = sm - (1 - part) * sp
    first = rest - part * s1
    second = first if form == "small" else rest - part * s2
    mismatch = (_energy(first, s1) + _energy(second, s2)) / n**2
    if form == "imagenet":
        mismatch = mismatch / 2
    return {
        "barlow": (diagonal - 1).square().sum() + lambd * redundancy,
        "mixed": weight * lambd * mismatch,
    }


def _share(share: float | Tensor, like: Tensor) -> float | Tensor:
    if not isinstance(share, Tensor):
        if number("share", share, at_least=0.0) > 1:
            raise ValueError(f"share must be in [0, 1], got {share}")
        return share
    if share.shape != like.shape[:1]:
        raise ValueError(f"share must be a number or one per row, shape ({len(like)},), got {tuple(share.shape)}")
    return share.to(like).unsqueeze(1)


def _standardize(z: Tensor) -> Tensor:
    centred = z - z.mean(0)
    variance = centred.square().sum(0) / (len(z) - 1)
    return centred * torch.clamp_min(variance, VARIANCE_FLOOR).rsqrt()


def _energy(x: Tensor, y: Tensor) -> Tensor:
    """Squared Frobenius norm of ``x^T y``."""
    diagonal = (x * y).sum(0)
    return off_diagonal_energy(x, y, diagonal) + diagonal.square().sum()
