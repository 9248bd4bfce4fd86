"""Folders of pictures of any size and mode."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image, ImageOps

from nearfar.training import Data
from nearfar.vision.method import ImageBatch

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
MAX_PIXELS = 512_000_000


class ImageFolder(Data):
    """Pictures below a folder, decoded when they are needed and brought to one square size.

    Each picture is turned upright (EXIF), made RGB (transparent areas become white, palettes and CMYK are
    converted, 16-bit is scaled, the first frame of an animation is taken), scaled so that its shorter side is
    ``size``, and cut at the centre. Random crops are then drawn from that square.

    Labels are the names of the folders that directly hold the pictures, when there are at least two such
    folders; otherwise there are none. Files that are not pictures or cannot be decoded are left out and listed
    in :attr:`skipped`.

    Args:
        root: the folder; links to files are followed, links to folders are not.
        size: side of the squares, in pixels.
        files: the picture files, found below ``root`` when not given.
        splits: held-out sets by name.

    Raises:
        FileNotFoundError: no such folder. ValueError: no readable picture in it.
    """

    def __init__(
        self,
        root: Path | str,
        size: int = 96,
        *,
        files: Iterable[Path] | None = None,
        splits: Mapping[str, Data] | None = None,
    ) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise FileNotFoundError(f"there is no folder {root}")
        if size < 1:
            raise ValueError(f"size must be at least 1 pixel, got {size}")
        self.size = size
        self._splits = dict(splits or {})
        self.name = self.root.name
        found = sorted(files if files is not None else _pictures(self.root))
        with ThreadPoolExecutor(max_workers=min(8, (os.cpu_count() or 1) * 2)) as pool:
            verdicts = list(pool.map(_why_unreadable, found))
        self.skipped = {str(f.relative_to(self.root)): why for f, why in zip(found, verdicts, strict=True) if why}
        self.files = [f for f, why in zip(found, verdicts, strict=True) if not why]
        if not self.files:
            raise ValueError(
                f"{root} holds no readable picture: {len(found)} files with the suffixes "
                f"{', '.join(SUFFIXES)} were found and none could be decoded"
            )
        if self.skipped:
            first, why = next(iter(self.skipped.items()))
            warnings.warn(f"{len(self.skipped)} of {len(found)} files were left out, the first: {first}: {why}")
        folders = [f.parent.relative_to(self.root).as_posix() for f in self.files]
        self.labels = np.array(folders) if len(set(folders)) > 1 else None

    def __len__(self) -> int:
        return len(self.files)

    def batch(self, indices: np.ndarray) -> ImageBatch:
        pixels = np.stack([square(self.files[i], self.size) for i in indices])
        return ImageBatch(torch.from_numpy(pixels).permute(0, 3, 1, 2), torch.as_tensor(indices))

    def splits(self) -> Mapping[str, Data]:
        return self._splits

    @property
    def ids(self) -> np.ndarray:
        return np.array([f.relative_to(self.root).as_posix() for f in self.files])


def _pictures(root: Path) -> list[Path]:
    found = []
    for folder, _, names in os.walk(root):
        found += [Path(folder, n) for n in names if n.lower().endswith(SUFFIXES) and not n.startswith(".")]
    return found


def _why_unreadable(path: Path) -> str:
    try:
        decode(path)
    except Exception as error:  # decoders raise anything on hostile bytes
        return f"{type(error).__name__}: {error}"
    return ""


def decode(path: Path) -> np.ndarray:
    """A picture file as (H, W, 3) uint8 RGB, upright."""
    with Image.open(path) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"it claims {image.width} x {image.height} pixels, more than {MAX_PIXELS:,}")
        return to_rgb(image)


def to_rgb(image: Image.Image) -> np.ndarray:
    """Any mode of picture as (H, W, 3) uint8 RGB, upright, transparency over white."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        values = np.asarray(image, dtype=np.float64)
        top = 65535.0 if image.mode != "F" else max(float(values.max()), 1.0)
        grey = np.clip(values / top * 255.0, 0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=-1)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


def square(path: Path, size: int) -> np.ndarray:
    """The picture's central square at ``size``; the shorter side is scaled to it."""
    return to_square(decode(path), size)


def to_square(image: np.ndarray, size: int) -> np.ndarray:
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    cut = np.ascontiguousarray(image[top : top + side, left : left + side])
    if side == size:
        return cut
    return cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_LINEAR)
