"""One file per decoder."""

from nearfar.decoding.methods.acd import ACD
from nearfar.decoding.methods.actlcd import ActLCD
from nearfar.decoding.methods.adacad import AdaCAD
from nearfar.decoding.methods.cad import CAD
from nearfar.decoding.methods.contrastive_decoding import ContrastiveDecoding
from nearfar.decoding.methods.dcd import DCD
from nearfar.decoding.methods.dola import DoLa
from nearfar.decoding.methods.hicd import HICD
from nearfar.decoding.methods.ritual import RITUAL
from nearfar.decoding.methods.spare import SpARE
from nearfar.decoding.methods.vcd import VCD
from nearfar.decoding.methods.vdd import VDD

__all__ = [
    "ACD",
    "CAD",
    "DCD",
    "HICD",
    "RITUAL",
    "VCD",
    "VDD",
    "ActLCD",
    "AdaCAD",
    "ContrastiveDecoding",
    "DoLa",
    "SpARE",
]
