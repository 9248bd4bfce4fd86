"""One file per method."""

from nearfar.generation.methods.infodiffusion import InfoDiffusion
from nearfar.generation.methods.noiseclr import NoiseCLR

__all__ = ["InfoDiffusion", "NoiseCLR"]
