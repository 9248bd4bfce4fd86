"""Where labelled scenes come from: the embedded street, folders of scenes, published data sets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from nearfar.segmentation.classes import class_set
from nearfar.segmentation.counting.drawn import counted_shapes
from nearfar.segmentation.counting.files import is_counted, read_counted
from nearfar.segmentation.counting.pictures import CountedPictures
from nearfar.segmentation.data import layout
from nearfar.segmentation.data.adaptation import AdaptationScenes, street_adaptation
from nearfar.segmentation.data.collage import DigitCollages, digit_collages
from nearfar.segmentation.data.few_labels import street_few_labels
from nearfar.segmentation.data.folder import FileScenes, SceneFolder
from nearfar.segmentation.data.pairs import PairedScenes, street_pairs
from nearfar.segmentation.data.published import published
from nearfar.segmentation.data.scenes import RenderedScenes, Scenes
from nearfar.segmentation.street import HELD_OUT_APPEARANCES, TRAINING_APPEARANCES
from nearfar.sources.opening import as_path, nothing_there
from nearfar.training import Data

__all__ = [
    "EMBEDDED",
    "CountedPictures",
    "DigitCollages",
    "FileScenes",
    "PairedScenes",
    "RenderedScenes",
    "SceneFolder",
    "Scenes",
    "load",
]

EMBEDDED = {
    "street": "a procedural street in four appearances, and two more that are held out",
    "street-adaptation": "labelled streets in four appearances beside unlabelled ones in two others",
    "street-few-labels": "16 labelled streets beside 160 others without labels, all at noon",
    "street-pairs": "160 pairs of one street in rain and at noon without labels, beside labelled streets at noon",
    "counted-shapes": "drawn pictures of coloured shapes with phrases that name some of them, and their places",
    "digit-collage": "scikit-learn's digits on textured canvases, with a class for every pixel",
}


def load(
    data: str | Path | Data | None = None,
    *,
    size: int | None = None,
    scenes: int | None = None,
    target: str | None = None,
    classes: str | None = None,
    stored: str = "cityscapes19",
    image_paths: str | None = None,
    label_paths: str | None = None,
) -> Data:
    """Scenes from wherever they are.

    Args:
        data: a folder of scenes (``rgb/<appearance>/<scene>.png``, ``labels/<scene>.png``), Cityscapes, ACDC, Dark
            Zurich or CamVid as published, or an embedded name; ``street`` when nothing is given. For counting a
            ``.jsonl`` or ``.json`` table of pictures, phrases and points, or REC-8K's folder; see
            :func:`nearfar.segmentation.counting.files.read_counted`.
        size: height in pixels. Embedded streets are 64 high when not given and twice as wide; files keep their own
            size, and their proportions in any case.
        scenes: number of embedded scenes for training; of ``street`` 160 when not given, and 40 others are held out,
            in the four appearances and in the two that training never shows.
        target: unlabelled scenes to adapt to: a folder or an embedded name, like ``data``.
        classes: the set of classes to learn: cityscapes19, carla4agt16, synthia16 or camvid11; the data's own when
            not given.
        stored: the set in whose numbers a folder of scenes stores its labels.
        image_paths: where a folder in another layout has its pictures: a pattern with {scene} and {appearance}.
        label_paths: where it has its label maps: a pattern with {scene}; pictures alone when only image_paths is
            given.
    """
    if isinstance(data, Data):
        return data
    if target is not None:
        return adaptation(data, target, size=size, classes=classes)
    chosen = None if classes is None else class_set(classes)
    name = "street" if data is None else str(as_path(data, "scenes", _EMBEDDED))
    if name in _EMBEDDED:
        if chosen is None:
            return _EMBEDDED[name](size, scenes)
        if name != "street":
            raise ValueError(f"the classes of {name} are fixed; only street and data in files take another class set")
        return _street(size, scenes, chosen.name)
    root = Path(name)
    if not root.exists():
        raise nothing_there(root, EMBEDDED)
    if image_paths is None and is_counted(root):
        return read_counted(root, size)
    if image_paths is None:
        known = published(root, size, chosen)
        if known is not None:
            return known
        image_paths, label_paths = layout.IMAGES, label_paths or layout.LABELS
    return _folder(root, size=size, classes=classes, stored=stored, image_paths=image_paths, label_paths=label_paths)


def adaptation(
    source: str | Path | Data | None, target: str | Path | Data, *, size: int | None = None, classes: str | None = None
) -> AdaptationScenes:
    """Labelled scenes and unlabelled ones from wherever :func:`load` finds them.

    Args:
        source: the labelled side, an embedded name or a folder; ``street`` when not given.
        target: the unlabelled side, the same way; labels that it has serve evaluation alone.
        size: height in pixels of both sides.
        classes: the set of classes to learn; that of a labelled target when not given, so that a street can be
            adapted to the pictures of another data set in their classes.
    """
    wanted = load(target, size=size, classes=classes)
    if classes is None and not isinstance(source, Data) and getattr(wanted, "labelled", False):
        classes = wanted.classes.name  # type: ignore[attr-defined]
    return AdaptationScenes(load(source, size=size, classes=classes), wanted)


def _street(size: int | None, scenes: int | None, classes: str | None = None) -> Data:
    height = size or 64
    shape = (height, 2 * height)

    def rendered(numbers: range, looks: tuple[str, ...], name: str, **splits: Data) -> RenderedScenes:
        return RenderedScenes(numbers, looks, shape, name=name, classes=classes, splits=splits)

    held_out = range(100_000, 100_040)
    splits = {
        name: rendered(held_out, looks, name)
        for name, looks in (("seen appearances", TRAINING_APPEARANCES), ("unseen appearances", HELD_OUT_APPEARANCES))
    }
    return rendered(range(scenes or 160), TRAINING_APPEARANCES, "street", **splits)


def _folder(root: Path, *, classes: str | None, image_paths: str, **options: Any) -> Data:
    """The split train with the others as held-out sets; every scene where there are no splits."""
    if not layout.find_pictures(root, image_paths):
        raise ValueError(
            f"{root} holds no scenes: expected pictures at {image_paths}, or Cityscapes, ACDC, Dark Zurich or CamVid "
            "as published; --image_paths describes another layout"
        )
    names = layout.splits_of(root)

    def part(split: str | None, **splits: Data) -> SceneFolder:
        kind = classes or "carla4agt16"
        return SceneFolder(root, split, classes=kind, image_paths=image_paths, splits=splits, **options)

    if "train" not in names:
        return part(None)
    return part("train", **{name: part(name) for name in names if name != "train"})


# How an embedded set is built, by its name in EMBEDDED: from the height and the number of training scenes, or None.
_EMBEDDED: dict[str, Callable[[int | None, int | None], Data]] = {
    "street": _street,
    "counted-shapes": counted_shapes,
    "digit-collage": digit_collages,
    "street-adaptation": street_adaptation,
    "street-few-labels": street_few_labels,
    "street-pairs": street_pairs,
}
