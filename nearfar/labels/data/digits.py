"""Embedded handwriting with labels that are rare, hierarchical, incomplete, changing or of another domain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nearfar.labels.data.labelled import LabelledImages, long_tail
from nearfar.sources.tasks import Tasks
from nearfar.vision.data import ImageArray
from nearfar.vision.data.digit_styles import TEXTURES, StyleFamily
from nearfar.vision.data.styled_digits import styled_digits

TREE = {0: (0, 0), 6: (0, 0), 9: (0, 0), 3: (0, 1), 8: (0, 1), 1: (1, 2), 4: (1, 2), 7: (1, 2), 2: (1, 3), 5: (1, 3)}
"""Of each digit: round or straight; one loop, two bows, strokes alone, strokes and bows."""

TASKS = 5


def digits(styles: str | StyleFamily, size: int, *, copies: int = 1) -> LabelledImages:
    """The training digits in these styles, and those of other hands as ``test``."""
    pixels, labels, _ = styled_digits("test", styles, size=size, seed=1)
    test = LabelledImages(ImageArray(pixels, name="test"), labels, classes=range(10))
    pixels, labels, _ = styled_digits("train", styles, size=size, seed=0, copies=copies)
    return LabelledImages(ImageArray(pixels, name="digits"), labels, classes=range(10), splits={"test": test})


def long_tailed_digits(size: int, ratio: float = 20.0) -> LabelledImages:
    """Styled digits, 0 twenty times as common as 9; the held-out set is balanced."""
    data = digits("seen", size)
    assert data.labels is not None
    return data.subset(long_tail(data.labels, ratio)).with_(name="long-tailed-digits")


def digit_tree(size: int) -> LabelledImages:
    """Styled digits with three levels of classes; see :data:`TREE`."""

    def grown(data: LabelledImages) -> LabelledImages:
        assert data.labels is not None
        levels = np.array([(*TREE[digit], digit) for digit in data.labels.tolist()])
        return LabelledImages(data.images, data.labels, marks={"levels": levels}, classes=range(10), name="digit-tree")

    data = digits("seen", size)
    test = data.splits()["test"]
    assert isinstance(test, LabelledImages)
    return grown(data).with_(splits={"test": grown(test)})


def open_digits(size: int, *, old: int = 6, labelled: float = 0.5) -> LabelledImages:
    """Digits of which ``old`` are known classes, a share of their pictures ``labelled``; of the others nothing is."""
    data = digits("seen", size)
    assert data.labels is not None
    return opened(data, range(old), labelled).with_(name="open-digits")


def opened(data: LabelledImages, old: Sequence[int], labelled: float, seed: int = 0) -> LabelledImages:
    """Hide the labels of every class but ``old`` ones, and of those all but the share ``labelled``.

    Raises:
        ValueError: no class is left with a label, or all are; a share outside (0, 1].
    """
    if data.labels is None or not 0 < labelled <= 1:
        raise ValueError(f"a share of labels in (0, 1] needs labelled pictures, got {labelled} for {data.name}")
    if not 0 < len(old) <= len(data.classes):
        raise ValueError(f"of {len(data.classes)} classes 1 to all may be known, got {len(old)}")
    rng = np.random.default_rng(seed)
    hidden = ~np.isin(data.labels, list(old))
    for number in old:
        rows = rng.permutation(np.flatnonzero(data.labels == number))
        hidden[rows[max(round(labelled * len(rows)), 1) :]] = True
    return data.hiding(hidden)


def digit_tasks(size: int) -> Tasks:
    """Five tasks of two digits, each drawn in colours and textures of its own."""
    tasks = []
    for task in range(TASKS):
        hue = task / TASKS
        style = StyleFamily(
            hues=((hue, hue + 0.1),),
            textures=(TEXTURES[(task + 1) % len(TEXTURES)],),
            grounds=("linear",),
            stroke_texture=0.3,
            scale=(0.75, 1.0),
            shift=0.06,
        )
        data = digits(style, size)
        assert data.labels is not None
        tasks.append(_of_classes(data, (2 * task, 2 * task + 1)))
    return stream(tasks, "digit-tasks")


def stream(tasks: Sequence[LabelledImages], name: str) -> Tasks:
    """A stream whose held-out sets are those of its tasks."""
    return Tasks(tasks, name=name)


def split_classes(data: LabelledImages, tasks: int) -> Tasks:
    """A collection as a stream of tasks, each with its own share of the classes, in the order of their names.

    Raises:
        ValueError: no labels, or fewer classes than tasks.
    """
    present = [] if data.labels is None else np.unique(data.labels[data.labels >= 0]).tolist()
    if not 2 <= tasks <= len(present):
        raise ValueError(
            f"{data.name} has {len(present)} labelled classes, which make 2 to {len(present)} tasks, not {tasks}"
            if len(present) > 1
            else f"{data.name} has no labels of two classes or more, so it cannot be divided into tasks"
        )
    groups = np.array_split(np.array(present), tasks)
    return stream([_of_classes(data, group.tolist()) for group in groups], data.name)


def _of_classes(data: LabelledImages, classes: Sequence[int]) -> LabelledImages:
    """The pictures of some classes, in the held-out sets too."""

    def part(whole: LabelledImages) -> LabelledImages:
        assert whole.labels is not None
        return whole.subset(np.flatnonzero(np.isin(whole.labels, classes)))

    held_out = {name: part(each) for name, each in data.splits().items() if isinstance(each, LabelledImages)}
    return part(data).with_(splits={name: each for name, each in held_out.items() if len(each)})


def shifted_digits(size: int) -> LabelledImages:
    """Labelled white digits on black, and unlabelled ones of other hands half inverted under a ramp of light.

    The target is ``0.62 x + 0.38 (1 - x) ramp``: strokes stay lighter than the ground at one side only. The held-out
    set is of the target's domain.
    """
    data, more = digits("clean", size), digits("clean", size)
    assert isinstance(data.images, ImageArray)
    assert data.labels is not None
    test = more.splits()["test"]
    assert isinstance(test, LabelledImages)
    assert isinstance(test.images, ImageArray)
    half = np.random.default_rng(0).permutation(len(data))
    source, target = np.sort(half[: len(half) // 2]), np.sort(half[len(half) // 2 :])
    pixels = np.concatenate([data.images.images[source], _ramped(data.images.images[target])])
    labels = np.concatenate([data.labels[source], data.labels[target]])
    domain = np.repeat([0, 1], [len(source), len(target)])
    held_out = ImageArray(_ramped(test.images.images), name="target test")
    marks = {"domain": np.ones(len(held_out), np.int64)}
    return LabelledImages(
        ImageArray(pixels, name="shifted-digits"),
        labels,
        known=domain == 0,
        marks={"domain": domain},
        classes=range(10),
        splits={"target": LabelledImages(held_out, test.labels, marks=marks, classes=range(10))},
    )


def _ramped(images: np.ndarray, mix: float = 0.62) -> np.ndarray:
    x = images.astype(np.float32) / 255
    ramp = np.linspace(0, 1, x.shape[1], dtype=np.float32)[None, :, None, None]
    return np.rint(255 * (mix * x + (1 - mix) * (1 - x) * ramp)).astype(np.uint8)
