"""Pairs of modalities, as a field."""

from nearfar.multimodal.data import EMBEDDED, load
from nearfar.multimodal.evaluation import evaluate
from nearfar.multimodal.writing import write
from nearfar.system import Field

FIELD = Field(
    name="multimodal",
    load=load,
    protocol=evaluate,
    write=write,
    exports={
        "transformers": "nearfar.multimodal.export:to_transformers",
        "open-clip": "nearfar.multimodal.export:to_open_clip_folder",
    },
    opens="nearfar.multimodal.opening:opened",
    embedded=EMBEDDED,
)
