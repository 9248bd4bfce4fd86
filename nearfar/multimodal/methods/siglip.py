"""SigLIP: sigmoid loss for language-image pre-training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nearfar.encoders.text import Pooling
from nearfar.losses import sigmoid_pair_loss
from nearfar.multimodal.method import PairEncoder
from nearfar.multimodal.methods.clip import CLIP
from nearfar.multimodal.pretrained import PretrainedPair
from nearfar.training import Optimization


class SigLIP(CLIP):
    """Zhai et al., 2023, arXiv 2303.15343; open_clip's ``SigLipLoss``.

    Every pair of an image and a caption is a decision of its own: does it match? There is no softmax over the batch, so
    small batches lose less than with CLIP, and nothing is clamped. The loss is divided by the number of images, not of
    pairs. Scores of pairs are ``scale * cosine + bias``: the bias is no part of a similarity and moves no rank.

    Args:
        image_encoder: image tower, by name or as a module.
        text_encoder: text tower, by name or as a ``TextEncoder``.
        projection_dim: width of the shared space.
        temperature: at the start; it is learned.
        bias: at the start; it is learned. With 0 the many pairs that do not match wreck the first steps.
        pooling: how the text tower's token states become one vector.
        max_length: tokens kept per caption.
        crop_scale: smallest share of the image's area that the random square crop keeps, in (0, 1].
        optimization: AdamW with the paper's settings for large batches.
        encoder: both towers, their temperature and bias in place of those above; see :class:`CLIP`.
    """

    def __init__(
        self,
        image_encoder: str | nn.Module = "resnet50",
        text_encoder: str | nn.Module = "small-bert",
        *,
        projection_dim: int = 512,
        temperature: float = 0.1,
        bias: float = -10.0,
        pooling: Pooling = "avg",
        max_length: int = 64,
        crop_scale: float = 0.9,
        optimization: Optimization = Optimization("adamw", lr=1e-3, weight_decay=1e-4, beta2=0.95, warmup=0.05),
        encoder: str | PairEncoder | None = None,
    ) -> None:
        super().__init__(
            image_encoder,
            text_encoder,
            projection_dim=projection_dim,
            pooling=pooling,
            max_length=max_length,
            crop_scale=crop_scale,
            optimization=optimization,
            encoder=encoder,
        )
        own = self.encoder.bias if isinstance(self.encoder, PretrainedPair) else None
        self.bias = nn.Parameter(torch.tensor(bias)) if own is None else own

    def loss(self, views: tuple[Tensor, list[str]]) -> Tensor:
        a, b = self.embedded(views)
        return sigmoid_pair_loss(a, b, temperature=self.scale.temperature.reshape(()), bias=self.bias.reshape(()))

    def after_step(self) -> None:
        """Nothing is clamped."""
