"""Inks in parts: halves of one, several joined to one, a text cut into pieces, and the pieces put side by side."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def halves(points: Tensor) -> tuple[Tensor, Tensor]:
    """Both halves of an ink (P, 3), parted where the pen rises nearest to the middle, or else in the middle."""
    middle = len(points) / 2
    rises = points[:-1, 2].nonzero()[:, 0] + 1
    good = rises[(rises >= 2) & (rises <= len(points) - 2)]
    cut = int(good[(good - middle).abs().argmin()]) if len(good) else max(int(middle), 1)
    return points[:cut], points[cut:] if cut < len(points) else points


def joined(inks: Sequence[Tensor], gaps: Sequence[float]) -> Tensor:
    """Inks (P, 3) one after another on one line, each ``gaps`` behind the right edge of the one before."""
    found = [inks[0]]
    for ink, gap in zip(inks[1:], gaps, strict=False):
        right = max(float(each[:, 0].max()) for each in found)
        found.append(ink + torch.tensor([right + gap - float(ink[:, 0].min()), 0.0, 0.0]).to(ink))
    return torch.cat(found)


def pieces(text: str, most: int) -> list[str]:
    """A text cut at spaces into pieces of at most ``most`` letters; a longer word is a piece of its own, whole."""
    found: list[str] = []
    for word in text.split():
        if found and len(found[-1]) + 1 + len(word) <= most:
            found[-1] += f" {word}"
        else:
            found.append(word)
    return found or [text]


def side_by_side(inks: Sequence[Tensor], gap: float) -> Tensor:
    """Pieces of one text on one line: each stands on it with the median foot of its strokes."""
    placed = [ink - torch.stack([ink.new_zeros(()), foot(ink), ink.new_zeros(())]) for ink in inks]
    return joined(placed, [gap] * len(placed))


def foot(ink: Tensor) -> Tensor:
    """The median of the lowest points of an ink's strokes."""
    ends = (ink[:-1, 2].nonzero()[:, 0] + 1).tolist()
    bounds = zip([0, *ends], [*ends, len(ink)], strict=True)
    return torch.stack([ink[a:b, 1].max() for a, b in bounds]).median()
