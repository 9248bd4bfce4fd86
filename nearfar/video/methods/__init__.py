"""One file per method on what moves."""

from nearfar.video.methods.hiclr import HiCLR

__all__ = ["HiCLR"]
