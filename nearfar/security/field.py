"""Attacks on models and on their data, and what helps, as a field."""

from nearfar.security.data import EMBEDDED, load
from nearfar.security.evaluation import evaluate
from nearfar.system import Field

FIELD = Field(name="security", load=load, protocol=evaluate, embedded=EMBEDDED)
