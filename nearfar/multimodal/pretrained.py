"""CLIP and SigLIP as transformers and open_clip keep them, as the two towers of a method."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nearfar.common.files import read_whole
from nearfar.encoders.places import there
from nearfar.multimodal.method import PairEncoder
from nearfar.multimodal.open_clip import CONFIG, model_of

__all__ = ["PretrainedPair", "pair_encoder"]

KINDS = ("clip", "siglip")
MOST = 1 << 22


class PretrainedPair(PairEncoder):
    """A transformers CLIP or SigLIP: both towers, their projections, its temperature, its words.

    Args:
        model: a ``CLIPModel`` or ``SiglipModel``.
        tokenizer: of transformers.
        max_length: tokens kept per caption, at most those that the model has positions for.
        mean, std: of the pixels in [0, 1] that the model was trained on.

    Attributes:
        log_scale: the logarithm of the inverse temperature, a parameter of the model.
        bias: SigLIP's bias, a parameter of the model; ``None`` for CLIP.
        side: of the pictures that it was trained on, in pixels; others are embedded by interpolated positions.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, model: nn.Module, tokenizer: Any, *, max_length: int, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        config: Any = model.config
        if config.model_type not in KINDS:
            raise ValueError(f"towers are taken of {' or '.join(KINDS)}, and this is a {config.model_type}")
        self.model, self.tokenizer = model, tokenizer
        self.kind: str = config.model_type
        self.side = int(config.vision_config.image_size)
        most = int(config.text_config.max_position_embeddings)
        # SigLIP was trained on captions filled up to one length, which its last state depends on.
        self.max_length = most if self.kind == "siglip" else min(max_length, most)
        wide = config.projection_dim if self.kind == "clip" else config.vision_config.hidden_size
        self.out_features = int(wide)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    @property
    def log_scale(self) -> nn.Parameter:
        return self.model.logit_scale  # type: ignore[return-value]

    @property
    def bias(self) -> nn.Parameter | None:
        return getattr(self.model, "logit_bias", None)

    def pixels(self, images: Tensor) -> Tensor:
        """What the model is given for images (N, 3, H, W), uint8 or floats in [0, 1]."""
        if images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"expected images of shape (N, 3, H, W), got {tuple(images.shape)}")
        values = images.float() / 255 if images.dtype == torch.uint8 else images
        return (values - self.mean) / self.std

    def tokens(self, sentences: Sequence[str]) -> dict[str, Tensor]:
        """What the model is given for sentences."""
        filled: Any = "max_length" if self.kind == "siglip" else True
        found = self.tokenizer(
            [*sentences], padding=filled, truncation=True, max_length=self.max_length, return_tensors="pt"
        )
        names = ("input_ids",) if self.kind == "siglip" else ("input_ids", "attention_mask")
        return {name: found[name].to(self.mean.device) for name in names}

    def embed_images(self, images: Tensor) -> Tensor:
        pixels = self.pixels(images)
        other = tuple(pixels.shape[2:]) != (self.side, self.side)
        return _vectors(self.model.get_image_features(pixels, interpolate_pos_encoding=other))  # type: ignore[operator]

    def embed_text(self, sentences: Sequence[str]) -> Tensor:
        return _vectors(self.model.get_text_features(**self.tokens(sentences)))  # type: ignore[operator]


def pair_encoder(encoder: str | PairEncoder, *, max_length: int) -> PairEncoder:
    """Both towers by name.

    ``hf:<model>`` is a CLIP or SigLIP of transformers, from the hub or a folder, with its weights;
    ``hf-config:<model>`` its architecture with random ones; ``open-clip:<folder>`` a CLIP of open_clip with its
    configuration, its weights and a tokenizer of transformers.

    Raises:
        ValueError: an unknown name, or a model of another kind. FileNotFoundError: there is no such folder.
    """
    if isinstance(encoder, PairEncoder):
        return encoder
    kind, _, name = encoder.partition(":")
    if kind not in ("hf", "hf-config", "open-clip"):
        raise ValueError(f"unknown encoder {encoder!r} of both towers; accepted are hf:<model>, open-clip:<folder>")
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    if kind == "open-clip":
        folder = Path(name).expanduser()
        if not (folder / CONFIG).is_file():
            raise FileNotFoundError(f"there is no {CONFIG} in {folder}; open-clip: takes a folder that open_clip wrote")
        model: Any
        model, pixels = model_of(folder)
    else:
        config = AutoConfig.from_pretrained(there(name), trust_remote_code=False)
        if config.model_type not in KINDS:
            raise ValueError(f"towers are taken of {' or '.join(KINDS)}, and {name} is a {config.model_type}")
        if kind == "hf":
            model = AutoModel.from_pretrained(name, trust_remote_code=False)
        else:
            model = AutoModel.from_config(config)
        pixels = _pixels(name)
    words = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    usual = _USUAL[model.config.model_type]
    mean, std = (pixels.get(part) or value for part, value in zip(("image_mean", "image_std"), usual, strict=True))
    return PretrainedPair(model, words, max_length=max_length, mean=mean, std=std)


_USUAL = {
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "siglip": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}


def _pixels(name: str) -> dict[str, Any]:
    """What a model's files say of pixels; nothing where they do not."""
    from transformers.utils import cached_file

    for file in ("preprocessor_config.json", "processor_config.json"):
        found = cached_file(name, file, _raise_exceptions_for_missing_entries=False)
        if found is not None:
            said = json.loads(read_whole(Path(found), MOST))
            said = said.get("image_processor", said)
            if "image_mean" in said:
                return said
    return {}


def _vectors(output: Any) -> Tensor:
    return output if isinstance(output, Tensor) else output.pooler_output
