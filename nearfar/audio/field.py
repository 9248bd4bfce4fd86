"""Sounds, as a field."""

from nearfar.audio.data import EMBEDDED, load
from nearfar.audio.evaluation import evaluate
from nearfar.system import Field

FIELD = Field(name="audio", load=load, protocol=evaluate, embedded=EMBEDDED)
"""Sounds in, representations of recordings, of voices and of what captions say out."""
