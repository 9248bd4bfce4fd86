"""Sentences, as a field."""

from nearfar.system import Field
from nearfar.text.data import EMBEDDED, load
from nearfar.text.evaluation import evaluate

FIELD = Field(name="text", load=load, protocol=evaluate, embedded=EMBEDDED)
