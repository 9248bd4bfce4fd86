"""CLIP: contrastive language-image pre-training."""

from __future__ import annotations

from torch import Tensor, nn

from nearfar.encoders.text import Pooling
from nearfar.losses import symmetric_info_nce
from nearfar.multimodal.method import DualEncoder, PairEncoder
from nearfar.multimodal.pair_method import PairMethod
from nearfar.multimodal.pretrained import PretrainedPair, pair_encoder
from nearfar.parts import LogitScale
from nearfar.training import Optimization


class CLIP(PairMethod):
    """Radford et al., 2021, arXiv 2103.00020.

    The matching caption must be the most similar of all captions of the batch, and the matching image of all
    images: the mean of both cross-entropies under a learnable temperature. Class names written as sentences then
    give a classifier without labels. Equal captions within a batch are counted as negatives of each other.

    Args:
        image_encoder: image tower, by name or as a module.
        text_encoder: text tower, by name or as a ``TextEncoder``.
        projection_dim: width of the shared space.
        temperature: temperature at the start; it is learned, and kept at 0.01 or above.
        pooling: how the text tower's token states become one vector; the paper's end-of-text token is
            ``last_token``.
        max_length: tokens kept per caption.
        crop_scale: smallest share of the image's area that the random square crop keeps, in (0, 1].
        optimization: AdamW with the paper's settings for vision transformers.
        encoder: both towers with their projections and temperature, in place of the arguments above: ``hf:<model>`` for
            a CLIP or SigLIP of transformers, ``open-clip:<folder>`` for one of open_clip; see
            :func:`nearfar.multimodal.pretrained.pair_encoder`. Fine-tuning takes a rate of about 1e-5.
    """

    encoder: PairEncoder

    def __init__(
        self,
        image_encoder: str | nn.Module = "resnet50",
        text_encoder: str | nn.Module = "small-bert",
        *,
        projection_dim: int = 512,
        temperature: float = 0.07,
        pooling: Pooling = "avg",
        max_length: int = 76,
        crop_scale: float = 0.9,
        optimization: Optimization = Optimization("adamw", lr=5e-4, weight_decay=0.2, beta2=0.98, warmup=0.05),
        encoder: str | PairEncoder | None = None,
    ) -> None:
        super().__init__(optimization, crop_scale)
        self.scale = LogitScale(temperature)
        if encoder is None:
            towers = image_encoder, text_encoder
            self.encoder = DualEncoder(*towers, projection_dim, pooling=pooling, max_length=max_length)
        else:
            self.encoder = pair_encoder(encoder, max_length=max_length)
            if isinstance(self.encoder, PretrainedPair):
                self.scale.log_scale = self.encoder.log_scale

    def loss(self, views: tuple[Tensor, list[str]]) -> Tensor:
        a, b = self.embedded(views)
        return symmetric_info_nce(a, b, temperature=self.scale.temperature.reshape(()))

    def after_step(self) -> None:
        self.scale.clamp()
