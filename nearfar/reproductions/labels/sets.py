"""Real pictures for reproductions about labels, from the shared data sets, with embedded ones in their place."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from nearfar.labels.data import LabelledImages
from nearfar.labels.data import load as embedded
from nearfar.labels.method import Seen
from nearfar.labels.methods.supcon import SupCon
from nearfar.reproductions.arms import shared
from nearfar.training import Data
from nearfar.vision.data import ImageArray

CIFAR = shared("cifar10/train_x.webp")


@functools.cache
def cifar(train: int = 3000, test: int = 1000) -> LabelledImages | None:
    """The first pictures of CIFAR-10, at half their size, and its first test pictures; ``None`` without shared data."""
    if CIFAR is None:
        return None
    with np.load(CIFAR.parent / "labels.npz", allow_pickle=False) as arrays:
        labels = {part: arrays[f"{part}_y"] for part in ("train", "test")}

    def part(name: str, count: int) -> tuple[ImageArray, np.ndarray]:
        sheet = np.asarray(Image.open(CIFAR.parent / f"{name}_x.webp"))  # type: ignore[union-attr]
        tiles = sheet.reshape(len(sheet) // 32, 32, 100, 32, 3).swapaxes(1, 2).reshape(-1, 32, 32, 3)
        halved = tiles[:count].reshape(count, 16, 2, 16, 2, 3).mean((2, 4)).round().astype(np.uint8)
        return ImageArray(halved, name=f"CIFAR-10 {name}"), labels[name][:count].astype(np.int64)

    images, y = part("train", train)
    held_out, held_y = part("test", test)
    return LabelledImages(
        images, y, classes=range(10), splits={"test": LabelledImages(held_out, held_y, classes=range(10))}
    )


def pictures(train: int = 3000, test: int = 1000) -> LabelledImages:
    """CIFAR-10, or the embedded labelled digits."""
    found: Data = cifar(train, test) or embedded("labelled-digits")
    assert isinstance(found, LabelledImages)
    return found


def named(what: str = "") -> str:
    """What :func:`pictures` gives, for a setting."""
    return f"CIFAR-10{what} at 16 px" if CIFAR else f"scikit-learn's digits{what} in drawn styles at 16 px"


class CrossEntropy(SupCon):
    """The baseline of label methods: the same encoder, views and steps, a linear classifier under cross-entropy.

    Args:
        num_classes: of the classifier.
        arguments: as of SupCon.
    """

    def __init__(self, encoder: str | nn.Module = "small-conv", *, num_classes: int = 10, **arguments: object) -> None:
        super().__init__(encoder, **arguments)  # type: ignore[arg-type]
        self.head = nn.Linear(self.features, num_classes)

    def loss(self, seen: Seen) -> Tensor:  # type: ignore[override]
        known = seen.labels >= 0
        return sum(F.cross_entropy(self.network(v)[known], seen.labels[known]) for v in seen.views) / len(seen.views)  # type: ignore[return-value]

    def kept(self) -> nn.Module:
        return self.network


def predicted(method: CrossEntropy, data: Data, rows: Sequence[int] | None = None) -> np.ndarray:
    """The classes that a classifier names for pictures."""
    from nearfar.sources.data import in_order

    found = []
    with method.frozen():
        for _, batch in in_order(data, 256):
            found.append(method.head(method.encode(batch)).argmax(1).numpy())
    return np.concatenate(found)


@functools.cache
def few_classes(name: str, *, classes: int, side: int = 14) -> LabelledImages | None:
    """Drawings of the first classes of QuickDraw, or the first characters of Omniglot; every fifth is held out.

    ``None`` where the shared data is not there. Omniglot's have the mark ``levels``: alphabet, character.
    """
    path = shared({"quickdraw": "quickdraw/quickdraw.npz", "omniglot": "omniglot_small1/images.npz"}[name])
    if path is None:
        return None
    with np.load(path, allow_pickle=False) as arrays:
        if name == "quickdraw":
            x, y, above = arrays["x"], arrays["y"].astype(np.int64), None
        else:
            bits = np.unpackbits(arrays["bits"], axis=1)[:, : 105 * 105].reshape(-1, 105, 105)
            # 35 cells of 3 pixels, then halved roughly by the crop of the border.
            x = (255 * bits.reshape(-1, 35, 3, 35, 3).mean((2, 4))).astype(np.uint8)
            y, above = arrays["char"].astype(np.int64), arrays["alphabet"].astype(np.int64)
    rows = np.flatnonzero(y < classes)
    x, y = x[rows], y[rows]
    if name == "quickdraw" and side == 14:
        x = x.reshape(-1, 14, 2, 14, 2).mean((2, 4)).astype(np.uint8)
    held_out = np.arange(len(y)) % 5 == 4
    marks = {} if above is None else {"levels": np.stack([above[rows], y], axis=1)}

    def part(chosen: np.ndarray, **splits: Data) -> LabelledImages:
        kept = {mark: values[chosen] for mark, values in marks.items()}
        images = ImageArray(x[chosen], name=name)
        return LabelledImages(images, y[chosen], classes=range(classes), marks=kept, splits=splits)

    return part(~held_out, test=part(held_out))


@functools.cache
def handwriting(source: int = 1500, target: int = 1500, test: int = 1000) -> LabelledImages | None:
    """Labelled MNIST and unlabelled USPS at 16 px, USPS held out; ``None`` where the shared data is not there."""
    mnist, usps = shared("mnist/mnist.npz"), shared("usps/usps.npz")
    if mnist is None or usps is None:
        return None
    with np.load(mnist, allow_pickle=False) as m, np.load(usps, allow_pickle=False) as u:
        padded = np.pad(m["train_x"][:source], ((0, 0), (2, 2), (2, 2)))
        xs = padded.reshape(source, 16, 2, 16, 2).mean((2, 4)).astype(np.uint8)
        x = np.concatenate([xs, u["train_x"][:target]])
        y = np.concatenate([m["train_y"][:source], u["train_y"][:target]]).astype(np.int64)
        xt, yt = u["test_x"][:test], u["test_y"][:test].astype(np.int64)
    domain = np.repeat([0, 1], [source, target])
    marks = {"domain": np.ones(len(xt), np.int64)}
    held_out = LabelledImages(ImageArray(xt, name="USPS"), yt, marks=marks, classes=range(10))
    return LabelledImages(
        ImageArray(x, name="MNIST to USPS"),
        y,
        known=domain == 0,
        marks={"domain": domain},
        classes=range(10),
        splits={"target": held_out},
    )
