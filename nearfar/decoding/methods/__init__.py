"""One file per decoder."""

from nearfar.decoding.methods.adacad import AdaCAD
from nearfar.decoding.methods.cad import CAD
from nearfar.decoding.methods.contrastive_decoding import ContrastiveDecoding

__all__ = ["CAD", "AdaCAD", "ContrastiveDecoding"]
