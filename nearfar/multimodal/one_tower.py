"""One transformer that reads every modality (VATT), and heads into a fine space and a coarse one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.common.share import for_examples
from nearfar.encoders import Transformer, sine_positions
from nearfar.encoders.tokens import HashTokenizer
from nearfar.multimodal.tuples import Modalities, Numbers, RowEncoder, TupleBatch

__all__ = ["FineAndCoarse", "OneTower", "Patches", "Reader", "Spaces"]


@dataclass(frozen=True)
class Reader:
    """The transformer that all modalities share, and how each becomes tokens.

    Args:
        width, depth, heads: of the transformer.
        patch: side of a picture's patches in pixels.
        frame: samples of a wave in a token.
        max_length: words kept of a text.
        words: size of the table of words, to which they are hashed.
        seen: share of the tokens of a picture or a sound that is read in training, in (0, 1].
        crop_scale: smallest share of a picture's area that the random crop keeps, in (0, 1].
    """

    width: int = 1024
    depth: int = 12
    heads: int = 16
    patch: int = 16
    frame: int = 128
    max_length: int = 16
    words: int = 65536
    seen: float = 0.5
    crop_scale: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.seen <= 1 or self.width % 4 or min(self.patch, self.frame) < 1:
            raise ValueError(f"seen must be in (0, 1], width a multiple of 4, patch and frame at least 1, got {self}")


@dataclass(frozen=True)
class Spaces:
    """Widths of the space of the first and the second modality, and of that which the third shares with them."""

    fine: int = 512
    coarse: int = 256


class FineAndCoarse(NamedTuple):
    """Embeddings, not normalised, of first and second modality in one space, and of first and third in another."""

    fine: tuple[Tensor, Tensor]
    coarse: tuple[Tensor, Tensor]


class OneTower(RowEncoder):
    """Tokens of each modality, one transformer, and heads for two pairs of modalities.

    Tokens pass a layer norm before they get their positions: a patch, a frame of a quiet sound and a word are of very
    different length, and positions would drown the short ones.

    The first modality goes through two layers into a fine space that it shares with the second, and on into a coarse
    one that it shares with the third: sounds are as fine as what is seen, texts are not.

    Args:
        modalities: three of them.
        reader: the transformer and the tokens.
        spaces: widths of the heads.
    """

    def __init__(self, modalities: Modalities, reader: Reader, spaces: Spaces) -> None:
        super().__init__()
        self.modalities, self.reader, width = modalities, reader, reader.width
        self.tokens = nn.ModuleList(self._tokens(position) for position in range(3))
        self.summary = nn.Parameter(torch.empty(1, 1, width))
        nn.init.normal_(self.summary, std=0.02)
        self.blocks = Transformer(width, reader.depth, reader.heads)
        fine, coarse = spaces.fine, spaces.coarse
        self.into_fine = nn.Sequential(
            nn.Linear(width, fine), nn.BatchNorm1d(fine), nn.ReLU(), nn.Linear(fine, fine), nn.BatchNorm1d(fine)
        )
        self.second = nn.Linear(width, fine)
        self.into_coarse = nn.Sequential(nn.ReLU(), nn.Linear(fine, coarse), nn.BatchNorm1d(coarse))
        self.third = nn.Linear(width, coarse)
        self.spaces, self.out_features = spaces, 3 * (fine + coarse)

    def _tokens(self, position: int) -> nn.Module:
        kind, reader = self.modalities.kinds[position], self.reader
        if kind == "picture":
            return Patches(reader.width, reader.patch)
        if kind == "sound":
            return _Frames(reader)
        if kind == "text":
            return _Words(reader)
        numbers = Numbers(self.modalities.centres[position], self.modalities.spreads[position], "linear")
        return nn.Sequential(numbers, nn.Linear(numbers.out_features, reader.width), nn.Unflatten(1, (1, reader.width)))

    def backbone(self) -> list[nn.Parameter]:
        """The parameters before the heads."""
        return [*self.tokens.parameters(), self.summary, *self.blocks.parameters()]

    def chosen(self, cells: Mapping[str, Any], generator: torch.Generator) -> dict[str, Tensor]:
        """Which tokens (N, K) of pictures and sounds are read in training, drawn anew for each example."""
        found = {}
        for name, tokens in zip(self.modalities.names, self.tokens, strict=True):
            if isinstance(tokens, Patches | _Frames):
                total = tokens.count(cells[name])
                draw = partial(_uniform, total, generator)
                order = for_examples(draw, len(cells[name])).argsort(1)
                found[name] = order[:, : max(round(self.reader.seen * total), 1)]
        return found

    def features(self, cells: Mapping[str, Any], chosen: Mapping[str, Tensor] | None = None) -> list[Tensor]:
        """States (N, width) of every modality.

        Args:
            cells: of the modalities, by their names.
            chosen: which tokens of some of them are read, (N, K); all are of the others.

        Raises:
            ValueError: cells without one of the modalities.
        """
        found = []
        for name, tokens in zip(self.modalities.names, self.tokens, strict=True):
            if name not in cells:
                raise ValueError(f"the rows have no {name!r}, which this was trained on; they have {', '.join(cells)}")
            x, padding = tokens(cells[name]), None
            if isinstance(tokens, _Words):
                x, padding = x
                padding = F.pad(padding, (1, 0))
            if chosen and name in chosen:
                x = x.gather(1, chosen[name][..., None].expand(-1, -1, x.shape[2]))
            x = torch.cat([self.summary.expand(len(x), -1, -1).to(x.dtype), x], 1)
            found.append(self.blocks(x, padding=padding)[:, 0])
        return found

    def heads(self, features: list[Tensor]) -> FineAndCoarse:
        """Embeddings of states (N, width) of the three modalities."""
        first, second, third = features
        fine = self.into_fine(first)
        return FineAndCoarse((fine, self.second(second)), (self.into_coarse(fine), self.third(third)))

    def each(self, batch: TupleBatch) -> list[Tensor]:
        """Rows (N, fine + coarse): the first modality in both spaces, the others in their own and 0 in the other."""
        (fine, second), (coarse, third) = self.heads(self.features(batch.cells))
        fine, second, coarse, third = (F.normalize(x, dim=1) for x in (fine, second, coarse, third))
        no_fine, no_coarse = torch.zeros_like(fine), torch.zeros_like(coarse)
        rows = [torch.cat(parts, 1) for parts in ((fine, coarse), (second, no_coarse), (no_fine, third))]
        return [x * batch.present[:, position, None] for position, x in enumerate(rows)]


def _uniform(width: int, generator: torch.Generator, count: int) -> Tensor:
    return torch.rand(count, width, generator=generator, device=generator.device)


class Patches(nn.Module):
    """Pictures (N, 3, H, W), uint8 or in [0, 1], to tokens (N, L, width) of their patches, with positions."""

    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.embed, self.norm = nn.Conv2d(3, width, patch, patch), nn.LayerNorm(width)

    def count(self, images: Tensor) -> int:
        """How many patches a picture has."""
        return (images.shape[2] // self.patch) * (images.shape[3] // self.patch)

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        if height % self.patch or width % self.patch:
            raise ValueError(
                f"pictures of {height}x{width} pixels are not whole patches of {self.patch}: give a --size divisible "
                "by that, or another size of patches"
            )
        pixels = images / 127.5 - 1 if images.dtype == torch.uint8 else 2 * images - 1
        maps = self.embed(pixels)
        positions = sine_positions(maps.shape[2], maps.shape[3], maps.shape[1])
        return self.norm(maps.flatten(2).transpose(1, 2)) + positions.to(maps)


class _Frames(nn.Module):
    """Waves (N, L) to tokens of their frames, with positions; what is left over at the end is not read."""

    def __init__(self, reader: Reader) -> None:
        super().__init__()
        self.frame = reader.frame
        self.embed, self.norm = nn.Linear(reader.frame, reader.width), nn.LayerNorm(reader.width)

    def count(self, waves: Tensor) -> int:
        """How many frames a wave has."""
        return waves.shape[1] // self.frame

    def forward(self, waves: Tensor) -> Tensor:
        count = self.count(waves)
        if not count:
            raise ValueError(f"sounds of {waves.shape[1]} samples are shorter than a frame of {self.frame}")
        tokens = self.norm(self.embed(waves[:, : count * self.frame].unflatten(1, (count, self.frame))))
        return tokens + sine_positions(1, count, tokens.shape[2]).to(tokens)


class _Words(nn.Module):
    """Texts to tokens of their words, with positions, and where there is only padding."""

    def __init__(self, reader: Reader) -> None:
        super().__init__()
        self.tokenizer = HashTokenizer(reader.words, reader.max_length)
        self.embed, self.norm = nn.Embedding(reader.words, reader.width), nn.LayerNorm(reader.width)

    def forward(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        ids, there = (x.to(self.embed.weight.device) for x in self.tokenizer(texts))
        tokens = self.norm(self.embed(ids))
        return tokens + sine_positions(1, ids.shape[1], tokens.shape[2]).to(tokens), there == 0
