"""Encoders by name, for every field: raw input in, one vector per example out. Any module of your own works too."""

from nearfar.encoders.causal import CAUSAL_MODELS, CausalLM, causal_model
from nearfar.encoders.image import IMAGE_ENCODERS, ImageEncoder, image_encoder
from nearfar.encoders.resnet import ResNet, SmallConvNet
from nearfar.encoders.text import TEXT_ENCODERS, TextEncoder, hashed_bert, text_encoder
from nearfar.encoders.vit import Transformer, VisionTransformer, sine_positions

__all__ = [
    "CAUSAL_MODELS",
    "IMAGE_ENCODERS",
    "TEXT_ENCODERS",
    "CausalLM",
    "ImageEncoder",
    "ResNet",
    "SmallConvNet",
    "TextEncoder",
    "Transformer",
    "VisionTransformer",
    "causal_model",
    "hashed_bert",
    "image_encoder",
    "sine_positions",
    "text_encoder",
]
