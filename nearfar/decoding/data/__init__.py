"""Where prompts come from: tables and text files, lists, and made worlds whose answers are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.decoding.data.prompts import PromptBatch, Prompts
from nearfar.decoding.data.worlds import DATA
from nearfar.sources.data import Data
from nearfar.sources.opening import nothing_there
from nearfar.sources.roles import with_roles
from nearfar.sources.skipped import Skipped
from nearfar.sources.tables import TABLES, Table, read_lines, read_table, why_no_text

__all__ = ["EMBEDDED", "PromptBatch", "Prompts", "load"]

COLUMNS = ("prompt", "question", "sentence", "text")
EMBEDDED = {
    "facts": "questions for remembered values, with contexts that agree, contradict, or tell a part",
    "rare": "facts of which half have one frequent answer, for contrasts between layers",
    "scenes": "drawn scenes with yes-or-no questions, for a model that expects too much",
    "captions": "drawn scenes to be described, with a wrong description each",
    "requests": "a toy language of requests, some of which are to be refused",
    "arithmetic": "chains of arithmetic with a shortcut among the lessons of the models",
}


def load(
    data: str | Path | Sequence[str] | Data | None = None,
    *,
    examples: int = 2000,
    world_seed: int = 0,
    text_column: str | None = None,
    answer_column: str | None = None,
    strict: bool = False,
    max_bad: float = 0.1,
) -> Data:
    """Prompts from wherever they are.

    Args:
        data: a ``.jsonl``, ``.json``, ``.csv``, ``.tsv`` or ``.parquet`` table, a ``.txt`` file with a prompt per line,
            a list of prompts, or an embedded name; ``facts`` when nothing is given. Of a table the column ``prompt``
            (or ``question``, ``text``) is read, with ``context``, ``answer``, ``other`` (an answer to move away from),
            ``choices`` (a list), ``kind`` and ``id`` where present, and ``image``, a path beside the table.
        examples: number of training prompts that embedded sets generate.
        world_seed: which world embedded sets and their models are of.
        text_column: the column of prompts, if not one of those.
        answer_column: the column of right answers, if not ``answer``.
        strict: stop at the first row that cannot be used, instead of leaving it out and listing it.
        max_bad: largest share of rows that may be unusable, in [0, 1]; more stop the run.
    """
    if isinstance(data, Data):
        return data
    if data is None or (isinstance(data, str) and data in DATA):
        return DATA[data or "facts"](examples, world_seed)
    if not isinstance(data, str | Path):
        return Prompts([*data])
    path = Path(data)
    if not path.is_file():
        raise nothing_there(path, EMBEDDED)
    table = read_table(path) if path.suffix.lower() in TABLES else read_lines(path)
    roles = {"prompts": (COLUMNS, text_column), "answers": (("answer", "label"), answer_column)}
    table, taken = with_roles(table, str(path), roles)
    prompts = table.first(*COLUMNS)
    if prompts is None:
        raise ValueError(
            f"{path} has no column prompt: its columns are {', '.join(table.columns)}; --text-column names another"
        )
    table = table.without(lambda row: why_no_text(prompts[row]) or _why_no_choices(table, row))
    skipped = table.set_aside(str(path), kind="prompts", nothing="prompt", strict=strict, max_bad=max_bad)
    found = _of_table(table, path, skipped)
    if table.columns.keys() != {"sentence"}:  # a table, and not lines
        found.taken = taken
    return found


def _of_table(table: Table, path: Path, skipped: Skipped) -> Prompts:
    prompts = table.first(*COLUMNS)
    assert prompts is not None
    choices = table.first("choices")
    return Prompts(
        prompts,
        contexts=_texts(table.first("context")),
        answers=_texts(table.first("answer", "label")),
        others=_texts(table.first("other", "rejected")),
        choices=None if choices is None else [[str(c) for c in each or []] for each in choices],
        kinds=_texts(table.first("kind")),
        images=_images(table.first("image"), path.parent),
        ids=table.first("id"),
        name=path.stem,
        skipped=skipped,
    )


def _texts(column: list[Any] | None) -> list[str] | None:
    return None if column is None else ["" if value is None else str(value) for value in column]


def _why_no_choices(table: Table, row: int) -> str:
    column = table.columns.get("choices")
    if column is None or column[row] is None:
        return ""
    found = column[row]
    if not isinstance(found, list) or len(found) < 2 or not all(str(each).strip() for each in found):
        return "choices must be a list of two or more answers"
    return ""


def _images(paths: list[Any] | None, folder: Path) -> np.ndarray | None:
    """Pictures of one size, that of the first."""
    if paths is None:
        return None
    from PIL import Image

    found: list[np.ndarray] = []
    for row, name in enumerate(paths):
        place = folder / str(name)
        try:
            with Image.open(place) as picture:
                size = found[0].shape[1::-1] if found else picture.size
                found.append(np.asarray(picture.convert("RGB").resize(size)))
        except (OSError, ValueError) as error:
            raise ValueError(f"the image of prompt {row}, {place}, cannot be read: {error}") from error
    return np.stack(found)
