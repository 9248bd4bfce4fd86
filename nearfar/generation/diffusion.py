"""The diffusion that all systems of this field share; it is a part that agents use as well."""

from nearfar.parts.diffusion import Diffusion, Guide, Predict

__all__ = ["Diffusion", "Guide", "Predict"]
