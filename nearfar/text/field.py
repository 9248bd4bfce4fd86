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


FIELD = Field(
    name="text",
    load=load,
    protocol=evaluate,
    write=write,
    exports={
        "sentence-transformers": "nearfar.text.export:to_sentence_transformers",
        "onnx": "nearfar.text.export:to_onnx",
    },
    opens="nearfar.text.opening:opened",
    embedded=EMBEDDED,
)
