"""One file per method."""

from nearfar.generation.methods.cdcd import CDCD
from nearfar.generation.methods.cm3leon import CM3Leon
from nearfar.generation.methods.infodiffusion import InfoDiffusion
from nearfar.generation.methods.noiseclr import NoiseCLR
from nearfar.generation.methods.zecon import ZeCon

__all__ = ["CDCD", "CM3Leon", "InfoDiffusion", "NoiseCLR", "ZeCon"]
