"""Where the files of a collection of scenes lie: patterns in, lists of scenes out."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nearfar.segmentation.data.files import BadFile
from nearfar.segmentation.street import APPEARANCES

IMAGES = "rgb/{appearance}/{scene}.png"
LABELS = "labels/{scene}.png"
CONFIGS = "configs/{scene}.json"
SPLITS = "splits/{split}.txt"
ONLY = "image"
"""Name of the appearance where a layout has one per scene."""


@dataclass(frozen=True)
class SceneFiles:
    """The files of one scene: its pictures in the order of the appearances, and its label map if it has one."""

    scene: str
    images: tuple[Path, ...]
    label: Path | None = None


def find_pictures(root: Path, pattern: str, labels: str | None = None) -> dict[str, dict[str, Path]]:
    """Every picture that ``pattern`` describes, as {scene: {appearance: file}}, scenes in order of name.

    Args:
        root: the collection's folder.
        pattern: path below it, with ``{scene}`` (which may contain slashes) and perhaps ``{appearance}``.
        labels: the pattern of the label maps. What matches it is no picture, when it is the more specific of the two.
    """
    expression = _expression(pattern)
    others = _expression(labels) if labels and len(_plain(labels)) > len(_plain(pattern)) else None
    start = root / pattern.partition("{")[0].rpartition("/")[0]
    found: dict[str, dict[str, Path]] = {}
    for folder, _, names in os.walk(start, followlinks=True):
        for name in names:
            path = Path(folder, name)
            place = path.relative_to(root).as_posix()
            match = expression.fullmatch(place)
            if match and not name.startswith(".") and not (others and others.fullmatch(place)):
                parts = match.groupdict()
                found.setdefault(parts["scene"], {})[parts.get("appearance", ONLY)] = path
    return dict(sorted(found.items()))


def _expression(pattern: str) -> re.Pattern[str]:
    if pattern.count("{scene}") != 1 or pattern.count("{appearance}") > 1:
        raise ValueError(f"a path pattern names {{scene}} once and {{appearance}} at most once, got {pattern!r}")
    groups = {"{scene}": "(?P<scene>.+)", "{appearance}": "(?P<appearance>[^/]+)"}
    return re.compile("".join(groups.get(word, re.escape(word)) for word in re.split(_PLACES, pattern)))


def _plain(pattern: str) -> str:
    return re.sub(_PLACES, "", pattern)


_PLACES = r"(\{scene\}|\{appearance\})"


def appearances_of(pictures: dict[str, dict[str, Path]]) -> tuple[str, ...]:
    """Every appearance that any scene has: the known ones in their usual order, then the others by name."""
    present = {name for images in pictures.values() for name in images}
    return (*(name for name in APPEARANCES if name in present), *sorted(present - set(APPEARANCES)))


def read_split(root: Path, split: str) -> list[str]:
    """Names of the scenes in ``splits/<split>.txt``, one a line. Raises :class:`BadFile`."""
    path = root / SPLITS.format(split=split)
    if not path.is_file():
        present = ", ".join(splits_of(root)) or "none"
        raise BadFile(path, "is missing", f"one name of a scene per line; splits that are there: {present}")
    names = path.read_text(encoding="utf-8").split("\n")
    return [name.strip() for name in names if name.strip()]


def splits_of(root: Path) -> list[str]:
    """Names of the splits in ``root/splits``, train first."""
    found = sorted(path.stem for path in (root / "splits").glob("*.txt"))
    return sorted(found, key=lambda name: name != "train")


def scene_files(
    root: Path,
    scenes: Sequence[str],
    pictures: dict[str, dict[str, Path]],
    appearances: Sequence[str],
    label_pattern: str | None,
    image_pattern: str = IMAGES,
) -> list[SceneFiles]:
    """The files of the named scenes. Raises :class:`BadFile` for the first picture or label map that is missing."""
    listed = []
    for scene in scenes:
        for appearance in appearances:
            if appearance not in pictures.get(scene, {}):
                place = root / image_pattern.format(scene=scene, appearance=appearance)
                raise BadFile(place, "is missing", f"scene {scene} in the appearance {appearance!r}")
        label = None
        if label_pattern is not None:
            label = root / label_pattern.format(scene=scene, appearance=appearances[0])
            if not label.is_file():
                raise BadFile(label, "is missing", f"the label map of scene {scene}")
        listed.append(SceneFiles(scene, tuple(pictures[scene][a] for a in appearances), label))
    return listed
