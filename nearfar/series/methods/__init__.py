"""One file per method on series."""

from nearfar.series.methods.ts2vec import TS2Vec

__all__ = ["TS2Vec"]
