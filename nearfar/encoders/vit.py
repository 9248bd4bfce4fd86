"""Vision transformers (Dosovitskiy et al., 2021) whose patches can be left out and whose attention can be read."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Trace(NamedTuple):
    """What a transformer did with N images, layer by layer.

    ``attentions``: (N, heads, T, T), rows sum to 1. ``tokens``: (N, T, C) behind each layer, before the last norm.
    The class token is the first of the T.
    """

    attentions: list[Tensor]
    tokens: list[Tensor]


class Transformer(nn.Module):
    """Blocks of self-attention and MLP with the norm in front of each, and one norm at the end.

    Args:
        width: channels of a token, divisible by ``heads``.
        depth: number of blocks, at least 1.
        heads: attention heads.
        mlp_ratio: width of the MLP's hidden layer over ``width``.

    Shape: ``(N, T, width) -> (N, T, width)``.
    """

    def __init__(self, width: int, depth: int, heads: int, *, mlp_ratio: float = 4.0) -> None:
        super().__init__()
        if depth < 1 or heads < 1 or width % heads:
            raise ValueError(
                f"a transformer needs depth and heads of at least 1 and a width divisible by the heads, got depth "
                f"{depth}, heads {heads} and width {width}"
            )
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width,
                heads,
                int(width * mlp_ratio),
                dropout=0.0,
                activation="gelu",
                layer_norm_eps=1e-6,
                batch_first=True,
                norm_first=True,
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width, eps=1e-6)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, tokens: Tensor, *, padding: Tensor | None = None, causal: bool = False) -> Tensor:
        """States of the tokens.

        Args:
            tokens: (N, T, width).
            padding: (N, T) bool, true for tokens that nothing attends to; a row must keep one.
            causal: whether a token attends to itself and those before it alone.
        """
        later = None
        if causal:
            count = tokens.shape[1]
            later = torch.ones(count, count, dtype=torch.bool, device=tokens.device).triu(1)
        for layer in self.layers:
            tokens = layer(tokens, src_mask=later, src_key_padding_mask=padding, is_causal=causal)
        return self.norm(tokens)

    def trace(self, tokens: Tensor) -> Trace:
        """The same blocks, step by step, keeping what each attended to and gave."""
        trace = Trace([], [])
        for layer in self.layers:
            assert isinstance(layer, nn.TransformerEncoderLayer)
            x = layer.norm1(tokens)
            mixed, attention = layer.self_attn(x, x, x, need_weights=True, average_attn_weights=False)
            tokens = tokens + mixed
            tokens = tokens + layer.linear2(layer.activation(layer.linear1(layer.norm2(tokens))))
            trace.attentions.append(attention)
            trace.tokens.append(tokens)
        return trace


class VisionTransformer(nn.Module):
    """A transformer on patches with fixed sine positions, and a class token in front.

    Positions are computed for the grid at hand, so that images of any size divisible by ``patch`` fit. For published
    weights use ``hf:<model>`` (see :func:`nearfar.encoders.image_encoder`), which cannot leave patches out.

    Args:
        width, depth, heads, mlp_ratio: see :class:`Transformer`; the defaults are ViT-B's.
        patch: side of a patch in pixels.

    Shape: ``(N, 3, H, W) -> (N, 1 + L, width)`` with ``L = H W / patch^2``, row by row, the class token first.

    Raises:
        ValueError: sizes that do not fit each other, or an image that is not a grid of whole patches.
    """

    def __init__(
        self, width: int = 768, depth: int = 12, heads: int = 12, *, patch: int = 16, mlp_ratio: float = 4.0
    ) -> None:
        super().__init__()
        if width % 4:
            raise ValueError(f"width must be divisible by 4 (sine and cosine of row and column), got {width}")
        self.out_features, self.patch = width, patch
        self.embed = nn.Conv2d(3, width, patch, patch)
        self.class_token = nn.Parameter(torch.empty(1, 1, width))
        self.blocks = Transformer(width, depth, heads, mlp_ratio=mlp_ratio)
        nn.init.normal_(self.class_token, std=0.02)
        nn.init.xavier_uniform_(self.embed.weight.flatten(1))  # as the linear layer that it is
        nn.init.zeros_(self.embed.bias)  # type: ignore[arg-type]

    def patches(self, images: Tensor) -> Tensor:
        """Embedded patches with their positions (N, L, width), for :meth:`encode` to see all or some of."""
        height, width = images.shape[-2:]
        if height % self.patch or width % self.patch:
            raise ValueError(
                f"images of {height}x{width} pixels are not whole patches of {self.patch}: give a size divisible by "
                f"{self.patch}, or an encoder with smaller patches"
            )
        maps = self.embed(images)
        positions = sine_positions(height // self.patch, width // self.patch, maps.shape[1])
        return maps.flatten(2).transpose(1, 2) + positions.to(maps)

    def with_class(self, patches: Tensor) -> Tensor:
        """Tokens (N, 1 + K, width): the class token before patches (N, K, width)."""
        return torch.cat([self.class_token.expand(patches.shape[0], -1, -1), patches], 1)

    def encode(self, patches: Tensor) -> Tensor:
        """Tokens (N, 1 + K, width) of the patches (N, K, width) that are seen, the class token first."""
        return self.blocks(self.with_class(patches))

    def forward(self, images: Tensor) -> Tensor:
        return self.encode(self.patches(images))

    def trace(self, images: Tensor) -> Trace:
        """Attention and tokens of every layer."""
        return self.blocks.trace(self.with_class(self.patches(images)))


def sine_positions(height: int, width: int, channels: int) -> Tensor:
    """Fixed positions (height * width, channels) of a grid, row by row.

    The first half of the channels tells the column, the second half the row, each as sines then cosines of
    ``position / 10000^(4 d / channels)``, as in the released MAE code (whose comment says it the other way round).
    """
    frequencies = 10000.0 ** -(torch.arange(channels // 4, dtype=torch.float64) / (channels / 4))

    def waves(count: int) -> Tensor:
        angles = torch.arange(count, dtype=torch.float64)[:, None] * frequencies
        return torch.cat([angles.sin(), angles.cos()], 1)

    columns = waves(width).expand(height, -1, -1)
    rows = waves(height)[:, None].expand(-1, width, -1)
    return torch.cat([columns, rows], 2).flatten(0, 1).float()
