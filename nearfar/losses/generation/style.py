"""Style as statistics of channels, and content as what a place is beside its neighbours."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import floating, full_precision, whole_numbers
from nearfar.losses.dense.patch_nce import patch_nce

AROUND = tuple((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x)
"""Steps to the eight neighbours of a cell."""


def channel_statistics(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (B, C) of the channels of maps (B, C, h, w); the variance, unbiased, and 1e-5."""
    flat = maps.flatten(2)
    return flat.mean(2), (flat.var(2) + 1e-5).sqrt()


@full_precision
def style_statistics(made: Tensor, style: Tensor) -> Tensor:
    r"""Distance of two maps' channel statistics (AdaIN, arXiv 1703.06868; CCPL, ``net.py``, ``calc_style_loss``).

    .. math:: L = \overline{(\mu(m) - \mu(s))^2} + \overline{(\sigma(m) - \sigma(s))^2},
              \qquad \sigma^2 = \operatorname{var} + 10^{-5}

    Args:
        made: (B, C, h, w) features, at least two places.
        style: (B, C, h', w') features.

    Returns:
        A scalar, at least 0.

    Raises:
        TypeError: maps that are not floating.
        ValueError: shapes or devices that do not fit.
    """
    made, style = floating(made=made, style=style)
    for name, each in (("made", made), ("style", style)):
        if each.ndim != 4 or each.shape[:2] != made.shape[:2] or each[0, 0].numel() < 2:
            raise ValueError(
                f"{name} must be maps (B, C, h, w) of at least two places, with B and C of made, got "
                f"{tuple(each.shape)} for {tuple(made.shape)}"
            )
    (m, s), (n, t) = channel_statistics(made), channel_statistics(style)
    return F.mse_loss(m, n) + F.mse_loss(s, t)


@full_precision
def coherence_contrast(
    made: Tensor,
    content: Tensor,
    centres: Tensor,
    project: Callable[[Tensor], Tensor] | None = None,
    *,
    temperature: float | Tensor = 0.07,
) -> Tensor:
    r"""The contrastive coherence preserving loss of CCPL on one map (arXiv 2207.04808; ``net.py``).

    At S cells the differences to the eight neighbours, :math:`d = F_{centre} - F_{neighbour}`, are what is compared:
    each difference in the made picture must find that of the same place in the content among the 8 S of its picture
    (:func:`nearfar.losses.patch_nce`). Nothing is asked of the features themselves, so that colours and strokes are
    free to change; noise that differs from place to place, and with it from frame to frame, is not.

    Args:
        made: (B, C, h, w) features of the made picture, sides at least 3.
        content: (B, C, h, w) features of the content; held constant.
        centres: (S,) cells, numbered ``y * w + x``, none of them at the border; the same for all pictures.
        project: from differences (B, 8 S, C) to the vectors that are compared, of both pictures; only those of the
            made one teach it.
        temperature: divides the cosines, above 0.

    Returns:
        A scalar, at least 0.

    Raises:
        TypeError: maps that are not floating, centres that are not whole numbers.
        ValueError: shapes, devices, centres or a temperature that do not fit.
    """
    made, content = floating(made=made, content=content)
    if made.ndim != 4 or made.shape != content.shape or min(made.shape[2:]) < 3:
        raise ValueError(
            f"made and content must be maps of one shape (B, C, h, w) with sides of at least 3, got "
            f"{tuple(made.shape)} and {tuple(content.shape)}"
        )
    centres = whole_numbers("centres", centres, tuple(centres.shape[:1]), at_least=0)
    height, width = made.shape[2:]
    y, x = centres // width, centres % width
    if len(centres) == 0 or ((y < 1) | (y > height - 2) | (x < 1) | (x > width - 2)).any():
        raise ValueError(f"centres must be cells inside of the border of a map of {height} x {width}, at least one")
    beside = torch.cat([(y + dy) * width + x + dx for dy, dx in AROUND])

    def differences(maps: Tensor) -> Tensor:
        flat = maps.flatten(2).mT
        found = flat[:, centres.repeat(len(AROUND))] - flat[:, beside]
        return found if project is None else project(found)

    return patch_nce(differences(made), differences(content.detach()), temperature=temperature)
