"""What moves, as a field."""

from nearfar.system import Field
from nearfar.training.probing import probe_held_out
from nearfar.video.data import EMBEDDED, load

FIELD = Field(name="video", load=load, protocol=probe_held_out, embedded=EMBEDDED)
"""Clips, skeletons and clouds of points in, a vector for each out."""
