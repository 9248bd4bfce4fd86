"""Class sets of street-scene segmentation, as data.

Three sets are named: the 19 evaluated classes of Cityscapes, and the two 16-class subsets that other data
sets share with it. A label map of a set holds the index of the class *within that set* (0..len-1); 255 is
ignored everywhere. `remap` moves a label map from one set to another by class name.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = [
    "CARLA4AGT_16",
    "CITYSCAPES_19",
    "CLASS_SETS",
    "IGNORE",
    "SYNTHIA_16",
    "ClassSet",
    "carla_tags_to_train_ids",
    "class_mapping",
    "colorize",
    "remap",
]

IGNORE = 255

_Label = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class ClassSet:
    """An ordered set of classes.

    Attributes:
        name: how the set is called on the command line.
        names: class names; their position is their label value.
        palette: one (red, green, blue) per class, 0..255, the colours of the Cityscapes palette.
        train_ids: the Cityscapes trainId of each class, for files that store those.
    """

    name: str
    names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    train_ids: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Label value of a class. Raises ValueError for a name that the set does not hold."""
        if name not in self.names:
            raise ValueError(f"class set {self.name!r} has no class {name!r}; it has {', '.join(self.names)}")
        return self.names.index(name)

    def without(self, name: str, dropped: tuple[str, ...]) -> ClassSet:
        """A set called `name` that keeps this one's order but leaves out the `dropped` classes."""
        gone = {self.index(each) for each in dropped}
        keep = [i for i in range(len(self)) if i not in gone]
        return ClassSet(
            name,
            tuple(self.names[i] for i in keep),
            tuple(self.palette[i] for i in keep),
            tuple(self.train_ids[i] for i in keep),
        )


CITYSCAPES_19 = ClassSet(
    "cityscapes19",
    (
        "road",
        "sidewalk",
        "building",
        "wall",
        "fence",
        "pole",
        "traffic light",
        "traffic sign",
        "vegetation",
        "terrain",
        "sky",
        "person",
        "rider",
        "car",
        "truck",
        "bus",
        "train",
        "motorcycle",
        "bicycle",
    ),
    (
        (128, 64, 128),
        (244, 35, 232),
        (70, 70, 70),
        (102, 102, 156),
        (190, 153, 153),
        (153, 153, 153),
        (250, 170, 30),
        (220, 220, 0),
        (107, 142, 35),
        (152, 251, 152),
        (70, 130, 180),
        (220, 20, 60),
        (255, 0, 0),
        (0, 0, 142),
        (0, 0, 70),
        (0, 60, 100),
        (0, 80, 100),
        (0, 0, 230),
        (119, 11, 32),
    ),
    tuple(range(19)),
)
"""The evaluated classes of Cityscapes in trainId order."""

CARLA4AGT_16 = CITYSCAPES_19.without("carla4agt16", ("truck", "bus", "train"))
"""CARLA-4AGT's 16 classes. The release does not list them; terrain, rider and motorcycle show in its figures
and the large vehicles do not, hence this reading."""

SYNTHIA_16 = CITYSCAPES_19.without("synthia16", ("terrain", "truck", "train"))
"""The 16 classes that SYNTHIA shares with Cityscapes."""

CLASS_SETS = {each.name: each for each in (CITYSCAPES_19, CARLA4AGT_16, SYNTHIA_16)}


def class_mapping(source: ClassSet, target: ClassSet) -> _Label:
    """Look-up table (256,) that turns label values of `source` into those of `target`.

    Classes that `target` lacks, values that `source` does not use, and 255 become 255.
    """
    table = np.full(256, IGNORE, np.uint8)
    for value, name in enumerate(source.names):
        if name in target.names:
            table[value] = target.names.index(name)
    return table


def remap(label: npt.NDArray[np.integer], source: ClassSet, target: ClassSet) -> _Label:
    """A label map of `source`, any shape, in the values of `target` (see `class_mapping`)."""
    return class_mapping(source, target)[_as_bytes(label)]


def colorize(label: npt.NDArray[np.integer], classes: ClassSet = CARLA4AGT_16) -> npt.NDArray[np.uint8]:
    """A label map (...) as an RGB picture (..., 3) in the set's palette; what is ignored is black."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(classes)] = classes.palette
    return table[_as_bytes(label)]


# CityObjectLabel since CARLA 0.9.14: the Cityscapes order, shifted by one; 24 are road lines.
_CARLA_TAGS = {tag: tag - 1 for tag in range(1, 20)} | {24: 0}
# The older numbering knows neither riders nor two-wheelers; tag 10 is any vehicle.
_CARLA_OLD_TAGS = {
    1: 2,
    2: 4,
    4: 11,
    5: 5,
    6: 0,
    7: 0,
    8: 1,
    9: 8,
    10: 13,
    11: 3,
    12: 7,
    13: 10,
    18: 6,
    22: 9,
}


def carla_tags_to_train_ids(tags: npt.NDArray[np.integer], carla_version: str = "0.9.15") -> _Label:
    """CARLA's semantic tags (the red byte of its semantic camera) as Cityscapes trainIds.

    Args:
        tags: any shape, 0..255.
        carla_version: "major.minor.patch". From 0.9.14 on, tags follow Cityscapes (`CityObjectLabel`);
        before,
            CARLA had its own list without riders and two-wheelers.

    Returns:
        uint8 of the same shape, 0..18, or 255 for what Cityscapes does not evaluate (bridge, water, guard
        rail, static and dynamic things, ...). Use `remap(ids, CITYSCAPES_19, CARLA4AGT_16)` for the 16-class
        set.

    Raises:
        ValueError: for a version that is not three numbers, or tags outside 0..255.
    """
    parts = carla_version.split(".")
    if len(parts) != 3 or not all(part.isdigit() for part in parts):
        raise ValueError(f"carla_version must look like '0.9.15', got {carla_version!r}")
    numbering = _CARLA_TAGS if tuple(int(part) for part in parts) >= (0, 9, 14) else _CARLA_OLD_TAGS
    table = np.full(256, IGNORE, np.uint8)
    for tag, train_id in numbering.items():
        table[tag] = train_id
    return table[_as_bytes(tags)]


def _as_bytes(values: npt.NDArray[np.integer]) -> _Label:
    values = np.asarray(values)
    if not np.issubdtype(values.dtype, np.integer):
        raise TypeError(f"a label map holds integers, got {values.dtype}")
    if values.dtype != np.uint8 and values.size and (values.min() < 0 or values.max() > IGNORE):
        raise ValueError(f"label values lie in 0..255, got {values.min()}..{values.max()}")
    return values.astype(np.uint8)
