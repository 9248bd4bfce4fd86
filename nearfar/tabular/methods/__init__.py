"""One file per method on tables."""

from nearfar.tabular.methods.clan import CLAN
from nearfar.tabular.methods.slad import SLAD
from nearfar.tabular.methods.spatial_embeddings import SpatialEmbeddings

__all__ = ["CLAN", "SLAD", "SpatialEmbeddings"]
