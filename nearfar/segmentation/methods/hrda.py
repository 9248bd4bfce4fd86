"""HRDA: context at low resolution, details at high resolution."""

from __future__ import annotations

from torch import Tensor, nn

from nearfar.segmentation.geometry import Crop
from nearfar.segmentation.heads import DAFormerHead, Decoder
from nearfar.segmentation.method import cross_entropy
from nearfar.segmentation.methods.daformer import DAFormer
from nearfar.segmentation.resolutions import TwoResolutions, halve, random_box
from nearfar.training import Optimization


class HRDA(DAFormer):
    r"""Context-aware high-resolution adaptation (Hoyer, Dai and Van Gool, 2022, arXiv 2204.13132).

    :class:`~nearfar.segmentation.methods.daformer.DAFormer` on large windows: all of the window at half its size for
    context, a random part of it at full size for detail, joined by a learned attention over scales
    (:class:`~nearfar.segmentation.resolutions.TwoResolutions`). It learns
    :math:`(1 - \lambda) CE(fused, y) + \lambda\, CE(detail, y_{detail})`. In inference overlapping detail windows
    cover the picture. One detail window is drawn for the whole batch, as in the released code.

    Args:
        encoder: segmentation backbone, by name or as a module.
        num_classes: number of classes; taken from the data when not given.
        decoder: ``daformer``, ``segformer`` or ``daformer-conv``; one for both resolutions.
        decoder_width: width of the decoder and of the attention.
        head_lr: the learning rate of decoder and attention as a multiple of the backbone's.
        crop: which part of source and target is trained on, at full resolution.
        detail: (height, width) of the detail window, half of the crop when not given; divisible by 8.
        detail_weight: weight of the detail's own loss, in [0, 1].
        momentum: largest momentum of the teacher.
        threshold: probability from which a pixel of the target counts as sure.
        ignore_top: untrusted rows at the top of targets (30 for Cityscapes).
        ignore_bottom: untrusted rows at the bottom (240).
        ignore_sides: untrusted columns on either side (30).
        rare_class_temperature: see :class:`~nearfar.segmentation.methods.daformer.DAFormer`.
        rare_class_pixels: see there.
        rare_crop_ratio: see there.
        feature_distance: see there; taken on the context.
        things: see there.
        reference: see there.
        optimization: how the parameters move.
    """

    encoder: TwoResolutions  # type: ignore[assignment]

    def __init__(
        self,
        encoder: str | nn.Module = "segformer-b5",
        num_classes: int | None = None,
        *,
        decoder: Decoder = "daformer",
        decoder_width: int = 256,
        head_lr: float = 10.0,
        crop: Crop = Crop(size=(1024, 1024)),
        detail: tuple[int, int] | None = None,
        detail_weight: float = 0.1,
        momentum: float = 0.999,
        threshold: float = 0.968,
        ignore_top: int = 0,
        ignore_bottom: int = 0,
        ignore_sides: int = 0,
        rare_class_temperature: float | None = 0.01,
        rare_class_pixels: int = 3000,
        rare_crop_ratio: float = 2.0,
        feature_distance: float = 0.005,
        things: tuple[int, ...] | None = None,
        reference: str | nn.Module | None = None,
        optimization: Optimization = Optimization(
            "adamw", lr=6e-5, weight_decay=0.01, warmup=0.0375, schedule="linear"
        ),
    ) -> None:
        if not 0 <= detail_weight <= 1:
            raise ValueError(f"detail_weight must be in [0, 1], got {detail_weight}")
        super().__init__(
            encoder,
            num_classes,
            decoder=decoder,
            decoder_width=decoder_width,
            head_lr=head_lr,
            crop=crop,
            momentum=momentum,
            threshold=threshold,
            ignore_top=ignore_top,
            ignore_bottom=ignore_bottom,
            ignore_sides=ignore_sides,
            rare_class_temperature=rare_class_temperature,
            rare_class_pixels=rare_class_pixels,
            rare_crop_ratio=rare_crop_ratio,
            feature_distance=feature_distance,
            things=things,
            reference=reference,
            optimization=optimization,
        )
        backbone = self.encoder.backbone
        attention = DAFormerHead(backbone.widths, self.num_classes, width=decoder_width, dilations=())
        self.encoder = TwoResolutions(backbone, self.encoder.head, attention, detail, crop.size)
        self.detail_weight = detail_weight
        self.start_teacher()

    def supervised(self, images: Tensor, labels: Tensor, weight: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        height, width = images.shape[2:]
        box = random_box(height, width, self.encoder.detail or (height // 2, width // 2), self.generator)
        fused, detail, maps = self.encoder.with_detail(images, box)
        whole = cross_entropy(fused, labels, weight)
        part = cross_entropy(detail, box.cut(labels), None if weight is None else box.cut(weight))
        return (1 - self.detail_weight) * whole + self.detail_weight * part, maps

    def reference_images(self, images: Tensor) -> Tensor:
        return halve(images)
