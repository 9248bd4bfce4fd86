"""SparK: masked pre-training of convolutional networks."""

from __future__ import annotations

from torch import Tensor, nn

from nearfar.encoders import ImageEncoder
from nearfar.losses import masked_reconstruction
from nearfar.parts import Densify, UNetDecoder, feature_levels, patchify, random_masking_of
from nearfar.parts.sparse_conv import Seen, sparse_maps
from nearfar.training import Optimization
from nearfar.vision.method import ImageMethod
from nearfar.vision.views import Recipe


class SparK(ImageMethod):
    """Tian et al., 2023, arXiv 2301.03580 (Designing BERT for convolutional networks).

    Cells of a picture, as large as the encoder's coarsest stride, are hidden; the encoder works on the others as a
    sparse convolution would, a UNet decoder fills the holes from its maps at four resolutions, and the pixels of
    hidden cells are compared, each cell normalised by itself. Nothing is contrasted, so batches may be small and
    no view has to be invented: Wolf et al., 2023 (arXiv 2308.06534) found it to keep most where medical pictures and
    labels are few. For a vision transformer use MAE; where classes matter more than texture and labels are
    few-shot *without* fine-tuning, a contrastive method's frozen features are the better ones.

    The encoder is any that gives maps (``small-conv``, ``resnet18`` ...) and is kept dense: same weights, same names.
    A picture must be whole cells: 224 is 7x7 cells of a ResNet-50's 32 pixels, 32 is 4x4 of a CIFAR ResNet's 8, and
    16 of ``small-conv``. A CIFAR ResNet's map at the full resolution has no place in the decoder and is not used.

    The released code optimises with LAMB, raises the weight decay from 0.04 to 0.2 along a cosine and clips
    gradients at 5; here AdamW with its rate, momenta and first decay.

    Args:
        encoder: image encoder, by name or as a module; its backbone must give maps.
        decoder_width: channels of the decoder at the coarsest map, halved at each finer one.
        mask_ratio: share of cells that are hidden, in (0, 1), rounded to whole cells.
        scale: range of the crop's area as a share of the picture's.
        flip: chance of a mirror image.
        size: side of the crops in pixels, divisible by the encoder's stride; the pictures' own when not given.
        optimization: AdamW with linear scaling.
    """

    can_collapse = False
    encoder: ImageEncoder

    def __init__(
        self,
        encoder: str | nn.Module = "resnet50",
        *,
        decoder_width: int = 768,
        mask_ratio: float = 0.6,
        scale: tuple[float, float] = (0.67, 1.0),
        flip: float = 0.5,
        size: int | None = None,
        optimization: Optimization = Optimization(
            "adamw", lr=2e-4, lr_batch=256, weight_decay=0.04, beta2=0.95, warmup=0.025
        ),
    ) -> None:
        crop = Recipe(size=size, scale=scale, flip=flip)
        super().__init__(encoder, (crop, crop), optimization)
        self.recipes = (crop,)
        if not 0 < mask_ratio < 1:
            raise ValueError(f"mask_ratio must be in (0, 1), got {mask_ratio}")
        self.levels = feature_levels(self.encoder.backbone)
        self.patch, self.mask_ratio = self.levels[0].stride, mask_ratio
        self.decoder = UNetDecoder(self.patch, decoder_width)
        self.densify = nn.ModuleList(
            Densify(level.width, width, kernel=3 if index else 1)
            for index, (level, width) in enumerate(zip(self.levels, self.decoder.widths, strict=False))
        )

    def loss(self, views: tuple[Tensor]) -> Tensor:
        pixels = self.encoder.standardized(views[0])
        hidden = self.hidden(pixels)
        prediction = self.decoder(self.maps(pixels, hidden))
        return masked_reconstruction(patchify(prediction, self.patch), patchify(pixels, self.patch), hidden)

    def hidden(self, pixels: Tensor) -> Tensor:
        """A random mask (N, L), true for hidden cells; ``round(L (1 - mask_ratio))`` are seen."""
        count, length = patchify(pixels, self.patch).shape[:2]
        seen = round(length * (1 - self.mask_ratio))
        if not 0 < seen < length:
            height, width = pixels.shape[-2:]
            raise ValueError(
                f"pictures of {height}x{width} pixels are {length} cells of {self.patch}, of which a mask_ratio of "
                f"{self.mask_ratio} shows {seen}: give larger pictures (size) or an encoder of smaller stride"
            )
        return random_masking_of(count, length, seen, self.generator).hidden.to(pixels.device)

    def maps(self, pixels: Tensor, hidden: Tensor) -> list[Tensor]:
        """What the decoder takes: the encoder's maps of the seen cells, densified, coarsest first."""
        seen = Seen(~hidden.view(len(hidden), pixels.shape[2] // self.patch, -1))
        found = sparse_maps(self.encoder.backbone, self.levels, pixels, seen)
        return [densify(level, seen) for densify, level in zip(self.densify, found, strict=True)]
