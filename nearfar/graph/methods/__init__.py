"""One file per method on graphs."""

from nearfar.graph.methods.ariel import ARIEL
from nearfar.graph.methods.bgrl import BGRL
from nearfar.graph.methods.daens import DAENS
from nearfar.graph.methods.gaugllm import GAugLLM
from nearfar.graph.methods.grace import GRACE
from nearfar.graph.methods.graphcl import GraphCL
from nearfar.graph.methods.infoalign import InfoAlign
from nearfar.graph.methods.meow import MEOW
from nearfar.graph.methods.scgc import SCGC
from nearfar.graph.methods.sega import SEGA

__all__ = ["ARIEL", "BGRL", "DAENS", "GRACE", "MEOW", "SCGC", "SEGA", "GAugLLM", "GraphCL", "InfoAlign"]
