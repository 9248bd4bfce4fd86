"""Pictures with what is known of each: a class or none, levels of a hierarchy, a position, a place, a domain."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nearfar.training import Data
from nearfar.vision.data import ImageArray
from nearfar.vision.method import ImageBatch

MARKS = {
    "levels": "class numbers (N, L) of a hierarchy, from coarse to fine",
    "position": "positions (N, P), such as a slice's depth, in any unit",
    "coordinates": "latitude and longitude (N, 2) in degrees",
    "place": "numbers (N,) of places; pictures of one place show the same thing at several times",
    "weak": "class numbers (N,) that are cheap and less certain than the labels, learned from in their place",
    "subject": "numbers (N,) of subjects, such as patients",
    "domain": "0 (N,) where a picture comes from the labelled source, 1 from the target",
}
"""What else may be known of a picture."""


class LabelledBatch(NamedTuple):
    """Pictures with their class numbers (N,) int64, -1 where a label is not known, and further marks.

    ``pictures`` is what vision's methods learn from; ``marks`` holds tensors of N rows, named in :data:`MARKS`.
    """

    pictures: ImageBatch
    labels: Tensor
    marks: dict[str, Tensor]


class LabelledImages(Data):
    """A collection of pictures and a table of what is known of each.

    Args:
        images: the pictures.
        labels: (N,) class numbers or names, one per picture; ``None`` where nothing is known of any. Empty names and
            negative numbers are unknown classes.
        known: (N,) bool, whether training may see the label; evaluation sees all of them.
        marks: further columns by the names of :data:`MARKS`.
        classes: names of the classes in the order of their numbers; those that occur, sorted, when not given.
        name: what to call the set; that of ``images`` when not given.
        splits: held-out sets by name.

    Raises:
        ValueError: columns of another length, a class that ``classes`` does not name, a hierarchy that is no tree.
    """

    gives = LabelledBatch

    def __init__(
        self,
        images: Data,
        labels: np.ndarray | None = None,
        *,
        known: np.ndarray | None = None,
        marks: Mapping[str, np.ndarray] | None = None,
        classes: Sequence[Any] | None = None,
        name: str | None = None,
        splits: Mapping[str, Data] | None = None,
    ) -> None:
        self.images = images
        self.name = name or images.name
        self._splits = dict(splits or {})
        self._numbers, self.classes = numbered(labels, len(images), classes)
        known = np.ones(len(images), bool) if known is None else np.asarray(known, bool)
        self._marks = {column: np.asarray(values) for column, values in (marks or {}).items()}
        for column, values in (("known", known), *self._marks.items()):
            if len(values) != len(images):
                raise ValueError(f"{column} has {len(values)} entries for {len(images)} pictures")
        if "levels" in self._marks:
            check_tree(self._marks["levels"])
        self._seen = np.where(known, self._numbers, -1)
        self._choose(np.arange(len(images)))

    def _choose(self, chosen: np.ndarray) -> None:
        self.chosen = chosen
        labels = self._numbers[chosen]
        self.labels = labels if (labels >= 0).any() else None

    def __len__(self) -> int:
        return len(self.chosen)

    def batch(self, indices: np.ndarray) -> LabelledBatch:
        return self._marked(self.images.batch(self.chosen[indices]))

    def training_batch(self, indices: np.ndarray) -> LabelledBatch:
        return self._marked(self.images.training_batch(self.chosen[indices]))

    def _marked(self, pictures: ImageBatch) -> LabelledBatch:
        # By the rows that were read: another picture may stand in for one that cannot be.
        rows = pictures.rows.numpy()
        marks = {column: torch.from_numpy(values[rows]) for column, values in self._marks.items()}
        return LabelledBatch(pictures, torch.from_numpy(self._seen[rows]), marks)

    def readable(self, rows: np.ndarray) -> np.ndarray:
        return self.images.readable(self.chosen[rows])

    @property
    def skipped(self) -> Any:
        """What could not be read of the pictures."""
        return getattr(self.images, "skipped", None)

    @property
    def seen(self) -> np.ndarray:
        """The class numbers that training may see; -1 for the others."""
        return self._seen[self.chosen]

    @property
    def marks(self) -> dict[str, np.ndarray]:
        return {column: values[self.chosen] for column, values in self._marks.items()}

    @property
    def counts(self) -> np.ndarray:
        """Number of labelled pictures of each class."""
        seen = self.seen
        return np.bincount(seen[seen >= 0], minlength=len(self.classes))

    @property
    def ids(self) -> np.ndarray:
        return self.images.ids[self.chosen]

    @property
    def facts(self) -> Mapping[str, Any]:
        found: dict[str, Any] = {"num_pictures": len(self.images)}
        size = (
            self.images.images.shape[1] if isinstance(self.images, ImageArray) else getattr(self.images, "size", None)
        )
        if isinstance(size, int):
            found["picture_size"] = size
        if self.classes:
            found["num_classes"] = len(self.classes)
        if "levels" in self._marks:
            found["num_levels"] = self._marks["levels"].shape[1]
        return found

    def splits(self) -> Mapping[str, Data]:
        return self._splits

    def subset(self, indices: np.ndarray) -> LabelledImages:
        """The pictures at ``indices``, with the class numbers and held-out sets of all."""
        part = copy.copy(self)
        part._choose(self.chosen[np.asarray(indices, dtype=np.int64)])
        return part

    def with_(self, *, name: str | None = None, splits: Mapping[str, Data] | None = None) -> LabelledImages:
        """The same pictures under another name or with other held-out sets."""
        other = copy.copy(self)
        other.name = name or self.name
        other._splits = dict(self._splits if splits is None else splits)
        return other

    def hiding(self, hidden: np.ndarray) -> LabelledImages:
        """The same pictures, the labels of those where ``hidden`` (N,) is true not seen in training."""
        other = copy.copy(self)
        other._seen = self._seen.copy()
        other._seen[self.chosen[np.asarray(hidden, bool)]] = -1
        return other


def numbered(labels: np.ndarray | None, count: int, classes: Sequence[Any] | None) -> tuple[np.ndarray, list[Any]]:
    """Class numbers (N,) int64, -1 for unknown classes, and the names of the classes."""
    if labels is None:
        return np.full(count, -1), list(classes or [])
    values = np.asarray(labels)
    if values.shape != (count,):
        raise ValueError(f"labels must be one per picture, {count} of them, got shape {values.shape}")
    unknown = values == "" if values.dtype.kind == "U" else values < 0
    names = list(np.unique(values[~unknown])) if classes is None else list(classes)
    place = {name: number for number, name in enumerate(names)}
    strange = next((v for v in values[~unknown] if v not in place), None)
    if strange is not None:
        raise ValueError(f"the class {strange!s} is none of the {len(names)} classes of the training set")
    return np.array([-1 if u else place[v] for v, u in zip(values, unknown, strict=True)], dtype=np.int64), names


def check_tree(
    levels: np.ndarray, names: Sequence[str] | None = None, classes: Sequence[Sequence[Any]] | None = None
) -> None:
    """Every class of a level lies in one class of the level above.

    Args:
        levels: (N, L) class numbers, coarse to fine; -1 where a level is not known.
        names: of the levels, for the error.
        classes: what the classes of each level are called, in the order of their numbers, likewise.

    Raises:
        ValueError: not two-dimensional, or a class with two parents; one sentence says which.
    """
    if levels.ndim != 2 or levels.shape[1] < 1:
        raise ValueError(f"levels of a hierarchy must have shape (N, L) with L at least 1, got {levels.shape}")
    names = names or [f"level {number + 1}" for number in range(levels.shape[1])]
    for upper in range(levels.shape[1] - 1):
        pairs = np.unique(levels[:, upper : upper + 2], axis=0)
        pairs = pairs[(pairs >= 0).all(1)]
        children, times = np.unique(pairs[:, 1], return_counts=True)
        if (times > 1).any():
            child = children[times > 1][0]
            parents = pairs[pairs[:, 1] == child, 0][:2].tolist()
            if classes is not None:
                child, parents = classes[upper + 1][child], [classes[upper][parent] for parent in parents]
            raise ValueError(
                f"the levels are no tree: class {child} of {names[upper + 1]} lies in classes {parents[0]} and "
                f"{parents[1]} of {names[upper]}; give every class one parent"
            )


def long_tail(labels: np.ndarray, ratio: float, *, seed: int = 0, kind: str = "exp") -> np.ndarray:
    """Positions, in order, of a part of the rows in which classes are ever rarer.

    Class c of C keeps ``floor(n * ratio ** (-c / (C - 1)))`` of its rows, n being the number of the commonest class
    (the exponential profile of the long-tail literature), or with ``kind="step"`` the second half of the classes
    keeps ``floor(n / ratio)``. Every class keeps two rows or more.

    Args:
        labels: (N,) class numbers; rows below 0 are left out.
        ratio: of the commonest class to the rarest, at least 1.

    Raises:
        ValueError: a ratio below 1, an unknown kind.
    """
    if not ratio >= 1 or kind not in ("exp", "step"):
        raise ValueError(f"a long tail needs a ratio of at least 1 and kind exp or step, got {ratio} and {kind!r}")
    rng = np.random.default_rng(seed)
    classes = np.unique(labels[labels >= 0])
    most = max(int((labels == c).sum()) for c in classes)
    kept = []
    for place, number in enumerate(classes):
        share = place / max(len(classes) - 1, 1) if kind == "exp" else float(place >= (len(classes) + 1) // 2)
        wanted = max(int(most * ratio**-share), 2)
        rows = np.flatnonzero(labels == number)
        kept.append(rng.permutation(rows)[:wanted])
    return np.sort(np.concatenate(kept))
