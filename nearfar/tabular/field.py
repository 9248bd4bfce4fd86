"""Tables, as a field."""

from nearfar.system import Field
from nearfar.tabular.data import EMBEDDED, load
from nearfar.tabular.evaluation import evaluate

FIELD = Field(name="tabular", load=load, protocol=evaluate, embedded=EMBEDDED, renamed={"label": "label_column"})
"""Tables in, rows rated by how strange they are out."""
