"""The counting network: tokens of a picture, the point that each stands for, and how well a phrase names it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from nearfar.encoders import TextEncoder, text_encoder
from nearfar.encoders.tokens import HashTokenizer
from nearfar.segmentation.encoders import PyramidEncoder, pyramid_encoder


class WordSum(nn.Module):
    """A phrase as the mean of its words' vectors and a linear layer: seconds on a CPU, blind to order.

    Shape: N strings to (N, width).
    """

    def __init__(self, width: int = 64, buckets: int = 4096) -> None:
        super().__init__()
        self.tokenizer = HashTokenizer(buckets, 32)
        self.words = nn.Embedding(buckets, width, padding_idx=0)
        self.linear = nn.Linear(width, width)
        self.out_features = width

    def forward(self, phrases: Sequence[str]) -> Tensor:
        tokens = self.tokenizer(phrases)
        ids, mask = (each.to(self.linear.weight.device) for each in tokens)
        seen = mask.unsqueeze(2).to(self.linear.weight.dtype)
        return self.linear((self.words(ids) * seen).sum(1) / seen.sum(1).clamp_min(1))


def phrase_encoder(encoder: str | nn.Module) -> nn.Module:
    """``words`` (:class:`WordSum`), a name of :func:`nearfar.encoders.text_encoder`, or a module with
    ``out_features`` from strings to vectors."""
    if encoder == "words":
        return WordSum()
    return encoder if isinstance(encoder, nn.Module) and not isinstance(encoder, TextEncoder) else text_encoder(encoder)


class Seen(NamedTuple):
    """Tokens (N, M, D) of N pictures, and the points (N, M, 2) that they stand for, (x, y) as shares of the side."""

    tokens: Tensor
    points: Tensor


class CountingNetwork(nn.Module):
    """What a counting run keeps: a backbone, a text encoder, and the heads that make a point detector of them.

    All maps of the backbone are brought to one width and to the grid of one of them, and summed; each cell is a token.
    A token says where the object lies that it stands for, within ``reach`` cells of its own centre, and its product
    with the phrase's vector is the logit of the phrase naming it. Picture and phrase meet only there (a late
    interaction; Grounding DINO's tokens look at the words in every layer), so that one pass serves all phrases.

    Called with pictures it gives one vector each, the mean of its tokens.

    Args:
        encoder: see :func:`nearfar.segmentation.encoders.pyramid_encoder`.
        text: see :func:`phrase_encoder`.
        width: width of tokens.
        level: which of the backbone's maps gives the grid, 0 the finest.
        reach: in cells, above 0.
    """

    by_example = ("forward", "see")

    def __init__(self, encoder: str | nn.Module, text: str | nn.Module, width: int, level: int, reach: float) -> None:
        super().__init__()
        self.backbone: PyramidEncoder = pyramid_encoder(encoder)
        if not 0 <= level < len(self.backbone.widths):
            raise ValueError(
                f"level must be one of the backbone's maps, 0 to {len(self.backbone.widths) - 1}, got {level}"
            )
        if not reach > 0:
            raise ValueError(f"reach must be above 0, got {reach}")
        self.text = phrase_encoder(text)
        self.level, self.reach, self.out_features = level, reach, width
        self.lateral = nn.ModuleList(nn.Conv2d(w, width, 1) for w in self.backbone.widths)
        self.mix = nn.Sequential(
            nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 1)
        )
        self.offset = nn.Linear(width, 2)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(int(self.text.out_features), width)  # type: ignore[arg-type]
        # At first everything is as unlikely as an object is, 1 in 100 (arXiv 1708.02002, section 4.1).
        self.bias = nn.Parameter(torch.tensor(-math.log(99.0)))

    def see(self, images: Tensor) -> Seen:
        """Tokens and points of pictures (N, 3, H, W)."""
        maps = self.backbone.maps(images)
        size = maps[self.level].shape[2:]
        together = torch.stack([
            F.interpolate(lateral(each), size=size, mode="bilinear", align_corners=False)
            for lateral, each in zip(self.lateral, maps, strict=True)
        ]).sum(0)  # fmt: skip
        tokens = self.mix(together).flatten(2).mT
        rows, columns = size
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        centres = torch.stack([x.flatten(), y.flatten()], 1).to(tokens) + 0.5
        points = centres + self.reach * torch.tanh(self.offset(tokens))
        return Seen(tokens, points / torch.tensor([columns, rows]).to(tokens))

    def logits(self, tokens: Tensor, phrases: Sequence[str], owners: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (R, M) of phrase r naming each token of its picture ``owners[r]``, and the phrases' vectors (R, D)."""
        keys = self.key(self.text(phrases))
        queries = self.query(tokens)[owners]
        return torch.einsum("rmd,rd->rm", queries, keys) / math.sqrt(keys.shape[1]) + self.bias, keys

    def forward(self, images: Tensor) -> Tensor:
        return self.see(images).tokens.mean(1)


def matched(
    logits: Tensor, points: Tensor, targets: Tensor, *, class_cost: float, point_cost: float
) -> tuple[Tensor, Tensor]:
    """The cheapest assignment of one phrase's points to different tokens (GroundingREC, ``HungarianMatcher``).

    The cost of a token is ``class_cost`` times its cross-entropy with "named" and ``point_cost`` times the L1 distance
    of its point, in shares of the side.

    Args:
        logits: (M,).
        points: (M, 2).
        targets: (K, 2).

    Returns:
        Tokens and their targets, each (min(M, K),) int64.
    """
    with torch.no_grad():
        cost = class_cost * F.softplus(-logits.float())[:, None] + point_cost * torch.cdist(points, targets, p=1)
        found = linear_sum_assignment(cost.cpu().numpy())
    tokens, wanted = (torch.as_tensor(np.asarray(each), device=logits.device) for each in found)
    return tokens.long(), wanted.long()
