"""Where captioned images come from: tables of images and text, and generated scenes whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nearfar.multimodal.data.pairs import CaptionedImages
from nearfar.sources.archives import read_npz
from nearfar.sources.parquet import schema_of
from nearfar.sources.skipped import Skipped
from nearfar.sources.tables import TABLES, labels_of, read_table, why_no_text
from nearfar.training import Data
from nearfar.vision.data.decode import PictureError, quiet, square
from nearfar.vision.data.published import LABELS, read_parquet

__all__ = ["EMBEDDED", "CaptionedImages", "load"]

CAPTIONS = ("caption", "text", "sentence")
FILES = ("image", "file", "filename", "file_name", "path", "filepath")

EMBEDDED = {"shape-scenes": "drawn scenes of coloured shapes with captions; 12 of 48 combinations held out"}


def load(
    data: str | Path | Data | None = None,
    *,
    size: int | None = None,
    examples: int = 6000,
    strict: bool = False,
    max_bad: float = 0.1,
) -> Data:
    """Captioned images from wherever they are.

    Args:
        data: a ``.parquet`` table with a column of encoded images and a column ``caption`` (or ``text``), a ``.csv``,
            ``.tsv``, ``.json`` or ``.jsonl`` table with a column ``image`` (or ``file``, ``filename``, ``path``) of
            files, relative to its own folder, and such a column of captions, an ``.npz`` file with ``images`` and
            ``captions``, or an embedded name; ``shape-scenes`` when nothing is given.
        size: side in pixels; 32 for embedded sets, 96 for tables.
        examples: number of scenes that embedded sets generate for training.
        strict: stop at the first pair that cannot be used, instead of leaving it out and listing it.
        max_bad: largest share of pairs that may lack a readable picture or a caption, in [0, 1]; more stop the run.
    """
    if isinstance(data, Data):
        return data
    if data is None or str(data) in EMBEDDED:
        return _scenes(size or 32, examples)
    path = Path(data)
    if not path.exists():
        raise FileNotFoundError(
            f"there is no file {path}, and no embedded data of that name; embedded are {', '.join(EMBEDDED)}"
        )
    if path.suffix == ".npz":
        arrays = read_npz(path)
        if "images" not in arrays or "captions" not in arrays:
            raise ValueError(f"{path} holds {', '.join(arrays)}; expected images and captions")
        try:
            return CaptionedImages(arrays["images"], np.ravel(arrays["captions"]).tolist(), name=path.stem)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    if path.suffix in (".parquet", ".pq"):
        return _parquet(path, size or 96, strict=strict, max_bad=max_bad)
    if path.suffix in TABLES:
        return _files(path, size or 96, strict=strict, max_bad=max_bad)
    raise ValueError(f"{path} is no collection of captioned images this reads; accepted are .npz, {', '.join(TABLES)}")


def _parquet(path: Path, size: int, **checks: Any) -> CaptionedImages:
    names = schema_of(path).names
    column = next((n for n in CAPTIONS if n in names), None)
    if column is None:
        raise ValueError(f"{path} has no column of captions: its columns are {', '.join(names)}")
    label = next((n for n in LABELS if n in names), None)
    others = [] if label is None else [label]
    images, columns, skipped = read_parquet([path], size, text=column, others=others, **checks)
    labels = labels_of(None if label is None else columns[label])
    return CaptionedImages(images, columns[column], labels, name=path.stem, skipped=skipped)


def _files(path: Path, size: int, **checks: Any) -> CaptionedImages:
    table = read_table(path)
    captions, files = table.first(*CAPTIONS), table.first(*FILES)
    if captions is None or files is None:
        raise ValueError(
            f"{path} has the columns {', '.join(table.columns)}; expected one of {', '.join(CAPTIONS)} and one of "
            f"{', '.join(FILES)}"
        )
    images: list[np.ndarray] = []

    def why(row: int) -> str:
        if reason := why_no_text(captions[row]):
            return reason
        if why_no_text(files[row]):
            return "it names no picture"
        try:
            images.append(square(path.parent / files[row], size))
        except PictureError as error:
            return f"{files[row]}: {error}"
        return ""

    with quiet():
        kept = table.without(why)
    skipped = Skipped(len(kept.places) + len(kept.bad), kind="pairs", **checks)
    if not images:
        raise ValueError(f"{path} holds no pair of a picture and a caption; {': '.join(kept.bad[0])}")
    skipped.set_aside(kept.bad, str(path))
    found = kept.first(*CAPTIONS)
    assert found is not None
    labels = labels_of(kept.first(*LABELS))
    return CaptionedImages(np.stack(images), found, labels, name=path.stem, skipped=skipped)


def _scenes(size: int, examples: int) -> CaptionedImages:
    from nearfar.multimodal.data.shape_scenes import class_prompts, retrieval_gallery, shape_scenes

    prompts = class_prompts()
    held_out = {"seen combinations": False, "held-out combinations": True}
    splits: dict[str, Data] = {}
    for name, held in held_out.items():
        scenes = shape_scenes(600, seed=1, split="test_heldout" if held else "test_seen", size=size)
        classes = dict(enumerate(prompts.prompts))
        labels = scenes.classes[:, 0]
        splits[name] = CaptionedImages(scenes.images, scenes.captions, labels, name=name, classes=classes)
    gallery = retrieval_gallery(200, seed=2, size=size)
    splits["gallery"] = CaptionedImages(gallery.images, gallery.captions, name="gallery", gallery=True)
    train = shape_scenes(examples, seed=0, size=size)
    return CaptionedImages(train.images, train.captions, train.classes[:, 0], name="shape-scenes", splits=splits)
