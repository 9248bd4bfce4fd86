"""One file per method on graphs."""

from nearfar.graph.methods.bgrl import BGRL
from nearfar.graph.methods.grace import GRACE

__all__ = ["BGRL", "GRACE"]
