"""One file per method."""

from nearfar.generation.methods.infodiffusion import InfoDiffusion
from nearfar.generation.methods.noiseclr import NoiseCLR
from nearfar.generation.methods.zecon import ZeCon

__all__ = ["InfoDiffusion", "NoiseCLR", "ZeCon"]
