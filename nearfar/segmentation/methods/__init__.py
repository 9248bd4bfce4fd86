"""One file per segmentation method."""

from nearfar.segmentation.methods.aligned import AlignedSegmentation
from nearfar.segmentation.methods.aligned_adaptation import AlignedAdaptation
from nearfar.segmentation.methods.dacs import DACS
from nearfar.segmentation.methods.daformer import DAFormer
from nearfar.segmentation.methods.hrda import HRDA

__all__ = ["DACS", "HRDA", "AlignedAdaptation", "AlignedSegmentation", "DAFormer"]
