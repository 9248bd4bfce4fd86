"""What is measured on images: probes on every held-out set, and the geometry of the representation."""

from nearfar.training.probing import probe_held_out as evaluate
from nearfar.training.probing import split

__all__ = ["evaluate", "split"]
