"""One file per method on what moves."""

from nearfar.video.methods.hiclr import HiCLR
from nearfar.video.methods.point_contrastive import PointContrastive
from nearfar.video.methods.pretext_contrastive import PretextContrastive

__all__ = ["HiCLR", "PointContrastive", "PretextContrastive"]
