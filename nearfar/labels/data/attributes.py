"""Features of pictures and attributes of classes, some of which have no pictures to learn from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nearfar.sources.archives import read_npz
from nearfar.training import Data


class AttributeBatch(NamedTuple):
    """Features (N, D), their class numbers (N,) int64 and the attributes (N, A) of those classes."""

    features: Tensor
    labels: Tensor
    attributes: Tensor


class AttributeFeatures(Data):
    """Features of pictures with classes, each class described by a vector of attributes.

    Training has the classes that it holds; those that only the held-out set ``unseen`` has are known by their
    attributes alone.

    Args:
        features: (N, D) floats, such as a pre-trained network's; scaled to [0, 1] column by column over this set.
        labels: (N,) class numbers.
        attributes: (C, A) floats, a row per class.
        splits: held-out features and class numbers by name: ``seen``, ``unseen``.

    Raises:
        ValueError: shapes, values or class numbers that do not fit; no class left to be unseen.
    """

    gives = AttributeBatch

    def __init__(
        self,
        features: np.ndarray,
        labels: np.ndarray,
        attributes: np.ndarray,
        *,
        splits: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
        name: str = "features",
        scale: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> None:
        x = np.asarray(features, np.float32)
        self.attributes = np.asarray(attributes, np.float32)
        self.labels = np.asarray(labels, np.int64)
        self.name = name
        if x.ndim != 2 or self.attributes.ndim != 2 or self.labels.shape != x.shape[:1] or not len(x):
            raise ValueError(
                f"expected features (N, D), labels (N,) and attributes (C, A) with N at least 1, got {x.shape}, "
                f"{self.labels.shape} and {self.attributes.shape}"
            )
        if not np.isfinite(x).all() or not np.isfinite(self.attributes).all():
            raise ValueError("features and attributes must be finite numbers")
        if self.labels.min() < 0 or self.labels.max() >= len(self.attributes):
            raise ValueError(f"labels must name rows of attributes, 0 to {len(self.attributes) - 1}")
        low, high = scale or (x.min(0), x.max(0))
        self.features = np.clip((x - low) / np.maximum(high - low, 1e-12), 0, 1)
        self._splits: dict[str, Data] = {
            part: AttributeFeatures(*found, self.attributes, name=part, scale=(low, high))
            for part, found in (splits or {}).items()
        }
        unseen = self._splits.get("unseen")
        if unseen is not None and unseen.labels is not None and np.isin(unseen.labels, self.labels).any():
            raise ValueError("a class of the held-out set unseen has pictures in training")

    def __len__(self) -> int:
        return len(self.features)

    def batch(self, indices: np.ndarray) -> AttributeBatch:
        assert self.labels is not None
        y = self.labels[indices]
        return AttributeBatch(
            torch.from_numpy(self.features[indices]), torch.from_numpy(y), torch.from_numpy(self.attributes[y])
        )

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"feature_dim": self.features.shape[1], "attribute_dim": self.attributes.shape[1]}

    def splits(self) -> Mapping[str, Data]:
        return self._splits

    @staticmethod
    def holds(path: Path) -> bool:
        """Whether an ``.npz`` file has features and attributes."""
        with np.load(path, allow_pickle=False) as arrays:
            return {"features", "attributes"} <= set(arrays.files)

    @classmethod
    def read(cls, path: Path) -> AttributeFeatures:
        """An ``.npz`` with ``features`` (N, D), ``labels`` (N,), ``attributes`` (C, A) and rows of ``train``, ``seen``
        and ``unseen``.

        Raises:
            ValueError: an array is missing; a row that does not exist.
        """
        arrays = read_npz(path)
        missing = [n for n in ("features", "labels", "attributes", "train", "seen", "unseen") if n not in arrays]
        if missing:
            raise ValueError(f"{path} has no array {missing[0]}; it holds {', '.join(arrays)}")
        x, y = arrays["features"], arrays["labels"]
        rows = {name: arrays[name].astype(np.int64) for name in ("train", "seen", "unseen")}
        for name, chosen in rows.items():
            if not len(chosen) or chosen.min() < 0 or chosen.max() >= len(x):
                raise ValueError(f"{path}: {name} must hold one or more rows from 0 to {len(x) - 1}")
        held_out = {name: (x[rows[name]], y[rows[name]]) for name in ("seen", "unseen")}
        return cls(x[rows["train"]], y[rows["train"]], arrays["attributes"], splits=held_out, name=path.stem)


def attribute_features(
    seen: int = 20, unseen: int = 5, each: int = 60, width: int = 64, attributes: int = 16, seed: int = 0
) -> AttributeFeatures:
    """Features of ``seen + unseen`` classes, each class's mean a linear function of its attributes.

    ``relu(A a_c + factors within the class)`` in three quarters of the columns, and columns that say nothing of the
    class in the last quarter.
    """
    rng = np.random.default_rng(seed)
    classes = seen + unseen
    described = rng.random((classes, attributes)).astype(np.float32)
    useful = 3 * width // 4
    mixing = rng.normal(size=(attributes, useful)) / np.sqrt(attributes)
    within = rng.normal(size=(8, useful)) / np.sqrt(8)
    labels = np.repeat(np.arange(classes), each)
    means = (described - 0.5) @ mixing * 3.0
    x = means[labels] + rng.normal(size=(len(labels), 8)) @ within * 0.55
    x = x + 0.15 * rng.normal(size=x.shape) + 0.3
    other = np.abs(rng.normal(size=(len(labels), width - useful)))
    features = np.concatenate([np.maximum(x, 0), other], axis=1).astype(np.float32)
    place = np.tile(np.arange(each), classes)
    train = np.flatnonzero((labels < seen) & (place < 2 * each // 3))
    held_out = {
        "seen": np.flatnonzero((labels < seen) & (place >= 2 * each // 3)),
        "unseen": np.flatnonzero(labels >= seen),
    }
    return AttributeFeatures(
        features[train],
        labels[train],
        described,
        splits={name: (features[rows], labels[rows]) for name, rows in held_out.items()},
        name="attribute-features",
    )
