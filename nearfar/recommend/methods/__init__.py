"""One file per recommender."""

from nearfar.recommend.methods.lightgcl import LightGCL
from nearfar.recommend.methods.lightgcn import LightGCN
from nearfar.recommend.methods.rearm import REARM

__all__ = ["REARM", "LightGCL", "LightGCN"]
