"""One file per method on tables."""

from nearfar.tabular.methods.clan import CLAN
from nearfar.tabular.methods.slad import SLAD

__all__ = ["CLAN", "SLAD"]
