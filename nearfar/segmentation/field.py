"""Scenes in several appearances, as a field."""

from nearfar.segmentation.data import EMBEDDED, load
from nearfar.segmentation.evaluation import evaluate
from nearfar.segmentation.measures import MEASURES
from nearfar.segmentation.pictures import pictures
from nearfar.system import Field

FIELD = Field(name="segmentation", load=load, protocol=evaluate, measures=MEASURES, show=pictures, embedded=EMBEDDED)
