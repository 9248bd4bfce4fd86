"""What every layer of a vision transformer attends to and says."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nearfar.encoders.image import ImageEncoder
from nearfar.encoders.vit import Trace


def trace(encoder: nn.Module, images: Tensor) -> Trace:
    """Attention and tokens of every layer for some images, without gradients.

    Args:
        encoder: an image encoder, see :func:`nearfar.encoders.image_encoder`, whose backbone is a
            :class:`~nearfar.encoders.vit.VisionTransformer` or a transformer from the ``transformers`` library with
            the class token in front (``hf:...``; ViT, DeiT, DINO, CLIP's images and others).
        images: (N, 3, H, W), uint8 or in [0, 1].

    Raises:
        TypeError: a network without attention, such as a ResNet.
    """
    backbone = encoder.backbone if isinstance(encoder, ImageEncoder) else encoder
    pixels = encoder.standardized(images) if isinstance(encoder, ImageEncoder) else images
    with torch.no_grad():
        if callable(getattr(backbone, "trace", None)):
            return backbone.trace(pixels)  # type: ignore[operator]
        if hasattr(backbone, "config") and hasattr(backbone, "set_attn_implementation"):
            return _of_transformers(backbone, pixels)
    raise TypeError(
        f"{type(backbone).__name__} has no attention that can be read; give a vision transformer: vit-mini, vit-ti16, "
        "vit-s16, vit-b16, vit-l16 or hf:<model>"
    )


def _of_transformers(backbone: Any, pixels: Tensor) -> Trace:
    before = backbone.config._attn_implementation
    try:
        backbone.set_attn_implementation("eager")  # the fused kernels give no weights
        found = backbone(pixels, output_attentions=True, output_hidden_states=True)
    finally:
        backbone.set_attn_implementation(before)
    attentions = [each for each in found.attentions or () if each is not None]
    if not attentions or attentions[0].ndim != 4 or found.hidden_states[-1].ndim != 3:
        raise TypeError(
            f"{type(backbone).__name__} gives no attention between all of its tokens; give a plain vision transformer, "
            "such as hf:google/vit-base-patch16-224"
        )
    return Trace(attentions, list(found.hidden_states[1:]))
