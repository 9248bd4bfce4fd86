"""How restyled pictures are judged: the style that was asked for, and what is left of the picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.generation.guides import Guide
from nearfar.generation.made import Made
from nearfar.system import Scores

COUNT = 32
"""Held-out pictures that are restyled."""


def restyling_scores(made: Sequence[Made], guide: Guide, text: str) -> Scores:
    """Scores of pictures that were made of others.

    Args:
        made: pictures, each with the one it was made from.
        guide: compares them with the text.
        text: the style that was asked for.

    Returns:
        ``style``, the mean cosine of made pictures and the text in the guide's space, and ``source style``, that of the
        pictures they were made of; ``content``, the mean absolute correlation of the lightness of a made picture and
        its source; ``found``, the share of made pictures whose own source is the most correlated among all.
    """
    after, before = (signal(made, given=given) for given in (False, True))
    wanted = guide.texts([text])
    styles = [float(F.cosine_similarity(seen(guide, each), wanted).mean()) for each in (after, before)]
    alike = (lightness(after) @ lightness(before).T).abs()
    scores = {"style": styles[0], "content": float(alike.diagonal().mean())}
    if len(made) > 1:
        scores["found"] = float((alike.argmax(1) == torch.arange(len(alike))).double().mean())
    scores["source style"] = styles[1]
    return Scores(scores, neither=["source style"])


def signal(made: Sequence[Made], *, given: bool = False) -> Tensor:
    """(N, 3, H, W) in [-1, 1] of what was made, or of what it was made from."""
    pictures = [(each.given if given else each.thing).picture() for each in made]  # type: ignore[union-attr]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def seen(guide: Guide, x: Tensor) -> Tensor:
    """The guide's embeddings of whole pictures."""
    with torch.no_grad():
        return guide.images(F.interpolate(x, (guide.side, guide.side), mode="bilinear", antialias=True))


def lightness(x: Tensor) -> Tensor:
    """(N, H W): the lightness of pictures (N, 3, H, W), without its mean and of length 1."""
    flat = (x * x.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1).flatten(1).double()
    return F.normalize(flat - flat.mean(1, keepdim=True), dim=1)
