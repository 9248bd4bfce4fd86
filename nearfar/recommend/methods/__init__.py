"""One file per recommender."""

from nearfar.recommend.methods.das import DAS
from nearfar.recommend.methods.lightgcl import LightGCL
from nearfar.recommend.methods.lightgcn import LightGCN
from nearfar.recommend.methods.rearm import REARM

__all__ = ["DAS", "REARM", "LightGCL", "LightGCN"]
