"""What methods share that learn from pictures with patches left out: the encoder's side, the mask and the decoder."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from nearfar.common.share import agreed_most, for_examples
from nearfar.encoders import ImageEncoder, Transformer, VisionTransformer, sine_positions
from nearfar.parts import Masking, fill, masking_of, patchify, take
from nearfar.training import Optimization
from nearfar.vision.method import ImageBatch, ImageMethod
from nearfar.vision.views import Recipe


class MaskedViews(NamedTuple):
    """One view of each image and which of its L patches are seen.

    ``images`` (N, 3, H, W) in [0, 1]; ``kept`` (N, K) positions of the seen patches; ``hidden`` (N, L) bool.
    """

    images: Tensor
    kept: Tensor
    hidden: Tensor


class MaskedImageMethod(ImageMethod):
    """A method that shows the encoder some patches of one view of each image.

    Args:
        encoder: a vision transformer that can leave patches out, by name (``vit-...``) or as a module.
        recipe: of the view.
        optimization: how the parameters move.

    Raises:
        ValueError: an encoder that cannot leave patches out.
    """

    def __init__(self, encoder: str | nn.Module, recipe: Recipe, optimization: Optimization) -> None:
        super().__init__(encoder, (recipe, recipe), optimization)
        self.recipes = (recipe,)
        if not isinstance(self.encoder.backbone, VisionTransformer):
            raise ValueError(
                f"{type(self).__name__} leaves patches out before its encoder, which "
                f"{type(self.encoder.backbone).__name__} cannot: give vit-mini, vit-ti16, vit-s16, vit-b16, vit-l16 or "
                "a nearfar.encoders.VisionTransformer"
            )

    @property
    def transformer(self) -> VisionTransformer:
        """The encoder behind its door, which takes patches."""
        backbone = self.encoder.backbone
        assert isinstance(backbone, VisionTransformer)
        return backbone

    def grid(self, images: Tensor) -> tuple[int, int]:
        """Rows and columns of patches of the images."""
        height, width = images.shape[-2:]
        return height // self.transformer.patch, width // self.transformer.patch

    def views(self, batch: ImageBatch) -> MaskedViews:
        (images,) = super().views(batch)
        return MaskedViews(images, *self.mask(len(images), self.grid(images)))

    def mask(self, count: int, grid: tuple[int, int]) -> Masking:
        """Which patches of ``count`` images are seen, drawn from the step's generator."""
        raise NotImplementedError(f"{type(self).__name__} does not define mask(count, grid)")

    def seen(self, images: Tensor, kept: Tensor) -> Tensor:
        """Tokens (N, 1 + K, C) of the patches at ``kept``, the class token first."""
        patches = self.transformer.patches(self.standardized(images))
        return self.transformer.encode(take(patches, kept))

    def pixels(self, images: Tensor) -> Tensor:
        """Patches (N, L, patch * patch * 3) of the images as the encoder gets them, centred and scaled by colour."""
        return patchify(self.standardized(images), self.transformer.patch)

    def standardized(self, images: Tensor) -> Tensor:
        """Pixels as the transformer gets them."""
        assert isinstance(self.encoder, ImageEncoder)
        return self.encoder.standardized(images)


class PatchDecoder(nn.Module):
    """From the tokens of some patches to something about every patch: MAE's decoder.

    Tokens are narrowed, a learned token is put where patches were left out, positions are added to all but the class
    token, and a transformer follows.

    Args:
        in_features: width of the encoder's tokens.
        out_features: values that are said of each patch; ``None`` for the normalised tokens themselves.
        width, depth, heads: of the transformer.

    Shape: ``(N, 1 + K, in_features), (N, K), (rows, columns) -> (N, rows * columns, out_features)``.
    """

    def __init__(self, in_features: int, out_features: int | None, *, width: int, depth: int, heads: int) -> None:
        super().__init__()
        if width % 4:
            raise ValueError(f"the decoder's width must be divisible by 4 (sines of row and column), got {width}")
        self.embed = linear(in_features, width)
        self.mask_token = nn.Parameter(torch.empty(width))
        nn.init.normal_(self.mask_token, std=0.02)
        self.blocks = Transformer(width, depth, heads)
        self.predict: nn.Module = nn.Identity() if out_features is None else linear(width, out_features)

    def forward(self, tokens: Tensor, kept: Tensor, grid: tuple[int, int]) -> Tensor:
        tokens = self.embed(tokens)
        length = grid[0] * grid[1]
        patches = fill(tokens[:, 1:], kept, length, self.mask_token)
        patches = patches + sine_positions(*grid, patches.shape[2]).to(patches)
        return self.predict(self.blocks(torch.cat([tokens[:, :1], patches], 1))[:, 1:])


def block_masking(
    count: int,
    grid: tuple[int, int],
    generator: torch.Generator,
    *,
    blocks: int = 4,
    area: tuple[float, float] = (0.15, 0.2),
    ratio: tuple[float, float] = (0.75, 1.5),
) -> Masking:
    """Rectangles of patches hidden, as I-JEPA and IWM do: their union is hidden, each lies anywhere in its image.

    All rectangles of a batch have one size, drawn uniformly in area and ratio. So that every image shows equally many
    patches, as many as the least of them, some more are hidden at random; one always is seen.

    Args:
        count: images.
        grid: rows and columns of patches.
        generator: decides, on its device.
        blocks: rectangles in each image, at least 1.
        area: least and greatest share of the patches that a rectangle covers.
        ratio: least and greatest height over width.

    Raises:
        ValueError: rectangles that could cover everything, or ranges that are reversed or not positive.
    """
    rows, columns = grid
    if blocks < 1 or not 0 < area[0] <= area[1] or not 0 < ratio[0] <= ratio[1] or blocks * area[1] >= 1:
        raise ValueError(
            f"a mask needs at least one block, rising positive ranges and blocks that leave something to see, got "
            f"{blocks} blocks of {area[0]} to {area[1]} of the patches"
        )
    device, length = generator.device, rows * columns
    share, shape = torch.rand(2, generator=generator, device=device).tolist()
    share = area[0] + share * (area[1] - area[0])
    shape = ratio[0] + shape * (ratio[1] - ratio[0])
    height = min(max(round((share * length * shape) ** 0.5), 1), rows)
    width = min(max(round((share * length / shape) ** 0.5), 1), columns)
    corner = for_examples(lambda n: torch.rand(2, n, blocks, 1, generator=generator, device=device), count, dim=1)
    top, left = (corner[0] * (rows - height + 1)).long(), (corner[1] * (columns - width + 1)).long()
    row, column = torch.arange(rows, device=device), torch.arange(columns, device=device)
    inside_rows, inside_columns = (row >= top) & (row < top + height), (column >= left) & (column < left + width)
    covered = (inside_rows[..., None] & inside_columns[:, :, None]).any(1).flatten(1)
    seen = length - agreed_most(min(int(covered.sum(1).max()), length - 1), device)
    keys = for_examples(lambda n: torch.rand(n, length, generator=generator, device=device), count) - covered.float()
    return masking_of(keys.topk(seen, dim=1).indices, length)


def linear(in_features: int, out_features: int) -> nn.Linear:
    """A linear layer that starts as those of vision transformers do: Xavier's uniform weights, no bias."""
    layer = nn.Linear(in_features, out_features)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
