"""Class sets of street-scene segmentation, as data.

Four sets are named: the 19 evaluated classes of Cityscapes, the two 16-class subsets that other data sets share
with it, and the 11 coarser classes of CamVid. A label map of a set holds the index of the class *within that set*
(0..len-1); 255 is ignored everywhere. `remap` moves a label map from one set to another, by what the classes
mean: a class goes to the one that holds all of it, and to 255 where there is none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearfar.spelling import one_of

__all__ = [
    "CAMVID_11",
    "CARLA4AGT_16",
    "CITYSCAPES_19",
    "CITYSCAPES_LABEL_IDS",
    "CLASS_SETS",
    "IGNORE",
    "SYNTHIA_16",
    "ClassSet",
    "carla_tags_to_train_ids",
    "class_mapping",
    "class_set",
    "colorize",
    "remap",
    "stored_mapping",
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
        train_ids: the Cityscapes trainId of each class, for files that store those; of a coarser class, that of
            its namesake or largest part.
        holds: what each class comprises, as names of Cityscapes classes; each holds its namesake alone when not
            given.
    """

    name: str
    names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    train_ids: tuple[int, ...]
    holds: tuple[frozenset[str], ...] = ()

    def __post_init__(self) -> None:
        if not self.holds:
            object.__setattr__(self, "holds", tuple(frozenset((name,)) for name in self.names))

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Label value of a class. Raises ValueError for a name that the set does not hold."""
        if name not in self.names:
            raise ValueError(f"class set {self.name!r} has no class {name!r}{one_of(name, self.names, are='it has')}")
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
            tuple(self.holds[i] for i in keep),
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

_CAMVID = {
    "sky": ("sky",),
    "building": ("building", "wall"),
    "pole": ("pole",),
    "road": ("road",),
    "pavement": ("sidewalk",),
    "tree": ("vegetation", "terrain"),
    "sign": ("traffic sign", "traffic light"),
    "fence": ("fence",),
    "car": ("car", "truck", "bus", "train"),
    "pedestrian": ("person",),
    "bicyclist": ("rider", "bicycle", "motorcycle"),
}
CAMVID_11 = ClassSet(
    "camvid11",
    tuple(_CAMVID),
    tuple(CITYSCAPES_19.palette[CITYSCAPES_19.index(parts[0])] for parts in _CAMVID.values()),
    tuple(CITYSCAPES_19.index(parts[0]) for parts in _CAMVID.values()),
    tuple(frozenset(parts) for parts in _CAMVID.values()),
)
"""The 11 classes that CamVid's 32 are commonly grouped into (SegNet's order). Its buildings take in walls, its trees
all that grows, its signs the traffic lights, its cars every large vehicle, and its bicyclists the two-wheelers. So
every finer class has a place here, while a CamVid building is ignored by a set that tells walls from buildings."""

CLASS_SETS = {each.name: each for each in (CITYSCAPES_19, CARLA4AGT_16, SYNTHIA_16, CAMVID_11)}

CITYSCAPES_LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""The id of each of the 19 classes in files that end in ``_labelIds.png``; those hold 0..33, and the other ids are
ignored (cityscapesScripts, helpers/labels.py)."""


def class_set(name: str | ClassSet) -> ClassSet:
    """The set of that name. Raises ValueError, naming the known ones."""
    if isinstance(name, ClassSet):
        return name
    if name not in CLASS_SETS:
        raise ValueError(f"there is no class set {name!r}{one_of(name, CLASS_SETS)}")
    return CLASS_SETS[name]


def class_mapping(source: ClassSet, target: ClassSet) -> _Label:
    """Look-up table (256,) that turns label values of `source` into those of `target`.

    A class goes to the class of `target` that holds all of what it holds. Classes without one, values that
    `source` does not use, and 255 become 255.
    """
    return stored_mapping(enumerate(source.names), source, target)


def stored_mapping(values: Iterable[tuple[int, str]], source: ClassSet, target: ClassSet) -> _Label:
    """Look-up table (256,) for files that number the classes of `source` in their own way.

    Args:
        values: pairs of a stored value, 0..255, and the class of `source` that it stands for.
        source: what the class names mean.
        target: the set whose label values are wanted; see `class_mapping`.
    """
    table = np.full(256, IGNORE, np.uint8)
    for value, name in values:
        parts = source.holds[source.index(name)]
        place = [i for i, held in enumerate(target.holds) if parts <= held]
        if place:
            table[value] = place[0]
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
