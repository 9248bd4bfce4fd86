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
from nearfar.vision.methods.iwm import IWM
from nearfar.vision.methods.jigclu import JigClu
from nearfar.vision.methods.mae import MAE
from nearfar.vision.methods.mixed_barlow_twins import MixedBarlowTwins
from nearfar.vision.methods.moco import MoCo
from nearfar.vision.methods.moco_v3 import MoCoV3
from nearfar.vision.methods.obow import OBoW
from nearfar.vision.methods.poly_view import PolyView
from nearfar.vision.methods.r_mae import RMAE
from nearfar.vision.methods.relic import ReLIC
from nearfar.vision.methods.simclr import SimCLR
from nearfar.vision.methods.simsiam import SimSiam
from nearfar.vision.methods.spark import SparK
from nearfar.vision.methods.swav import SwAV
from nearfar.vision.methods.vicreg import VICReg
from nearfar.vision.methods.video_pairs import VideoPairs

__all__ = [
    "AMCL",
    "BSS",
    "BYOL",
    "CACR",
    "CARE",
    "ER",
    "IWM",
    "MAE",
    "RMAE",
    "AdaInf",
    "BarlowTwins",
    "DirectPred",
    "JigClu",
    "MixedBarlowTwins",
    "MoCo",
    "MoCoV3",
    "OBoW",
    "PolyView",
    "ReLIC",
    "SimCLR",
    "SimSiam",
    "SparK",
    "SwAV",
    "VICReg",
    "VideoPairs",
]
