"""Recommendation, as a field."""

from nearfar.recommend.data import EMBEDDED, load
from nearfar.recommend.evaluation import by_activity, evaluate
from nearfar.system import Field

FIELD = Field(name="recommend", load=load, protocol=evaluate, measures={"activity": by_activity}, embedded=EMBEDDED)
