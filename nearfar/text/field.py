"""Sentences, as a field."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nearfar.common.files import atomic_write
from nearfar.system import Field, UsageError
from nearfar.text.data import EMBEDDED, load
from nearfar.text.evaluation import evaluate


def write(made: Iterator[dict[str, Any]], path: Path) -> list[Path]:
    """One JSON object a line, whole or not at all."""
    if path.suffix != ".jsonl":
        raise UsageError(f"texts are written to a .jsonl file, got {path}")
    with atomic_write(path, "w") as file:
        for row in made:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return [path]


def _to_sentence_transformers(method: Any, folder: Path) -> None:
    from nearfar.text.export import to_sentence_transformers

    to_sentence_transformers(method, folder)


def _to_onnx(method: Any, folder: Path) -> None:
    from nearfar.text.export import to_onnx

    to_onnx(method, folder)


FIELD = Field(
    name="text",
    load=load,
    protocol=evaluate,
    write=write,
    exports={"sentence-transformers": _to_sentence_transformers, "onnx": _to_onnx},
    embedded=EMBEDDED,
)
