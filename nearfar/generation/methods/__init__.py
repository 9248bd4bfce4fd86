"""One file per method."""

from nearfar.generation.methods.cdcd import CDCD
from nearfar.generation.methods.infodiffusion import InfoDiffusion
from nearfar.generation.methods.noiseclr import NoiseCLR
from nearfar.generation.methods.zecon import ZeCon

__all__ = ["CDCD", "InfoDiffusion", "NoiseCLR", "ZeCon"]
