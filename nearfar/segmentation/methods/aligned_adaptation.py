"""Aligned appearances inside domain adaptation."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from nearfar.segmentation.alignment import Metric, StopGradient, alignment
from nearfar.segmentation.geometry import Crop
from nearfar.segmentation.methods.dacs import MixedViews
from nearfar.segmentation.methods.daformer import DAFormer
from nearfar.training import Optimization


class AlignedAdaptation(DAFormer):
    r"""The CARLA-4AGT method for domain adaptation (arXiv 2412.16592).

    Two appearances of a source scene are mixed with the same target by the same mask, under the same strong
    augmentation, so that the two mixtures differ in the source's appearance alone. Beside the losses of the base,
    averaged over the two, the backbone's features must agree on the two source images and on the two mixtures:
    :math:`\lambda_A \sum_l D(f_l(x^a), f_l(x^b)) + \lambda_M \sum_l D(f_l(x_m^a), f_l(x_m^b))`. No code was
    released: both weights and the averages are choices. With both weights 0 it is its base on two appearances.

    Args:
        encoder: segmentation backbone, by name or as a module.
        num_classes: number of classes; taken from the data when not given.
        base: ``daformer``, or ``dacs`` for SegFormer's decoder, uniform sampling and no feature distance.
        decoder_width: width of the decoder.
        head_lr: the decoder's learning rate as a multiple of the backbone's.
        crop: which part of source and target is trained on.
        momentum: largest momentum of the teacher.
        threshold: probability from which a pixel of the target counts as sure.
        ignore_top: untrusted rows at the top of targets.
        ignore_bottom: untrusted rows at the bottom of targets.
        ignore_sides: untrusted columns on either side of targets.
        rare_class_temperature: see :class:`~nearfar.segmentation.methods.daformer.DAFormer`.
        rare_class_pixels: see there.
        rare_crop_ratio: see there.
        feature_distance: see there.
        things: see there.
        alignment: weight of the agreement of source images, at least 0.
        mixed_alignment: weight of the agreement of mixtures, at least 0.
        metric: how features are compared: ``cosine`` (the paper's best), ``l2`` or ``mmd``.
        layers: which depths are aligned, 0 being the finest.
        stop_gradient: hold neither appearance, the first or the second.
        optimization: how the parameters move.
    """

    appearances = 2

    def __init__(
        self,
        encoder: str | nn.Module = "segformer-b5",
        num_classes: int | None = None,
        *,
        base: Literal["dacs", "daformer"] = "daformer",
        decoder_width: int = 256,
        head_lr: float = 10.0,
        crop: Crop = Crop(size=(512, 512)),
        momentum: float = 0.999,
        threshold: float = 0.968,
        ignore_top: int = 0,
        ignore_bottom: int = 0,
        ignore_sides: int = 0,
        rare_class_temperature: float | None = 0.01,
        rare_class_pixels: int = 3000,
        rare_crop_ratio: float = 0.5,
        feature_distance: float = 0.005,
        things: tuple[int, ...] | None = None,
        alignment: float = 1.0,
        mixed_alignment: float = 1.0,
        metric: Metric = "cosine",
        layers: tuple[int, ...] = (0, 1, 2, 3),
        stop_gradient: StopGradient = "none",
        optimization: Optimization = Optimization(
            "adamw", lr=6e-5, weight_decay=0.01, warmup=0.0375, schedule="linear"
        ),
    ) -> None:
        if base not in ("dacs", "daformer"):
            raise ValueError(f"base must be 'dacs' or 'daformer', got {base!r}")
        full = base == "daformer"
        super().__init__(
            encoder,
            num_classes,
            decoder="daformer" if full else "segformer",
            decoder_width=decoder_width,
            head_lr=head_lr,
            crop=crop,
            momentum=momentum,
            threshold=threshold,
            ignore_top=ignore_top,
            ignore_bottom=ignore_bottom,
            ignore_sides=ignore_sides,
            rare_class_temperature=rare_class_temperature if full else None,
            rare_class_pixels=rare_class_pixels,
            rare_crop_ratio=rare_crop_ratio,
            feature_distance=feature_distance if full else 0.0,
            things=things,
            optimization=optimization,
        )
        self.weights = {"alignment": alignment, "mixed alignment": mixed_alignment}
        self.metric, self.layers, self.stop_gradient = metric, tuple(layers), stop_gradient

    def terms(self, views: MixedViews) -> tuple[dict[str, Tensor], list[Tensor], list[Tensor]]:
        terms, maps, mixed_maps = super().terms(views)
        for (name, weight), found in zip(self.weights.items(), (maps, mixed_maps), strict=True):
            if weight > 0:
                terms[name] = weight * alignment(
                    found, self.layers, self.metric, self.stop_gradient, generator=self.generator
                )
        return terms, maps, mixed_maps
