"""A transformer on the tokens of a discrete diffusion that is told the level in its norms, and a condition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.encoders.tokens import HashTokenizer
from nearfar.parts.diffusion import sines

Kind = Literal["class", "caption"]


@dataclass(frozen=True)
class TokenNet:
    """The size of the transformer.

    Args:
        width: of its states, a multiple of twice the heads.
        depth: blocks.
        heads: of every attention.
        dropout: in [0, 1).
    """

    width: int = 512
    depth: int = 24
    heads: int = 16
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if min(self.width, self.depth, self.heads) < 1 or self.width % (2 * self.heads):
            raise ValueError(
                f"width must be a multiple of twice the heads, all at least 1, got {self.width}, {self.depth}, "
                f"{self.heads}"
            )


class Told(NamedTuple):
    """States (B, W, width) of a condition, and which of them count (B, W)."""

    states: Tensor
    mask: Tensor


class Condition(nn.Module):
    """Classes, or words of captions, as states that a network looks at.

    Args:
        kind: ``class``, or ``caption`` for a vector of each (hashed) word.
        width: of the states.
        classes: how many there are.
    """

    def __init__(self, kind: Kind, width: int, classes: int | None) -> None:
        super().__init__()
        if kind == "class" and not classes:
            raise ValueError("the number of classes is not known; give num_classes, or condition=caption")
        self.kind, self.classes = kind, classes or 0
        self.words = HashTokenizer(4096, 16)
        self.table = nn.Embedding(self.classes if kind == "class" else 4096, width)

    def forward(self, labels: Tensor, captions: Sequence[str]) -> Told:
        """Of class numbers (B,), or of B captions.

        Raises:
            ValueError: a class that is not known.
        """
        if self.kind == "caption":
            ids, mask = self.words(captions)[:2]
            return Told(self.table(ids.to(labels.device)), mask.to(labels.device).bool())
        if len(labels) and (int(labels.min()) < 0 or int(labels.max()) >= self.classes):
            raise ValueError(
                f"every picture needs one of {self.classes} classes, got a label of {int(labels.min())} to "
                f"{int(labels.max())}; without labels use condition=caption"
            )
        return Told(self.table(labels)[:, None], torch.ones_like(labels, dtype=torch.bool)[:, None])


class LevelNorm(nn.Module):
    """A layer norm that the level scales and shifts."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.told = nn.Linear(width, 2 * width)
        nn.init.zeros_(self.told.weight)
        nn.init.zeros_(self.told.bias)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        scale, shift = self.told(F.silu(level))[:, None].chunk(2, 2)
        return self.norm(x) * (1 + scale) + shift


class TokenBlock(nn.Module):
    """Tokens look at each other, then at the condition, then think."""

    def __init__(self, size: TokenNet) -> None:
        super().__init__()
        width, drop = size.width, size.dropout
        self.norms = nn.ModuleList(LevelNorm(width) for _ in range(2))
        self.among = nn.MultiheadAttention(width, size.heads, dropout=drop, batch_first=True)
        self.told = nn.MultiheadAttention(width, size.heads, dropout=drop, batch_first=True)
        self.think = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.Dropout(drop)
        )

    def forward(self, x: Tensor, level: Tensor, told: Told) -> Tensor:
        h = self.norms[0](x, level)
        x = x + self.among(h, h, h, need_weights=False)[0]
        h = self.norms[1](x, level)
        x = x + self.told(h, told.states, told.states, key_padding_mask=~told.mask, need_weights=False)[0]
        return x + self.think(x)


class TokenDenoiser(nn.Module):
    """From noised tokens to logits of what they were.

    Args:
        tokens: K; K itself is the mask.
        grid: height and width in tokens.
        size: of the transformer.
        kind: of the condition.
        classes: how many there are.
    """

    def __init__(self, tokens: int, grid: tuple[int, int], size: TokenNet, kind: Kind, classes: int | None) -> None:
        super().__init__()
        width = size.width
        self.grid = grid
        self.condition = Condition(kind, width, classes)
        self.table = nn.Embedding(tokens + 1, width)
        self.down, self.across = (nn.Parameter(torch.randn(length, width)) for length in grid)
        self.level = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(TokenBlock(size) for _ in range(size.depth))
        self.last = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, tokens))

    def forward(self, x: Tensor, t: Tensor, told: Told) -> Tensor:
        """(B, L) tokens and (B,) levels to (B, K, L) logits."""
        place = (self.down[:, None] + self.across[None]).flatten(0, 1)
        h = self.table(x) + place
        level = self.level(sines(t, h.shape[2]))
        for block in self.blocks:
            h = block(h, level, told)
        return self.last(h).mT
