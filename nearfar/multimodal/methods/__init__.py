"""One file per method on pairs of modalities."""

from nearfar.multimodal.methods.clip import CLIP
from nearfar.multimodal.methods.siglip import SigLIP

__all__ = ["CLIP", "SigLIP"]
