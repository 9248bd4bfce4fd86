"""Where labelled pictures come from: embedded sets, class folders, tables of files, streams of tasks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.labels.data import digits as made
from nearfar.labels.data.attributes import AttributeBatch, AttributeFeatures, attribute_features
from nearfar.labels.data.labelled import LabelledBatch, LabelledImages, check_tree, long_tail
from nearfar.labels.data.places import SamePlace, places
from nearfar.labels.data.table import labelled_table
from nearfar.labels.data.volumes import slices
from nearfar.sources.opening import nothing_there
from nearfar.sources.tables import TABLES
from nearfar.sources.tasks import Tasks
from nearfar.training import Data
from nearfar.vision.data import ImageArray, ImageFolder
from nearfar.vision.data import load as load_images

__all__ = [
    "EMBEDDED",
    "AttributeBatch",
    "AttributeFeatures",
    "LabelledBatch",
    "LabelledImages",
    "SamePlace",
    "check_tree",
    "load",
    "long_tail",
]

EMBEDDED = {
    "labelled-digits": "real handwriting (scikit-learn's digits) in drawn styles, every label known",
    "long-tailed-digits": "the same, 0 twenty times as common as 9; the held-out set is balanced",
    "digit-tree": "the same with three levels of classes",
    "open-digits": "the same, half of the pictures of 0 to 5 labelled and no others",
    "digit-tasks": "five tasks of two digits, each in colours and textures of its own",
    "shifted-digits": "labelled white digits, and unlabelled ones half inverted under a ramp of light",
    "slices": "slices of 120 drawn volumes with a weak label and their depth",
    "places": "drawn aerial tiles of 240 places at four dates, with coordinates",
    "attribute-features": "features of 20 seen and 5 unseen classes described by attributes",
}

MAKERS = {
    "labelled-digits": lambda size: made.digits("seen", size, copies=2).with_(name="labelled-digits"),
    "long-tailed-digits": made.long_tailed_digits,
    "digit-tree": made.digit_tree,
    "open-digits": made.open_digits,
    "digit-tasks": made.digit_tasks,
    "shifted-digits": made.shifted_digits,
    "slices": slices,
    "places": places,
}


def load(
    data: str | Path | np.ndarray | Data | None = None,
    *,
    size: int | None = None,
    tasks: int | None = None,
    imbalance: float | None = None,
    old_classes: int | None = None,
    labelled: float = 0.5,
    levels: str | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    strict: bool = False,
    max_bad: float = 0.1,
    verify: bool = False,
) -> Data:
    """Labelled pictures from wherever they are; class counts are a fact of what comes back (``counts``).

    Args:
        data: a folder with a folder of pictures per class (with ``train`` and ``test`` folders or without), one with
            folders ``task 1``, ``task 2``, ... of such folders, a table of files and columns (see
            :func:`nearfar.labels.data.table.labelled_table`), whatever else vision reads, an ``.npz`` with
            ``features`` and ``attributes``, or an embedded name; ``labelled-digits`` when nothing is given.
        size: side in pixels to which pictures are brought; 16 for embedded sets, 96 for files.
        tasks: divide the classes, in the order of their names, into a stream of so many tasks.
        imbalance: make the classes ever rarer, the commonest so many times as common as the rarest.
        old_classes: so many classes, the first by name, are known; all labels of the others are hidden in training.
        labelled: of the known classes, the share of pictures whose label training sees, in (0, 1].
        levels: columns of a table that are levels of a hierarchy, coarse to fine, separated by commas.
        image_column: the column of picture files of a table, if not one of those.
        label_column: its column of classes, if not one of those.
        strict: stop at the first picture that cannot be read, instead of leaving it out and listing it.
        max_bad: largest share of pictures that may be unreadable, in [0, 1]; more stop the run.
        verify: decode every file of a folder before the start.
    """
    if isinstance(data, Data) and not isinstance(data, ImageArray | ImageFolder):
        return data
    checks = {"strict": strict, "max_bad": max_bad, "verify": verify}
    found: Data
    task_of = None
    if isinstance(data, Data):
        found = labelled_images(data)
    elif data is None or str(data) in EMBEDDED:
        name = str(data or "labelled-digits")
        found = attribute_features() if name == "attribute-features" else MAKERS[name](size or 16)
    else:
        named = {"levels": levels, "image_column": image_column, "label_column": label_column}
        found, task_of = _read(data, size, named, checks)
    return _changed(found, task_of, tasks, imbalance, old_classes, labelled)


def _read(
    data: Any, size: int | None, named: dict[str, str | None], checks: dict[str, Any]
) -> tuple[Data, np.ndarray | None]:
    """What lies at a path, and the task of each picture where a table says it."""
    if not isinstance(data, str | os.PathLike):
        return labelled_images(load_images(data, size=size)), None
    path = Path(data)
    if path.is_file() and path.suffix.lower() in TABLES and path.suffix.lower() not in (".parquet", ".pq"):
        return labelled_table(path, size or 96, **named, **checks)
    if path.is_file() and path.suffix == ".npz" and AttributeFeatures.holds(path):
        return AttributeFeatures.read(path), None
    if path.is_dir():
        folders = sorted((p for p in path.glob("task*") if p.is_dir()), key=_number)
        if folders:
            return _task_folders(folders, size, checks), None
    if not path.exists():
        raise nothing_there(path, EMBEDDED)
    return labelled_images(load_images(data, size=size, **checks)), None


def labelled_images(images: Data) -> LabelledImages:
    """A collection of vision's with its labels, and its held-out sets with the same class numbers."""
    if images.labels is None:
        return LabelledImages(images, splits={n: LabelledImages(s) for n, s in images.splits().items()})
    names, times = np.unique(images.labels, return_counts=True)
    if (times == 1).any():
        raise ValueError(
            f"the class {names[times == 1][0]!s} of {images.name} has one picture; every class needs 2 or more: add "
            "pictures, or leave the class out"
        )
    held_out = {
        name: LabelledImages(each, each.labels, classes=names.tolist()) for name, each in images.splits().items()
    }
    return LabelledImages(images, images.labels, classes=names.tolist(), splits=held_out)


def _number(folder: Path) -> tuple[int, str]:
    digits = "".join(c for c in folder.name if c.isdigit())
    return int(digits or 0), folder.name


def _task_folders(folders: list[Path], size: int | None, checks: dict[str, Any]) -> Tasks:
    parts = [load_images(folder, size=size, **checks) for folder in folders]
    names = sorted({str(label) for part in parts if part.labels is not None for label in part.labels})

    def of(images: Data) -> LabelledImages:
        labels = None if images.labels is None else images.labels.astype(str)
        splits = {name: of(each) for name, each in images.splits().items()}
        return LabelledImages(images, labels, classes=names, splits=splits)

    return made.stream([of(part) for part in parts], folders[0].parent.name)


def _changed(
    found: Data,
    task_of: np.ndarray | None,
    tasks: int | None,
    imbalance: float | None,
    old_classes: int | None,
    labelled: float,
) -> Data:
    """The collection with rarer classes, hidden labels or tasks, as asked."""
    if imbalance is None and old_classes is None and tasks is None and task_of is None:
        return SamePlace(found) if isinstance(found, LabelledImages) and SamePlace.helps(found) else found
    if isinstance(found, Tasks):
        if tasks is None or (len(found.tasks) == tasks and imbalance is None and old_classes is None):
            return found
        raise ValueError(
            f"{found.name} is a stream of {len(found.tasks)} tasks and stays one; it cannot become {tasks}"
        )
    if not isinstance(found, LabelledImages):
        raise ValueError(f"{found.name} holds features, which cannot be divided into tasks or made rarer")
    if imbalance is not None:
        if found.labels is None:
            raise ValueError(f"{found.name} has no labels by which classes could be made rarer")
        kept = long_tail(found.labels, imbalance)
        found, task_of = found.subset(kept), None if task_of is None else task_of[kept]
    if old_classes is not None:
        found = made.opened(found, range(old_classes), labelled)
    if tasks is not None:
        return made.split_classes(found, tasks)
    if task_of is not None:
        order = sorted(set(task_of), key=lambda t: (not t.isdigit(), int(t) if t.isdigit() else 0, t))
        return made.stream([found.subset(np.flatnonzero(task_of == t)) for t in order], found.name)
    return found
