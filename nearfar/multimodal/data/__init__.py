"""Where captioned images come from: tables of images and text, and generated scenes whose truth is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nearfar.multimodal.data.pairs import CaptionedImages
from nearfar.training import Data
from nearfar.vision.data import ImageArray
from nearfar.vision.data.published import parquet

__all__ = ["EMBEDDED", "CaptionedImages", "load"]

EMBEDDED = {"shape-scenes": "drawn scenes of coloured shapes with captions; 12 of 48 combinations held out"}


def load(data: str | Path | Data | None = None, *, size: int | None = None, examples: int = 6000) -> Data:
    """Captioned images from wherever they are.

    Args:
        data: a ``.parquet`` table with a column of encoded images and a column ``caption`` (or ``text``), an
            ``.npz`` file with ``images`` and ``captions``, or an embedded name; ``shape-scenes`` when nothing
            is given.
        size: side in pixels; 32 for embedded sets, 96 for tables.
        examples: number of scenes that embedded sets generate for training.
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
        with np.load(path, allow_pickle=False) as file:
            if "images" not in file or "captions" not in file:
                raise ValueError(f"{path} holds {', '.join(file.files)}; expected images and captions")
            return CaptionedImages(file["images"], file["captions"].tolist(), name=path.stem)
    if path.suffix in (".parquet", ".pq"):
        return _table(path, size or 96)
    raise ValueError(f"{path} is no collection of captioned images this reads; accepted are .parquet and .npz")


def _table(path: Path, size: int) -> CaptionedImages:
    import pyarrow.parquet as pq

    names = pq.read_schema(path).names
    column = next((n for n in ("caption", "text", "sentence") if n in names), None)
    if column is None:
        raise ValueError(f"{path} has no column of captions: its columns are {', '.join(names)}")
    images: ImageArray = parquet(path, size)
    captions = pq.read_table(path, columns=[column]).column(column).to_pylist()
    return CaptionedImages(images.images, captions, images.labels, name=path.stem)


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
