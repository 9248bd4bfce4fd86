"""One file per method on two modalities or more."""

from nearfar.multimodal.methods.clip import CLIP
from nearfar.multimodal.methods.cmc import CMC
from nearfar.multimodal.methods.cobit import CoBIT
from nearfar.multimodal.methods.fdt import FDT
from nearfar.multimodal.methods.flavars import FLAVARS
from nearfar.multimodal.methods.gradient_harmony import GradientHarmony
from nearfar.multimodal.methods.scot import SCOT
from nearfar.multimodal.methods.siglip import SigLIP
from nearfar.multimodal.methods.spn4cir import SPN4CIR
from nearfar.multimodal.methods.symile import Symile
from nearfar.multimodal.methods.zerovl import ZeroVL

__all__ = ["CLIP", "CMC", "FDT", "FLAVARS", "SCOT", "SPN4CIR", "CoBIT", "GradientHarmony", "SigLIP", "Symile", "ZeroVL"]
