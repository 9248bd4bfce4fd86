"""What is wrong with a folder of scenes, before a training finds out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.segmentation.classes import CITYSCAPES_19, ClassSet, class_set
from nearfar.segmentation.data import files as f
from nearfar.segmentation.data import layout
from nearfar.segmentation.data.files import BadFile, Pixels
from nearfar.segmentation.data.folder import FileScenes, Numbering
from nearfar.segmentation.data.layout import SceneFiles
from nearfar.segmentation.data.published import published
from nearfar.segmentation.data.scenes import GENERATOR
from nearfar.segmentation.data.statistics import PER_SCENE, Counts, count_classes, read_counts
from nearfar.segmentation.recorder.config import problems, read_json
from nearfar.training import Data


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: with which file, what, and what was expected."""

    file: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.file} {self.found}; expected {self.expected}"


@dataclass
class Report:
    """What a check saw.

    Attributes:
        scenes: number of scenes.
        appearances: what there is of each.
        findings: what is wrong, in the order of the scenes.
    """

    scenes: int
    appearances: tuple[str, ...]
    findings: list[Finding] = field(default_factory=list)

    def add(self, errors: Iterable[BadFile]) -> None:
        self.findings += [Finding(error.file, error.found, error.expected) for error in errors]


def check(
    root: Path | str,
    *,
    classes: str | ClassSet | None = None,
    stored: str | ClassSet = CITYSCAPES_19,
    image_paths: str = layout.IMAGES,
    label_paths: str | None = layout.LABELS,
) -> Report:
    """Decode every file below ``root`` and list what cannot be used.

    In the layout of :class:`~nearfar.segmentation.data.folder.SceneFolder`: appearances that a scene lacks, label
    maps that are missing, differ between appearances or belong to no scene, sizes that differ, unknown class
    numbers, files that cannot be decoded, label maps that are not one channel of at most 255, configurations that
    are missing or invalid, splits that overlap or name scenes that are not there, statistics that are out of date.
    Of a published data set: its pictures and label maps.

    Args:
        root: the folder.
        classes: the set that labels may use; a class outside it is a finding. Every stored one when not given.
        stored: the set in whose positions the label files are numbered; published data sets have their own.
        image_paths: pattern of the pictures.
        label_paths: pattern of the label maps, None for pictures alone.

    Raises:
        FileNotFoundError: no such folder. ValueError: it holds no pictures.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"there is no folder {root}")
    wanted = None if classes is None else class_set(classes)
    if image_paths == layout.IMAGES:
        try:
            known = published(root, None, None)
        except BadFile as error:
            return Report(0, (), [Finding(error.file, error.found, error.expected)])
        if known is not None:
            return _check_published(known, wanted)
    pictures = layout.find_pictures(root, image_paths, label_paths)
    if not pictures:
        raise ValueError(f"{root} holds no pictures that match {image_paths}")
    numbering = restricted(Numbering(stored), wanted)
    appearances = layout.appearances_of(pictures)
    report = Report(len(pictures), appearances)
    check_one = _SceneCheck(root, pictures, appearances, numbering, image_paths, label_paths)
    counts = {}
    for scene, (errors, counted) in zip(pictures, _parallel(check_one, pictures), strict=True):
        report.add(errors)
        if counted is not None:
            counts[scene] = counted
    if label_paths is not None and "{appearance}" not in label_paths:
        report.add(_labels_without_pictures(root, pictures, label_paths))
        report.add(_outdated_statistics(root, counts, label_paths))
    if image_paths == layout.IMAGES:
        report.add(_bad_configs(root, list(pictures)))
    report.add(_bad_splits(root, set(pictures)))
    return report


def restricted(numbering: Numbering, classes: ClassSet | None) -> Numbering:
    """The numbering with only those numbers known whose class has a place in ``classes``."""
    if classes is None:
        return numbering
    table = numbering.table(classes)
    ignored = np.flatnonzero(numbering.known).tolist()
    narrower = Numbering(
        numbering.stored, numbering.values, ignored=ignored, name=f"{classes.name} in {numbering.name}"
    )
    narrower.known[list(numbering.values)] = table[list(numbering.values)] != f.IGNORE
    return narrower


class _SceneCheck:
    """Everything that is wrong with the files of one scene, and its pixels of each number when they can be read."""

    def __init__(
        self,
        root: Path,
        pictures: dict[str, dict[str, Path]],
        appearances: tuple[str, ...],
        numbering: Numbering,
        image_paths: str,
        label_paths: str | None,
    ) -> None:
        self.root, self.pictures, self.appearances = root, pictures, appearances
        self.numbering, self.image_paths, self.label_paths = numbering, image_paths, label_paths
        self.first = _first_shape(path for images in pictures.values() for path in images.values())

    def __call__(self, scene: str) -> tuple[list[BadFile], Counts | None]:
        errors: list[BadFile] = []
        images = self.pictures[scene]
        for appearance in self.appearances:
            if appearance not in images:
                place = self.root / self.image_paths.format(scene=scene, appearance=appearance)
                errors.append(BadFile(place, "is missing", f"scene {scene} in the appearance {appearance!r}"))
            else:
                errors += _picture_errors(images[appearance], self.first)
        label: Pixels | None = None
        for n, path in enumerate(self._label_paths(scene)):
            found, other = _label_errors(path, self.numbering, self.first)
            errors += found
            if n == 0:
                label = other
            elif label is not None and other is not None and not np.array_equal(label, other):
                pixels = f"{np.mean(label != other):.2%} of its pixels" if label.shape == other.shape else "its size"
                errors.append(BadFile(path, f"differs in {pixels}", "one label map for all appearances of a scene"))
        return errors, None if label is None else count_classes([label])[0]

    def _label_paths(self, scene: str) -> list[Path]:
        """The scene's label map, then those that single appearances have."""
        if self.label_paths is None:
            return []
        if "{appearance}" in self.label_paths:
            return [self.root / self.label_paths.format(scene=scene, appearance=a) for a in self.appearances]
        own = [self.root / f"labels/{appearance}/{scene}.png" for appearance in self.appearances]
        return [self.root / self.label_paths.format(scene=scene), *(path for path in own if path.is_file())]


def _first_shape(paths: Iterable[Path]) -> tuple[tuple[int, int], Path] | None:
    for path in paths:
        try:
            height, width = f.read_picture(path).shape[:2]
        except BadFile:
            continue
        return (height, width), path
    return None


def _picture_errors(path: Path, first: tuple[tuple[int, int], Path] | None) -> list[BadFile]:
    try:
        image = f.read_picture(path)
        if first is not None:
            f.check_shape(path, image.shape, first[0], f"the first picture, {first[1]}")
    except BadFile as error:
        return [error]
    return []


def _label_errors(
    path: Path, numbering: Numbering, first: tuple[tuple[int, int], Path] | None
) -> tuple[list[BadFile], Pixels | None]:
    try:
        label = f.read_label(path)
    except BadFile as error:
        return [error], None
    errors = []
    try:
        f.check_values(path, label, numbering.known, numbering.name)
    except BadFile as error:
        errors.append(error)
    if first is not None:
        try:
            f.check_shape(path, label.shape, first[0], f"the first picture, {first[1]}")
        except BadFile as error:
            errors.append(error)
    return errors, label


def _labels_without_pictures(root: Path, pictures: dict[str, dict[str, Path]], pattern: str) -> Iterator[BadFile]:
    appearances = layout.appearances_of(pictures)
    for scene, found in layout.find_pictures(root, pattern).items():
        of_appearance = scene.split("/", 1)[0] in appearances
        if scene not in pictures and not of_appearance:
            yield BadFile(next(iter(found.values())), "belongs to no picture", "label maps of scenes that are there")


def _outdated_statistics(root: Path, counts: dict[str, Counts], pattern: str) -> Iterator[BadFile]:
    paths = [root / pattern.format(scene=scene) for scene in counts]
    try:
        stated = read_counts(root, paths)
    except BadFile as error:
        yield error
        return
    if not (root / PER_SCENE).is_file():
        return
    if stated is None:
        yield BadFile(root / PER_SCENE, "does not cover every label map", "`nearfar data stats` to be run again")
    elif not all(map(np.array_equal, stated, counts.values())):
        yield BadFile(root / PER_SCENE, "states other numbers of pixels", "`nearfar data stats` to be run again")


def _bad_configs(root: Path, scenes: list[str]) -> Iterator[BadFile]:
    if not (root / "configs").is_dir():
        yield BadFile(root / "configs", "is missing", "one configuration file per scene")
        return
    for scene in scenes:
        path = root / layout.CONFIGS.format(scene=scene)
        try:
            content = read_json(path)
        except BadFile as error:
            yield error
            continue
        if isinstance(content, dict) and content.get("generator") == GENERATOR:
            if not isinstance(content.get("scene"), int):
                yield BadFile(path, f"has scene = {content.get('scene')!r}", "the number of the rendered scene")
            continue
        for found, expected in problems(content):
            yield BadFile(path, found, expected)


def _bad_splits(root: Path, scenes: set[str]) -> Iterator[BadFile]:
    listed: dict[str, str] = {}
    for split in layout.splits_of(root):
        path = root / layout.SPLITS.format(split=split)
        names = layout.read_split(root, split)
        for name, count in Counter(names).items():
            if name not in scenes:
                yield BadFile(path, f"names scene {name!r}, which has no pictures", "scenes that are there")
            if count > 1:
                yield BadFile(path, f"names scene {name!r} {count} times", "every scene once")
            if name in listed:
                yield BadFile(path, f"names scene {name!r}, as {listed[name]}.txt does", "splits without overlap")
            listed.setdefault(name, split)


def _check_published(data: Data, classes: ClassSet | None) -> Report:
    parts = [data, *(part for part in data.splits().values() if part is not data)]
    report = Report(sum(map(len, parts)), (layout.ONLY,))
    for part in parts:
        if isinstance(part, FileScenes):  # packed arrays were checked when they were read
            for errors in _parallel(_PictureCheck(part, classes), part.files):
                report.add(errors)
    return report


class _PictureCheck:
    """Everything that is wrong with a published picture and its label map."""

    def __init__(self, part: FileScenes, classes: ClassSet | None) -> None:
        self.first = _first_shape(path for each in part.files for path in each.images)
        self.numbering = restricted(part.numbering, classes)

    def __call__(self, each: SceneFiles) -> list[BadFile]:
        errors = [error for path in each.images for error in _picture_errors(path, self.first)]
        return errors if each.label is None else errors + _label_errors(each.label, self.numbering, self.first)[0]


def _parallel(function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(function, items))
