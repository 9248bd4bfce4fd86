"""One file per method on sentences."""

from nearfar.text.methods.simcse import SimCSE

__all__ = ["SimCSE"]
