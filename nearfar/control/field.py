"""Agents, world models and solvers, as a field."""

from nearfar.control.data import EMBEDDED, load
from nearfar.control.evaluation import evaluate
from nearfar.system import Field

FIELD = Field(name="control", load=load, protocol=evaluate, embedded=EMBEDDED)
