"""MAE: masked autoencoders."""

from __future__ import annotations

from torch import Tensor, nn

from nearfar.losses import masked_reconstruction
from nearfar.parts import Masking, random_masking
from nearfar.training import Optimization
from nearfar.vision.masked import MaskedImageMethod, MaskedViews, PatchDecoder
from nearfar.vision.views import Recipe


class MAE(MaskedImageMethod):
    """He et al., 2021, arXiv 2111.06377 (Masked autoencoders are scalable vision learners).

    Three quarters of an image's patches are left out; the encoder sees the others alone, which makes it cheap, and a
    small decoder, thrown away later, draws the missing ones. No second view, no negatives. What comes out is meant to
    be fine-tuned: its classes are less linear than those of contrastive methods, which are the better choice when
    the encoder stays frozen.

    The representation is the class token. The released fine-tuning takes the mean of the patches instead:
    ``method.encoder.maps(images)[:, 1:].mean(1)``.

    Args:
        encoder: a vision transformer that can leave patches out, by name (``vit-...``) or as a module.
        mask_ratio: share of the patches that is hidden; ``int(L (1 - mask_ratio))`` of L are seen, as in the released
            code.
        decoder_width: width of the decoder, divisible by 4 and by its heads.
        decoder_depth: blocks of the decoder; 1 is nearly as good for fine-tuning and much cheaper.
        decoder_heads: attention heads of the decoder.
        normalise: predict each patch's pixels with mean 0 and variance 1, which makes the better representation;
            without, plain pixels, which make pictures that can be looked at.
        crop_min: least share of the image's area that the random crop keeps.
        flip: probability of mirroring left to right; 0 where sides have a meaning.
        optimization: AdamW with linear scaling and 40 of 800 epochs of warm-up.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "vit-b16",
        *,
        mask_ratio: float = 0.75,
        decoder_width: int = 512,
        decoder_depth: int = 8,
        decoder_heads: int = 16,
        normalise: bool = True,
        crop_min: float = 0.2,
        flip: float = 0.5,
        optimization: Optimization = Optimization(lr=1.5e-4, lr_batch=256, weight_decay=0.05, beta2=0.95, warmup=0.05),
    ) -> None:
        super().__init__(encoder, Recipe(scale=(crop_min, 1.0), flip=flip), optimization)
        values = 3 * self.transformer.patch**2
        self.decoder = PatchDecoder(
            self.features, values, width=decoder_width, depth=decoder_depth, heads=decoder_heads
        )
        self.mask_ratio, self.normalise = mask_ratio, normalise

    def mask(self, count: int, grid: tuple[int, int]) -> Masking:
        return random_masking(count, grid[0] * grid[1], self.mask_ratio, self.generator)

    def reconstruct(self, views: MaskedViews) -> Tensor:
        """What is said of the pixels of every patch, (N, L, patch * patch * 3)."""
        return self.decoder(self.seen(views.images, views.kept), views.kept, self.grid(views.images))

    def loss(self, views: MaskedViews) -> Tensor:
        target = self.pixels(views.images)
        return masked_reconstruction(self.reconstruct(views), target, views.hidden, normalise=self.normalise)
