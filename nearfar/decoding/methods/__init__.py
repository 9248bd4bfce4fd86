"""One file per decoder."""

from nearfar.decoding.methods.adacad import AdaCAD
from nearfar.decoding.methods.cad import CAD
from nearfar.decoding.methods.contrastive_decoding import ContrastiveDecoding
from nearfar.decoding.methods.dola import DoLa
from nearfar.decoding.methods.ritual import RITUAL
from nearfar.decoding.methods.vcd import VCD
from nearfar.decoding.methods.vdd import VDD

__all__ = ["CAD", "RITUAL", "VCD", "VDD", "AdaCAD", "ContrastiveDecoding", "DoLa"]
