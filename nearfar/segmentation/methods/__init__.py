"""One file per segmentation method."""

from nearfar.segmentation.methods.aligned import AlignedSegmentation

__all__ = ["AlignedSegmentation"]
