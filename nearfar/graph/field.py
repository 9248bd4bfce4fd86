"""Graphs, as a field."""

from nearfar.graph.data import EMBEDDED, load
from nearfar.graph.evaluation import evaluate
from nearfar.system import Field

FIELD = Field(name="graph", load=load, protocol=evaluate, embedded=EMBEDDED, renamed={"label": "label_column"})
