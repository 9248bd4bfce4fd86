"""Several looks at the same text, advanced together token by token."""

from nearfar.decoding.engine.branch import Branch, Look, Place, forced_looks, shown
from nearfar.decoding.engine.loop import branched_generate, early_layers
from nearfar.decoding.engine.processor import BranchProcessor
from nearfar.decoding.engine.streams import Streams

__all__ = [
    "Branch",
    "BranchProcessor",
    "Look",
    "Place",
    "Streams",
    "branched_generate",
    "early_layers",
    "forced_looks",
    "shown",
]
