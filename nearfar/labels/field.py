"""Pictures whose labels are few, rare, hierarchical, changing or of another domain, as a field."""

from nearfar.labels.data import EMBEDDED, load
from nearfar.labels.evaluation import evaluate
from nearfar.system import Field

FIELD = Field(name="labels", load=load, protocol=evaluate, embedded=EMBEDDED)
