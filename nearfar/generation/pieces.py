"""Inks in parts: halves of one, several joined to one, a text cut into pieces, and the pieces put side by side."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nearfar.generation.data.ink import InkBatch

GAP = (0.4, 0.9)
"""Room between joined inks, as a share of the height of a hand."""


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


def with_mates(
    batch: InkBatch, drawn: Sequence[Sequence[float]], share: float, most: int
) -> tuple[list[Tensor], list[str]]:
    """Inks of which some are joined to others of the batch by the same writer, with what they say.

    Args:
        batch: N inks.
        drawn: for each 3 + 2 * ``most`` numbers in [0, 1): whether it is joined, to how many, one that is not used
            here, to which ones, and with which gaps.
        share: of the inks that are joined, in [0, 1].
        most: inks in one.
    """
    points, texts = [], []
    for n, numbers in enumerate(drawn):
        chosen = [n]
        if numbers[0] < share:
            mates = (batch.writers == batch.writers[n]).nonzero()[:, 0].tolist()
            count = 1 + int(numbers[1] * (most - 1))
            chosen += [mates[int(each * len(mates))] for each in numbers[3 : 3 + count]]
        gaps = [GAP[0] + (GAP[1] - GAP[0]) * each for each in numbers[3 + most :]]
        points.append(joined([batch.points[i] for i in chosen], gaps))
        texts.append(" ".join(batch.texts[i] for i in chosen))
    return points, texts
