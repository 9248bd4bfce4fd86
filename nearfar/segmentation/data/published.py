"""Real streets in the layouts in which they are published: Cityscapes, ACDC, Dark Zurich, CamVid.

None of these is downloaded. Each function takes the folder that the publisher's archives unpack to and gives pictures
in one appearance each, with label maps where the release has them.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from nearfar.segmentation.classes import CAMVID_11, CITYSCAPES_19, CITYSCAPES_LABEL_IDS, ClassSet
from nearfar.segmentation.data import files as f
from nearfar.segmentation.data import layout
from nearfar.segmentation.data.folder import FileScenes, Numbering
from nearfar.segmentation.data.layout import SceneFiles
from nearfar.segmentation.data.scenes import Scenes
from nearfar.segmentation.method import SceneBatch
from nearfar.training import Data

TRAIN_IDS = Numbering(CITYSCAPES_19, name="Cityscapes trainIds")
LABEL_IDS = Numbering(CITYSCAPES_19, CITYSCAPES_LABEL_IDS, ignored=range(34), name="Cityscapes label ids")
CAMVID_VOID = 11
CAMVID = Numbering(CAMVID_11, ignored=(CAMVID_VOID,), name="CamVid's 11 classes (11 is void)")

CONDITIONS = ("fog", "night", "rain", "snow")


def cityscapes(
    root: Path, split: str = "train", *, size: int | None = None, classes: ClassSet = CITYSCAPES_19
) -> FileScenes:
    """Cityscapes: ``leftImg8bit/<split>/<city>/*_leftImg8bit.png`` and ``gtFine/<split>/<city>/*_gtFine_*.png``.

    Labels are ``_gtFine_labelTrainIds.png`` where those have been made, else ``_gtFine_labelIds.png``; a split without
    a folder in ``gtFine`` is unlabelled. (The published label maps of ``test`` are blank: every pixel is ignored.)
    """
    pictures = layout.find_pictures(root, f"leftImg8bit/{split}/{{scene}}_leftImg8bit.png")
    labels = f"gtFine/{split}/{{scene}}_gtFine_{{kind}}.png"
    return _scenes(root, pictures, labels, f"cityscapes {split}", size, classes)


def acdc(
    root: Path,
    split: str = "train",
    *,
    condition: str | None = None,
    reference: bool = False,
    size: int | None = None,
    classes: ClassSet = CITYSCAPES_19,
) -> FileScenes:
    """ACDC: ``rgb_anon/<condition>/<split>/<sequence>/*_rgb_anon.png``, labels ``gt/.../*_gt_labelTrainIds.png``.

    Args:
        root: the folder that holds ``rgb_anon`` and ``gt``.
        split: train, val or test; test has no labels.
        condition: fog, night, rain or snow; all of them when not given.
        reference: the pictures of the same places in clear weather (``<split>_ref``) instead, in the same order and
            without labels: they are close to, but not pixel by pixel the same view.
        size: height in pixels.
        classes: the set whose label values are wanted.
    """
    if condition not in (None, *CONDITIONS):
        raise ValueError(f"condition must be one of {', '.join(CONDITIONS)}, got {condition!r}")
    folder, suffix = (f"{split}_ref", "_rgb_ref_anon.png") if reference else (split, "_rgb_anon.png")
    pictures = {}
    for each in CONDITIONS if condition is None else (condition,):
        # The names of scenes say condition, split and sequence, and so agree between pictures, references and labels.
        found = layout.find_pictures(root, f"rgb_anon/{each}/{folder}/{{scene}}{suffix}")
        pictures.update({f"{each}/{split}/{scene}": images for scene, images in found.items()})
    labels = "" if reference else "gt/{scene}_gt_{kind}.png"
    return _scenes(root, pictures, labels, f"acdc {condition or ''} {folder}".replace("  ", " "), size, classes)


def dark_zurich(
    root: Path,
    split: str = "train",
    *,
    time: str = "night",
    size: int | None = None,
    classes: ClassSet = CITYSCAPES_19,
) -> FileScenes:
    """Dark Zurich: ``rgb_anon/<split>/<time>/<sequence>/*_rgb_anon.png``, labels of val ``gt/val/night/...``.

    Args:
        root: the folder that holds ``rgb_anon`` and ``gt``.
        split: train (unlabelled), val (labelled), val_ref, test.
        time: night, twilight or day.
        size: height in pixels.
        classes: the set whose label values are wanted.
    """
    found = layout.find_pictures(root, f"rgb_anon/{split}/{time}/{{scene}}_rgb_anon.png")
    pictures = {f"{split}/{time}/{scene}": images for scene, images in found.items()}
    return _scenes(root, pictures, "gt/{scene}_gt_{kind}.png", f"dark zurich {split} {time}", size, classes)


def camvid(root: Path, split: str = "train", *, size: int | None = None, classes: ClassSet = CAMVID_11) -> FileScenes:
    """CamVid as SegNet's authors publish it: ``<split>/*.png`` and ``<split>annot/*.png`` with 0..10, 11 for void.

    The pictures, but not the label maps, may also be JPEG files.

    Raises:
        ValueError: there is no picture.
    """
    found = {
        s: p
        for end in ("png", "jpg", "jpeg")
        for s, p in layout.find_pictures(root, f"{split}/{{scene}}.{end}").items()
    }
    if not found:
        raise ValueError(
            f"{root / split} holds no picture (.png, .jpg or .jpeg); CamVid's layout is {split}/NAME.png beside "
            f"{split}annot/NAME.png"
        )
    files = [
        SceneFiles(scene, tuple(images.values()), root / f"{split}annot/{scene}.png")
        for scene, images in sorted(found.items())
    ]
    if not (root / f"{split}annot").is_dir():
        files = [SceneFiles(each.scene, each.images) for each in files]
    name = f"camvid {split}"
    return FileScenes(files, (layout.ONLY,), CAMVID, classes, size=size, root=root, name=name)


class PackedScenes(Scenes):
    """CamVid in two packed files per split: encoded pictures end to end, and an array of label maps.

    ``<split>_images.npz`` has ``buf`` (uint8), the boundaries ``off`` (N + 1) and ``names``; ``<split>_labels.npz`` has
    ``y`` (N, H, W) with CamVid's numbers.
    """

    def __init__(self, root: Path, split: str, *, size: int | None = None, classes: ClassSet = CAMVID_11) -> None:
        packed = dict(np.load(root / f"{split}_images.npz"))
        encoded, bounds = packed["buf"].tobytes(), packed["off"]
        pictures = [
            np.asarray(Image.open(io.BytesIO(encoded[start:stop])).convert("RGB"), np.uint8)
            for start, stop in zip(bounds[:-1], bounds[1:], strict=True)
        ]
        height, width = pictures[0].shape[:2]
        self.shape = (height, width) if size is None else (size, max(round(size * width / height), 1))
        self.images = np.stack([f.resize_picture(picture, self.shape) for picture in pictures])
        labels = np.load(root / f"{split}_labels.npz")["y"]
        for label in labels:
            f.check_values(root / f"{split}_labels.npz", label, CAMVID.known, CAMVID.name)
        table = CAMVID.table(classes)
        self.label_maps = np.stack([f.resize_label(table[label], self.shape) for label in labels])
        self.names = packed["names"] if "names" in packed else np.arange(len(pictures)).astype(str)
        self.appearances, self.classes, self.name = (layout.ONLY,), classes, f"camvid {split}"

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: np.ndarray) -> SceneBatch:
        images = torch.from_numpy(self.images[indices]).permute(0, 3, 1, 2).unsqueeze(1)
        return SceneBatch(images, torch.from_numpy(self.label_maps[indices]).long(), torch.as_tensor(indices))

    @property
    def ids(self) -> np.ndarray:
        return self.names


def published(root: Path, size: int | None, classes: ClassSet | None) -> Data | None:
    """The published data set whose folders ``root`` has, its validation parts as held-out sets; None for no known one.

    ``classes`` are those of the data set (19, CamVid 11) when not given.
    """
    street = classes or CITYSCAPES_19
    if (root / "leftImg8bit").is_dir():
        return _with_splits({s: cityscapes(root, s, size=size, classes=street) for s in _folders(root / "leftImg8bit")})
    if any((root / "rgb_anon" / condition).is_dir() for condition in CONDITIONS):
        present = [c for c in CONDITIONS if (root / "rgb_anon" / c).is_dir()]
        sets = {"train": acdc(root, size=size, classes=street)} if _has(root, "train") else {}
        for condition in present:
            if (root / "rgb_anon" / condition / "val").is_dir():
                sets[condition] = acdc(root, "val", condition=condition, size=size, classes=street)
        return _with_splits(sets)
    if (root / "rgb_anon").is_dir():
        wanted = [s for s in ("train", "val") if (root / "rgb_anon" / s / "night").is_dir()]
        return _with_splits({s: dark_zurich(root, s, size=size, classes=street) for s in wanted})
    camvid_classes = classes or CAMVID_11
    if (root / "trainannot").is_dir():
        wanted = [s for s in ("train", "val", "test") if (root / s).is_dir()]
        return _with_splits({s: camvid(root, s, size=size, classes=camvid_classes) for s in wanted})
    if (root / "train_images.npz").is_file() and (root / "train_labels.npz").is_file():
        wanted = [s for s in ("train", "val", "test") if (root / f"{s}_labels.npz").is_file()]
        return _with_splits({s: PackedScenes(root, s, size=size, classes=camvid_classes) for s in wanted})
    return None


def _with_splits(sets: Mapping[str, Scenes]) -> Data | None:
    """The train set with the labelled others as held-out sets; without one the first set, with all as held-out sets."""
    if not sets:
        return None
    train = sets["train"] if "train" in sets else next(iter(sets.values()))
    train.held_out = {name: each for name, each in sets.items() if name != "train" and each.labelled}
    return train


def _folders(root: Path) -> list[str]:
    return [name for name in ("train", "val") if (root / name).is_dir()]


def _has(root: Path, split: str) -> bool:
    return any((root / "rgb_anon" / condition / split).is_dir() for condition in CONDITIONS)


def _scenes(
    root: Path,
    pictures: Mapping[str, Mapping[str, Path]],
    labels: str,
    name: str,
    size: int | None,
    classes: ClassSet,
) -> FileScenes:
    """Pictures in one appearance, with label maps of the kind that the first scene has, or with none."""
    if not pictures:
        raise ValueError(f"{name}: {root} holds no pictures in the published layout")
    first = next(iter(pictures))
    kinds = {"labelTrainIds": TRAIN_IDS, "labelIds": LABEL_IDS} if labels else {}
    kind = next((k for k in kinds if (root / labels.format(scene=first, kind=k)).is_file()), None)
    files = [
        SceneFiles(scene, tuple(images.values()), root / labels.format(scene=scene, kind=kind) if kind else None)
        for scene, images in pictures.items()
    ]
    numbering = kinds[kind] if kind else TRAIN_IDS
    return FileScenes(files, (layout.ONLY,), numbering, classes, size=size, root=root, name=name)
