"""Regions as queries: what R-MAE makes of the seen parts of a region, and how it draws the rest."""

from __future__ import annotations

from torch import Tensor, nn

from nearfar.encoders import Transformer, sine_positions
from nearfar.parts import take
from nearfar.vision.masked import linear


class RegionEncoder(nn.Module):
    """One query (N, K, width) for each region from the seen patches of its map (N, K, L, pixels)."""

    def __init__(self, pixels: int, width: int, heads: int) -> None:
        super().__init__()
        self.embed = linear(pixels, width)
        self.blocks = Transformer(width, 1, heads)
        self.blocks.norm = nn.Identity()  # type: ignore[assignment]  # one follows behind the mean
        self.project = nn.Sequential(nn.LayerNorm(width, eps=1e-6), linear(width, width))

    def forward(self, regions: Tensor, kept: Tensor, grid: tuple[int, int]) -> Tensor:
        count = regions.shape[1]
        maps = self.embed(regions.flatten(0, 1).to(self.embed.weight.dtype) - 0.5)
        maps = maps + sine_positions(*grid, maps.shape[2]).to(maps)
        seen = self.blocks(take(maps, kept.repeat_interleave(count, 0)))
        return self.project(seen.mean(1).unflatten(0, (-1, count)))


class RegionDecoder(nn.Module):
    """Queries (N, K, width) look at each other, then each is added to every patch of the memory (N, L, width) and an
    MLP says the region's pixels there: logits (N, K, L, pixels)."""

    def __init__(self, pixels: int, width: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.expand = linear(width, width)
        self.predict = nn.Sequential(
            nn.LayerNorm(width, eps=1e-6), linear(width, width), nn.GELU(), linear(width, width), nn.GELU()
        )
        self.last = linear(width, pixels)

    def forward(self, query: Tensor, memory: Tensor) -> Tensor:
        x = self.norm(query)
        query = query + self.attention(x, x, x, need_weights=False)[0]
        return self.last(self.predict(query[:, :, None] + self.expand(memory)[:, None]))
