"""Pictures as tokens and back: levels of grey of pixels or of patches, or the codes of a VQ model of diffusers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.common.extras import needed
from nearfar.generation.data.pictures import as_signal


@runtime_checkable
class PictureTokens(Protocol):
    """Turns pictures into rows of tokens, line by line.

    Attributes:
        count: K, how many tokens there are.
        grid: height and width in tokens.
    """

    count: int
    grid: tuple[int, int]

    def encode(self, images: Tensor) -> Tensor:
        """(B, L) int64 of pictures (B, 3, H, W) uint8."""

    def decode(self, tokens: Tensor) -> Tensor:
        """(B, C, H, W) in [-1, 1] of tokens (B, L)."""


class GreyTokens(nn.Module):
    """Every pixel's grey, rounded to one of a few levels."""

    def __init__(self, levels: int, side: int) -> None:
        super().__init__()
        if not 2 <= levels <= 256:
            raise ValueError(f"there are between 2 and 256 levels of grey, got {levels}")
        self.count, self.grid = levels, (side, side)

    def encode(self, images: Tensor) -> Tensor:
        grey = images.float().mean(1).flatten(1)
        return (grey * (self.count - 1) / 255).round().long()

    def decode(self, tokens: Tensor) -> Tensor:
        return (tokens.float() * (2 / (self.count - 1)) - 1).unflatten(1, self.grid)[:, None]


class PatchTokens(nn.Module):
    """Every patch of 2 x 2 pixels, each rounded to one of a few levels of grey: levels ** 4 tokens."""

    def __init__(self, levels: int, side: int) -> None:
        super().__init__()
        if not 2 <= levels <= 8 or side % 2:
            raise ValueError(
                f"patches have between 2 and 8 levels of grey and an even side to cut, got {levels} and {side}"
            )
        self.levels, self.count, self.grid = levels, levels**4, (side // 2, side // 2)

    def encode(self, images: Tensor) -> Tensor:
        grey = (images.float().mean(1, keepdim=True) * (self.levels - 1) / 255).round().long()
        rising = self.levels ** torch.arange(4, device=images.device)
        return (F.pixel_unshuffle(grey, 2) * rising[:, None, None]).sum(1).flatten(1)

    def decode(self, tokens: Tensor) -> Tensor:
        rising = self.levels ** torch.arange(4, device=tokens.device)
        grey = tokens[:, None] // rising[:, None] % self.levels
        return F.pixel_shuffle(grey.unflatten(2, self.grid).float() * (2 / (self.levels - 1)) - 1, 2)


class VQTokens(nn.Module):
    """The codes of a frozen ``VQModel``."""

    def __init__(self, model: Any, side: int) -> None:
        super().__init__()
        self.model = model.requires_grad_(False).eval()
        small = side // 2 ** (len(model.config.block_out_channels) - 1)
        self.count, self.grid = int(model.config.num_vq_embeddings), (small, small)

    def train(self, mode: bool = True) -> VQTokens:
        """It stays as it is."""
        return super().train(False)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        found = self.model.encode(as_signal(images)).latents
        return self.model.quantize(found)[2][2].view(len(images), -1)

    @torch.no_grad()
    def decode(self, tokens: Tensor) -> Tensor:
        shape = (len(tokens), *self.grid, self.model.quantize.vq_embed_dim)
        codes = self.model.quantize.get_codebook_entry(tokens.flatten(), shape=shape)
        return self.model.decode(codes, force_not_quantize=True).sample.clamp(-1, 1)


def open_tokens(tokens: str | Path | PictureTokens, side: int) -> Any:
    """Tokens by name or as an object.

    Args:
        tokens: ``grey:<levels>``; ``patches:<levels>``; a folder of diffusers with a ``VQModel``, or ``hf:<model>``; a
            :class:`PictureTokens`.
        side: of the pictures in pixels.

    Raises:
        ValueError: no such tokens. ImportError: diffusers is not installed.
    """
    if isinstance(tokens, PictureTokens):
        return tokens
    name = str(tokens)
    if name.startswith("grey:") and name[5:].isdigit():
        return GreyTokens(int(name[5:]), side)
    if name.startswith("patches:") and name[8:].isdigit():
        return PatchTokens(int(name[8:]), side)
    hub = name.startswith("hf:")
    if not hub and not (Path(name).expanduser() / "config.json").is_file():
        raise ValueError(
            f"there are no tokens {name!r}; accepted are grey:<levels>, patches:<levels>, a folder "
            "with a VQModel, hf:<model>"
        )
    diffusers = needed("diffusers", "diffusion", "the codes of a VQ model")
    place = name.removeprefix("hf:") if hub else Path(name).expanduser()
    return VQTokens(diffusers.VQModel.from_pretrained(place, use_safetensors=True, low_cpu_mem_usage=False), side)
