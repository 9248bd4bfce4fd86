"""Scenes written into files, in the layout that :class:`~nearfar.segmentation.data.folder.SceneFolder` reads."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from nearfar.common.files import atomic_write
from nearfar.segmentation.classes import CITYSCAPES_19, IGNORE, ClassSet, class_mapping, class_set
from nearfar.segmentation.data import layout
from nearfar.segmentation.data.scenes import Scenes
from nearfar.sources.data import in_order

Pixels = npt.NDArray[np.uint8]


def write_png(path: Path, pixels: Pixels) -> None:
    """Write (H, W) grey or (H, W, 3) RGB as PNG, whole or not at all."""
    ordered = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    done, encoded = cv2.imencode(".png", ordered)
    if not done:
        raise ValueError(f"{path} cannot be encoded as PNG: shape {pixels.shape}, {pixels.dtype}")
    with atomic_write(path) as file:
        file.write(encoded.tobytes())


def write_scenes(
    data: Scenes, root: Path | str, split: str = "train", *, stored: str | ClassSet = CITYSCAPES_19
) -> list[str]:
    """Write every scene of ``data`` and the split's list, which comes last: without it nothing reads the rest.

    Args:
        data: labelled scenes.
        root: the folder, made when it is not there; other splits in it stay.
        split: name of the list.
        stored: the set in whose positions labels are stored; Cityscapes trainIds when not given.

    Returns:
        The scenes' names.

    Raises:
        FileExistsError: the split has been written already. ValueError: no label maps, or classes without a place
        in ``stored``.
    """
    root, stored = Path(root), class_set(stored)
    listing = root / layout.SPLITS.format(split=split)
    if listing.exists():
        raise FileExistsError(f"{listing} exists already; choose another folder or delete it")
    if not data.labelled:
        raise ValueError(f"{data.name} has no label maps to write")
    table = class_mapping(data.classes, stored)
    lost = [name for value, name in enumerate(data.classes.names) if table[value] == IGNORE]
    if lost:
        raise ValueError(f"class set {stored.name} has no place for {', '.join(lost)}; choose another set to store in")
    names = [_name(each) for each in data.ids]
    if len(set(names)) != len(names):
        raise ValueError(f"{data.name} has scenes of the same name")
    for indices, batch in in_order(data, 8):
        images = batch.images.permute(0, 1, 3, 4, 2).numpy()
        labels = batch.labels.numpy().astype(np.uint8)
        for row, shown, label in zip(indices, images, labels, strict=True):
            scene = names[row]
            for appearance, image in zip(data.appearances, shown, strict=True):
                write_png(root / layout.IMAGES.format(appearance=appearance, scene=scene), image)
            write_png(root / layout.LABELS.format(scene=scene), table[label])
            config = data.config(int(row))
            if config is not None:
                with atomic_write(root / layout.CONFIGS.format(scene=scene), "w") as file:
                    file.write(json.dumps(config, indent=2, sort_keys=True) + "\n")
    write_split(root, split, names)
    return names


def write_split(root: Path, split: str, names: list[str]) -> None:
    """Write ``splits/<split>.txt``, one name a line."""
    with atomic_write(root / layout.SPLITS.format(split=split), "w") as file:
        file.write("".join(f"{name}\n" for name in names))


def _name(identifier: object) -> str:
    return f"{int(identifier):06d}" if isinstance(identifier, int | np.integer) else str(identifier)
