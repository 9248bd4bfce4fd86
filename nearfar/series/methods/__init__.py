"""One file per method on series."""

from nearfar.series.methods.autocon import AutoCon
from nearfar.series.methods.comet import COMET
from nearfar.series.methods.cpc import CPC
from nearfar.series.methods.ts2vec import TS2Vec

__all__ = ["COMET", "CPC", "AutoCon", "TS2Vec"]
