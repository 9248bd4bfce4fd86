"""One file per method on images."""

from nearfar.vision.methods.adainf import AdaInf
from nearfar.vision.methods.amcl import AMCL
from nearfar.vision.methods.barlow_twins import BarlowTwins
from nearfar.vision.methods.bss import BSS
from nearfar.vision.methods.byol import BYOL
from nearfar.vision.methods.cacr import CACR
from nearfar.vision.methods.care import CARE
from nearfar.vision.methods.directpred import DirectPred
from nearfar.vision.methods.er import ER
from nearfar.vision.methods.jigclu import JigClu
from nearfar.vision.methods.mixed_barlow_twins import MixedBarlowTwins
from nearfar.vision.methods.moco import MoCo
from nearfar.vision.methods.moco_v3 import MoCoV3
from nearfar.vision.methods.poly_view import PolyView
from nearfar.vision.methods.relic import ReLIC
from nearfar.vision.methods.simclr import SimCLR
from nearfar.vision.methods.simsiam import SimSiam
from nearfar.vision.methods.swav import SwAV
from nearfar.vision.methods.vicreg import VICReg

__all__ = [
    "AMCL",
    "BSS",
    "BYOL",
    "CACR",
    "CARE",
    "ER",
    "AdaInf",
    "BarlowTwins",
    "DirectPred",
    "JigClu",
    "MixedBarlowTwins",
    "MoCo",
    "MoCoV3",
    "PolyView",
    "ReLIC",
    "SimCLR",
    "SimSiam",
    "SwAV",
    "VICReg",
]
