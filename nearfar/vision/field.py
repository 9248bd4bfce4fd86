"""Images, as a field."""

from nearfar.system import Field
from nearfar.vision.data import EMBEDDED, load
from nearfar.vision.evaluation import evaluate
from nearfar.vision.measures import MEASURES
from nearfar.vision.pictures import pictures

FIELD = Field(name="vision", load=load, protocol=evaluate, measures=MEASURES, show=pictures, embedded=EMBEDDED)
