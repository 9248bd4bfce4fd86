"""Pairs of modalities, as a field."""

from pathlib import Path
from typing import Any

from nearfar.multimodal.data import EMBEDDED, load
from nearfar.multimodal.evaluation import evaluate
from nearfar.multimodal.writing import write
from nearfar.system import Field


def _to_transformers(method: Any, folder: Path) -> None:
    from nearfar.multimodal.export import to_transformers

    to_transformers(method, folder)


def _to_open_clip(method: Any, folder: Path) -> None:
    from nearfar.multimodal.export import to_open_clip_folder

    to_open_clip_folder(method, folder)


FIELD = Field(
    name="multimodal",
    load=load,
    protocol=evaluate,
    write=write,
    exports={"transformers": _to_transformers, "open-clip": _to_open_clip},
    embedded=EMBEDDED,
)
