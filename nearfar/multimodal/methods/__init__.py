"""One file per method on pairs of modalities."""

from nearfar.multimodal.methods.clip import CLIP

__all__ = ["CLIP"]
