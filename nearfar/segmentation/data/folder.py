"""Scenes in files: CARLA-4AGT's layout as nearfar writes and reads it, and any other by path patterns."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from nearfar.segmentation.classes import CARLA4AGT_16, CITYSCAPES_19, IGNORE, ClassSet, class_set, stored_mapping
from nearfar.segmentation.data import files as f
from nearfar.segmentation.data import layout
from nearfar.segmentation.data.layout import SceneFiles
from nearfar.segmentation.data.scenes import Scenes
from nearfar.segmentation.data.statistics import count_classes, read_counts
from nearfar.segmentation.method import SceneBatch
from nearfar.sources.fingerprint import file_contents
from nearfar.training import Data


class Numbering:
    """How the label files of a collection number their classes.

    Args:
        stored: the set whose classes the numbers stand for.
        values: the number of each class of ``stored`` in its order; positions when not given.
        ignored: numbers that are known but evaluated by nobody, beside 255.
        name: what to call the numbering in messages.
    """

    def __init__(
        self,
        stored: ClassSet | str,
        values: Sequence[int] | None = None,
        *,
        ignored: Sequence[int] = (),
        name: str | None = None,
    ) -> None:
        self.stored = class_set(stored)
        self.values = tuple(range(len(self.stored))) if values is None else tuple(values)
        self.name = name or self.stored.name
        self.known = np.zeros(256, bool)
        self.known[[*self.values, *ignored, IGNORE]] = True

    def table(self, classes: ClassSet) -> npt.NDArray[np.uint8]:
        """Look-up table (256,) from the numbers in the files to label values of ``classes``."""
        return stored_mapping(zip(self.values, self.stored.names, strict=True), self.stored, classes)


class FileScenes(Scenes):
    """Scenes whose pictures and label maps are decoded when they are needed.

    Args:
        files: the files of each scene; label maps of all scenes or of none.
        appearances: what the pictures of a scene show, in their order.
        numbering: how the label files number their classes.
        classes: the set whose label values are wanted.
        size: height in pixels to which everything is brought, the width following the first picture; that
            picture's own when not given. Pictures by area or bilinearly, labels by nearest neighbour.
        root: the folder to which the names in messages and statistics refer.
        name: what to call the set.
        splits: held-out sets by name.

    Raises:
        ValueError: no scenes. Reading raises :class:`~nearfar.segmentation.data.files.BadFile`, naming the file,
        for one that cannot be decoded, has another shape than the first, or holds unknown class numbers.
    """

    def __init__(
        self,
        files: Sequence[SceneFiles],
        appearances: Sequence[str],
        numbering: Numbering,
        classes: ClassSet,
        *,
        size: int | None = None,
        root: Path = Path(),
        name: str = "scenes",
        splits: Mapping[str, Data] | None = None,
    ) -> None:
        if not files:
            raise ValueError(f"{name}: there are no scenes in {root}")
        if size is not None and size < 1:
            raise ValueError(f"size must be at least 1 pixel, got {size}")
        self.files, self.appearances = list(files), tuple(appearances)
        self.numbering, self.classes, self.size = numbering, classes, size
        self.root, self.name = root, name
        self.labelled = self.files[0].label is not None
        self.held_out = dict(splits or {})
        self._table = numbering.table(classes)

    def __len__(self) -> int:
        return len(self.files)

    @property
    def ids(self) -> np.ndarray:
        return np.array([each.scene for each in self.files])

    def contents(self) -> Mapping[str, str]:
        paths = [path for each in self.files for path in (*each.images, each.label) if path is not None]
        return file_contents(self.root, dict.fromkeys(os.path.relpath(path, self.root) for path in paths))

    @cached_property
    def _first_shape(self) -> tuple[int, int]:
        height, width = f.read_picture(self.files[0].images[0]).shape[:2]
        return height, width

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of every picture of a batch."""
        height, width = self._first_shape
        return (height, width) if self.size is None else (self.size, max(round(self.size * width / height), 1))

    def batch(self, indices: np.ndarray) -> SceneBatch:
        chosen = [self.files[i] for i in indices]
        images = np.stack([np.stack([self._picture(path) for path in each.images]) for each in chosen])
        labels = np.stack([self._label(each) for each in chosen])
        return SceneBatch(
            torch.from_numpy(images).permute(0, 1, 4, 2, 3), torch.from_numpy(labels).long(), torch.as_tensor(indices)
        )

    def _picture(self, path: Path) -> npt.NDArray[np.uint8]:
        image = f.read_picture(path)
        f.check_shape(path, image.shape, self._first_shape, f"the first picture, {self.files[0].images[0]}")
        return f.resize_picture(image, self.shape)

    def _label(self, each: SceneFiles) -> npt.NDArray[np.uint8]:
        if each.label is None:
            return np.full(self.shape, IGNORE, np.uint8)
        label = self.stored_label(each.label)
        f.check_shape(each.label, label.shape, self._first_shape, f"the first picture, {self.files[0].images[0]}")
        return f.resize_label(self._table[label], self.shape)

    def stored_label(self, path: Path) -> npt.NDArray[np.uint8]:
        """A label map as it is stored, its numbers checked."""
        label = f.read_label(path)
        f.check_values(path, label, self.numbering.known, self.numbering.name)
        return label

    def stored_counts(self) -> npt.NDArray[np.int64]:
        """Pixels (scenes, 256) of every stored number, from the folder's statistics or from all label maps."""
        paths = [each.label for each in self.files if each.label is not None]
        known = read_counts(self.root, paths)
        return count_classes(map(self.stored_label, paths)) if known is None else known

    def class_pixels(self) -> npt.NDArray[np.int64]:
        """Labelled pixels (scenes, classes) at the size that batches have; what rare-class sampling asks for.

        The statistics beside the data are taken where they cover every scene (see ``nearfar data stats``);
        without them every label map is read once, at its own size.
        """
        counts = self.stored_counts()
        pixels = np.zeros((len(counts), len(self.classes)), np.float64)
        for value in np.flatnonzero(self._table != IGNORE):
            pixels[:, self._table[value]] += counts[:, value]
        first, now = self._first_shape, self.shape
        return np.rint(pixels * (now[0] * now[1] / (first[0] * first[1]))).astype(np.int64)


class SceneFolder(FileScenes):
    """CARLA-4AGT scenes: several appearances of each, one label map, splits in text files.

    The published release names no layout of its own; this is ours, and ``image_paths`` and ``label_paths`` describe
    another::

        rgb/{appearance}/{scene}.png    noon, sunset, night, foggy, or whatever there is
        labels/{scene}.png              8-bit, Cityscapes trainIds (0..18, 255 ignored), one for all appearances
        configs/{scene}.json            what reproduces the scene
        splits/{train,val}.txt          one name per line
        sample_class_stats.json, samples_with_class.json    for rare-class sampling, as DAFormer writes them

    Args:
        root: the folder.
        split: which file in ``splits``; every scene when None.
        size: height in pixels, see :class:`FileScenes`.
        classes: name of the set whose label values are wanted.
        stored: name of the set whose positions the label files hold.
        appearances: which appearances, in this order; those that the folder has when not given.
        image_paths: pattern of the pictures below ``root``, with ``{scene}`` and ``{appearance}``.
        label_paths: pattern of the label maps; with ``{appearance}`` in it, the first appearance's is taken. None for
            pictures without labels.
        splits: held-out sets by name.

    Raises:
        FileNotFoundError: no such folder. ValueError: no scenes; a picture or label map that is missing.
    """

    def __init__(
        self,
        root: Path | str,
        split: str | None = None,
        *,
        size: int | None = None,
        classes: str | ClassSet = CARLA4AGT_16,
        stored: str | ClassSet = CITYSCAPES_19,
        appearances: Sequence[str] | None = None,
        image_paths: str = layout.IMAGES,
        label_paths: str | None = layout.LABELS,
        splits: Mapping[str, Data] | None = None,
    ) -> None:
        root = Path(root)
        if not root.is_dir():
            raise FileNotFoundError(f"there is no folder {root}")
        pictures = layout.find_pictures(root, image_paths, label_paths)
        if not pictures:
            raise ValueError(f"{root} holds no pictures that match {image_paths}")
        chosen = tuple(appearances or layout.appearances_of(pictures))
        scenes = list(pictures) if split is None else layout.read_split(root, split)
        super().__init__(
            layout.scene_files(root, scenes, pictures, chosen, label_paths, image_paths),
            chosen,
            Numbering(stored),
            class_set(classes),
            size=size,
            root=root,
            name=root.name if split is None else f"{root.name} {split}",
            splits=splits,
        )
