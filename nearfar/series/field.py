"""Time series, as a field."""

from nearfar.series.data import EMBEDDED, load
from nearfar.series.evaluation import evaluate
from nearfar.system import Field

FIELD = Field(name="series", load=load, protocol=evaluate, embedded=EMBEDDED)
"""Series in, representations of steps and of whole series, forecasts and anomalies out."""
