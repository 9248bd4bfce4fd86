"""Stateful building blocks that every field shares: heads, momentum encoders, queues, prototypes."""

from nearfar.parts.class_prototypes import ClassPrototypes
from nearfar.parts.cosine_classifier import CosineClassifier
from nearfar.parts.direct import DirectPredictor
from nearfar.parts.discrete_tokens import discrete_weights, mixture, sparsemax
from nearfar.parts.harmony import Harmony, cosine_of, realigned
from nearfar.parts.heads import MLPHead
from nearfar.parts.memory import InstanceMemory
from nearfar.parts.momentum import MomentumEncoder, momentum_at
from nearfar.parts.patch_codes import PatchCodes
from nearfar.parts.patches import (
    Masking,
    block_hidden,
    fill,
    masking_of,
    patchify,
    random_masking,
    random_masking_of,
    take,
    unpatchify,
)
from nearfar.parts.propagation import PixelPropagation
from nearfar.parts.prototypes import Prototypes
from nearfar.parts.quantizer import ResidualQuantizer
from nearfar.parts.queue import FeatureQueue
from nearfar.parts.scale import LogitScale
from nearfar.parts.shuffle import shuffled_groups
from nearfar.parts.sparse_conv import Seen, feature_levels, level_maps, sparse, sparse_maps
from nearfar.parts.sparse_product import SparseMatrix, sparse_product
from nearfar.parts.token_head import TokenHead
from nearfar.parts.unet_decoder import Densify, UNetDecoder
from nearfar.parts.visual_words import VisualWords, WordWeights
from nearfar.parts.warp import flow_confidence, resize_flow, warp

__all__ = [
    "ClassPrototypes",
    "CosineClassifier",
    "Densify",
    "DirectPredictor",
    "FeatureQueue",
    "Harmony",
    "InstanceMemory",
    "LogitScale",
    "MLPHead",
    "Masking",
    "MomentumEncoder",
    "PatchCodes",
    "PixelPropagation",
    "Prototypes",
    "ResidualQuantizer",
    "Seen",
    "SparseMatrix",
    "TokenHead",
    "UNetDecoder",
    "VisualWords",
    "WordWeights",
    "block_hidden",
    "cosine_of",
    "discrete_weights",
    "feature_levels",
    "fill",
    "flow_confidence",
    "level_maps",
    "masking_of",
    "mixture",
    "momentum_at",
    "patchify",
    "random_masking",
    "random_masking_of",
    "realigned",
    "resize_flow",
    "shuffled_groups",
    "sparse",
    "sparse_maps",
    "sparse_product",
    "sparsemax",
    "take",
    "unpatchify",
    "warp",
]
