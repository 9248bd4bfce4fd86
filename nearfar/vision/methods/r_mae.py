"""R-MAE: regions meet masked autoencoders."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from nearfar.losses import masked_reconstruction, masked_regions
from nearfar.parts import patchify
from nearfar.training import Optimization
from nearfar.vision.masked import PatchDecoder
from nearfar.vision.method import ImageBatch, different_pictures
from nearfar.vision.methods.mae import MAE
from nearfar.vision.region_queries import RegionDecoder, RegionEncoder
from nearfar.vision.regions import check_segments, crop_labels, draw_regions, felzenszwalb, regions_of
from nearfar.vision.views import apply


class RegionViews(NamedTuple):
    """One view of each image, which of its L patches are seen, and its regions.

    ``images``, ``kept``, ``hidden``: see :class:`nearfar.vision.masked.MaskedViews`. ``segments`` (N, L, P): numbers of
    the segments of the P pixels of each patch. ``chosen`` (N, K): the segments that are regions; -1 is an empty one.
    """

    images: Tensor
    kept: Tensor
    hidden: Tensor
    segments: Tensor
    chosen: Tensor


class RMAE(MAE):
    """Nguyen et al., 2024, arXiv 2306.05411 (R-MAE: regions meet masked autoencoders).

    Beside MAE's pixels, the encoder's tokens must tell where regions go on in the hidden patches: of each region, a
    segment of even colour found without labels, the part in the seen patches is made a query, and a decoder answers it
    with the whole region's map. Image and regions share the mask. It is for encoders that will locate things
    (detection, segmentation); for classes of whole images MAE is enough.

    Regions are segmented on the processor at every step, from the image before its crop.

    Args:
        encoder, mask_ratio, decoder_width, decoder_depth, decoder_heads, normalise, crop_min, flip: as in
            :class:`MAE`.
        regions: regions of each image, at least 1; 0 only in the released base configuration, which every experiment
            overrides.
        region_dim: width of the region encoder and decoder, divisible by 4 and by ``region_heads``.
        region_depth: blocks of the transformer that prepares the image's tokens for the regions.
        region_heads: attention heads of the region encoder and decoder.
        region_weight: of the regions' loss against the pixels', at least 0.
        background: weight of a pixel outside of a region, at least 0.
        visible_only: take only regions of which a seen patch shows something (the released ``random_fg``).
        least_patches: leave out segments that touch fewer patches (the released ``filter_small_patches`` is 2).
        scale, sigma, min_size: of the segments, see :func:`nearfar.vision.regions.felzenszwalb`; the defaults are for
            photographs of a few hundred pixels a side.
        optimization: AdamW with linear scaling and a twelfth of the run as warm-up.
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
        regions: int = 8,
        region_dim: int = 128,
        region_depth: int = 8,
        region_heads: int = 8,
        region_weight: float = 1.0,
        background: float = 1.0,
        visible_only: bool = False,
        least_patches: int = 1,
        scale: float = 1000.0,
        sigma: float = 0.8,
        min_size: int = 1000,
        optimization: Optimization = Optimization(
            lr=1.5e-4, lr_batch=256, weight_decay=0.05, beta2=0.95, warmup=1 / 12
        ),
    ) -> None:
        super().__init__(
            encoder,
            mask_ratio=mask_ratio,
            decoder_width=decoder_width,
            decoder_depth=decoder_depth,
            decoder_heads=decoder_heads,
            normalise=normalise,
            crop_min=crop_min,
            flip=flip,
            optimization=optimization,
        )
        if regions < 1 or region_weight < 0:
            raise ValueError(
                f"regions must be at least 1 and region_weight at least 0, got {regions} and {region_weight}"
            )
        check_segments(scale, sigma, min_size)
        pixels = self.transformer.patch**2
        self.region_encoder = RegionEncoder(pixels, region_dim, region_heads)
        self.memory = PatchDecoder(self.features, None, width=region_dim, depth=region_depth, heads=region_heads)
        self.region_decoder = RegionDecoder(pixels, region_dim, region_heads)
        self.count, self.region_weight, self.background = regions, region_weight, background
        self.visible_only, self.least_patches = visible_only, least_patches
        self.scale, self.sigma, self.min_size = scale, sigma, min_size

    def views(self, batch: ImageBatch) -> RegionViews:  # type: ignore[override]
        (images,) = different_pictures(batch.images, 1, self.generator)
        found = felzenszwalb(images, scale=self.scale, sigma=self.sigma, min_size=self.min_size)
        tall, wide = images.shape[2:] if batch.sizes is None else batch.sizes.unbind(1)
        size = self.recipes[0].with_(size=self.recipes[0].size or batch.side).output_size(*images.shape[2:])
        draws = self.recipes[0].draw(len(images), tall, wide, self.generator)
        view = apply(images, draws, size)
        segments = patchify(crop_labels(found, draws, *size)[:, None], self.transformer.patch)
        kept, hidden = self.mask(len(images), self.grid(view))
        chosen = draw_regions(
            segments,
            self.count,
            self.generator,
            least_patches=self.least_patches,
            hidden=hidden if self.visible_only else None,
        )
        return RegionViews(view, kept, hidden, segments, chosen)

    def predict(self, views: RegionViews) -> tuple[Tensor, Tensor]:
        """What is said of every patch: its pixels (N, L, values), and logits (N, K, L, P) of the regions' maps."""
        grid = self.grid(views.images)
        tokens = self.seen(views.images, views.kept)
        query = self.region_encoder(regions_of(views.segments, views.chosen), views.kept, grid)
        logits = self.region_decoder(query, self.memory(tokens, views.kept, grid))
        return self.decoder(tokens, views.kept, grid), logits

    def loss(self, views: RegionViews) -> dict[str, Tensor]:  # type: ignore[override]
        said, logits = self.predict(views)
        regions = regions_of(views.segments, views.chosen)
        return {
            "pixels": masked_reconstruction(said, self.pixels(views.images), views.hidden, normalise=self.normalise),
            "regions": self.region_weight * masked_regions(logits, regions, views.hidden, background=self.background),
        }
