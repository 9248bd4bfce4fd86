"""How far pictures are from what a text says, and from the range of pixels: what a frozen generator is guided by."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.losses._checks import floating, full_precision, unit_rows


def _rows(**named: Tensor) -> list[Tensor]:
    """(N, D) each, N or 1 rows of one width."""
    lifted = floating(**named)
    count = max(len(each) if each.ndim == 2 else 0 for each in lifted)
    width = lifted[0].shape[-1] if lifted[0].ndim else 0
    for name, each in zip(named, lifted, strict=True):
        if each.ndim != 2 or len(each) not in (1, count) or each.shape[1] != width or not width:
            raise ValueError(
                f"{name} has shape {tuple(each.shape)}; all must be (N, D) of one width, with one row or as many as "
                "the longest"
            )
    return lifted


@full_precision
def spherical_distance(x: Tensor, y: Tensor) -> Tensor:
    r"""Squared distance on the sphere, as guided diffusion with CLIP has it (ZeCon, arXiv 2303.08622).

    .. math:: 2 \arcsin^2(\|\hat x - \hat y\| / 2)

    Args:
        x: (N, D) embeddings, or (1, D) for all of the other's.
        y: (N, D), or (1, D).

    Returns:
        (N,), from 0 to :math:`\pi^2 / 2`. Rows that point to one place, or to opposite ones, have no gradient.

    Raises:
        TypeError: rows that are not floating. ValueError: shapes that do not fit.
    """
    x, y = _rows(x=x, y=y)
    squared = (unit_rows(x) - unit_rows(y)).square().sum(1) / 4
    inside = (squared > 1e-14) & (squared < 1 - 1e-14)
    # The slopes of the root and of the arc have no end there.
    half = torch.where(inside, squared, squared.new_tensor(0.25)).sqrt()
    ends = torch.where(squared > 0.5, torch.pi / 2, 0.0 * squared)  # which is NaN where that is
    return 2 * torch.where(inside, half.arcsin(), ends).square()


@full_precision
def direction_distance(x: Tensor, y: Tensor, text: Tensor, source: Tensor) -> Tensor:
    r"""Whether pictures moved from y to x as a text moves from its source (StyleGAN-NADA; ZeCon, arXiv 2303.08622).

    .. math:: 1 - \cos(x - y, t - s)

    Args:
        x: (N, D) embeddings of pictures, or (1, D).
        y: (N, D) those of the pictures they came from, or (1, D).
        text: (N, D) or (1, D), of what is wanted.
        source: (N, D) or (1, D), of what was there.

    Returns:
        (N,), from 0 to 2; 1 where nothing moved.

    Raises:
        TypeError: rows that are not floating. ValueError: shapes that do not fit.
    """
    x, y, text, source = _rows(x=x, y=y, text=text, source=source)
    return 1 - (unit_rows(x - y) * unit_rows(text - source)).sum(1)


@full_precision
def range_excess(images: Tensor, least: float = -1.0, most: float = 1.0) -> Tensor:
    """Mean squared excess of each picture's values over their range.

    Args:
        images: (B, ...) values.
        least, most: of the range.

    Returns:
        (B,), at least 0.

    Raises:
        TypeError: values that are not floating. ValueError: no value for each picture, or an empty range.
    """
    (images,) = floating(images=images)
    if images.ndim < 2 or not images[:1].numel():
        raise ValueError(f"images must be (B, ...) with at least one value each, got {tuple(images.shape)}")
    if not least < most:
        raise ValueError(f"least must be below most, got {least} and {most}")
    return (images - images.clamp(least, most)).square().flatten(1).mean(1)
