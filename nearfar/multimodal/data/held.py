"""Pictures with captions that a program already holds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nearfar.multimodal.data.pairs import CaptionedImages
from nearfar.sources.opening import as_path
from nearfar.sources.tables import labels_of, table_in
from nearfar.vision.data.memory import FILES, IMAGES, LABELS, from_memory

__all__ = ["pairs_in"]

CAPTIONS = ("caption", "captions", "text", "sentence")
TAKEN = "a list of pairs (picture, caption), a pair (pictures, captions), or a table with such columns"


def pairs_in(
    data: Any, size: int | None, *, image: str | None, caption: str | None, embedded: Iterable[str]
) -> CaptionedImages:
    """Captioned pictures from a list of pairs ``(picture, caption)``, from a pair of lists, or from a table of columns
    (a mapping, a data frame, a data set, a list of rows).

    A picture is whatever :func:`nearfar.vision.data.memory.from_memory` takes.

    Args:
        data: what was given.
        size: side to which pictures are brought.
        image, caption: the columns of a table, where they have other names.
        embedded: names of embedded data, for the sentence that refuses.

    Raises:
        TypeError: something else. ValueError: no such column, or pictures or captions that cannot be used.
    """
    table = table_in(data)
    if table is not None:
        pictures = table.first(*([image.lower()] if image else (*IMAGES, *FILES)))
        captions = table.first(*([caption.lower()] if caption else CAPTIONS))
        for what, found in (("pictures", pictures), ("captions", captions)):
            if found is None:
                raise ValueError(f"the table has no column of {what}: its columns are {', '.join(table.columns)}")
        labels = labels_of(table.first(*LABELS))
    else:
        pictures, captions, labels = *_columns(data, embedded), None
    return CaptionedImages(from_memory(pictures, size).images, captions or [], labels)


def _columns(data: Any, embedded: Iterable[str]) -> tuple[Any, list[Any]]:
    if isinstance(data, tuple) and len(data) == 2 and not isinstance(data[1], str) and hasattr(data[1], "__len__"):
        return data[0], list(data[1])
    rows = (
        [data[i] for i in range(len(data))]
        if hasattr(data, "__getitem__") and hasattr(data, "__len__") and not isinstance(data, type)
        else []
    )
    if not rows or not all(isinstance(row, tuple | list) and len(row) == 2 for row in rows):
        as_path(data, "captioned pictures", embedded, TAKEN)  # which refuses it
    return [row[0] for row in rows], [row[1] for row in rows]
