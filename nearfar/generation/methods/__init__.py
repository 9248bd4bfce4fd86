"""One file per method."""

from nearfar.generation.methods.infodiffusion import InfoDiffusion

__all__ = ["InfoDiffusion"]
