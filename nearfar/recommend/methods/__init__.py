"""One file per recommender."""

from nearfar.recommend.methods.lightgcl import LightGCL
from nearfar.recommend.methods.lightgcn import LightGCN

__all__ = ["LightGCL", "LightGCN"]
