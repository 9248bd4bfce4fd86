"""One file per method on images."""

from nearfar.vision.methods.barlow_twins import BarlowTwins
from nearfar.vision.methods.byol import BYOL
from nearfar.vision.methods.directpred import DirectPred
from nearfar.vision.methods.moco import MoCo
from nearfar.vision.methods.moco_v3 import MoCoV3
from nearfar.vision.methods.relic import ReLIC
from nearfar.vision.methods.simclr import SimCLR
from nearfar.vision.methods.simsiam import SimSiam
from nearfar.vision.methods.swav import SwAV
from nearfar.vision.methods.vicreg import VICReg

__all__ = ["BYOL", "BarlowTwins", "DirectPred", "MoCo", "MoCoV3", "ReLIC", "SimCLR", "SimSiam", "SwAV", "VICReg"]
