"""Pictures found by words, by a picture, or by a picture and what is to be different; pictures named by words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from nearfar.evaluation import nearest_neighbours
from nearfar.multimodal.composed import composed
from nearfar.multimodal.data import EMBEDDED
from nearfar.multimodal.data import load as load_pairs
from nearfar.multimodal.evaluation import zero_shot_classifier
from nearfar.multimodal.method import PairEncoder
from nearfar.sources.data import Data, in_order
from nearfar.sources.opening import nothing_there
from nearfar.sources.tables import TABLES, suffix_of
from nearfar.training import Method
from nearfar.training.embed import to_device
from nearfar.vision.data import ImageFolder
from nearfar.vision.data import load as load_images
from nearfar.vision.data.decode import square

__all__ = ["Best", "Pictures", "agreement", "embedded", "named", "nearest", "pictures_of", "query", "side_of"]

BATCH = 256
SIDES = {"generated": 32, "files": 96}
"""Sides of pictures where a run's settings name none."""


class Pictures(NamedTuple):
    """Pictures by ``names`` (N,), their features (N, D), and their labels (N,) where they have some."""

    names: list[str]
    features: np.ndarray
    labels: np.ndarray | None


class Best(NamedTuple):
    """The k best for each of Q: rows (Q, k), best first, and their cosines (Q, k)."""

    rows: np.ndarray
    scores: np.ndarray


def side_of(described: Mapping[str, Any]) -> int:
    """The side in pixels that a run was trained at, by the settings of its data."""
    source = described.get("source")
    generated = source is None or str(source) in EMBEDDED
    return int(described.get("size") or SIDES["generated" if generated else "files"])


def pictures_of(source: str, size: int) -> Data:
    """A collection of pictures: a folder with all below it, a table, an array, or an embedded set by its name.

    Raises:
        FileNotFoundError: there is none of that name. ValueError: it holds no pictures.
    """
    path = Path(source)
    if path.is_dir():
        return ImageFolder(path, size)
    if path.exists():
        found = load_images(path, size=size if suffix_of(path) in TABLES else None)
    elif source in EMBEDDED:
        found = load_pairs(source, size=size)
    else:
        raise nothing_there(source, EMBEDDED)
    if len(found) and not hasattr(found.batch(np.arange(1)), "images"):
        raise ValueError(f"{source} is no collection of single pictures")
    return found


def embedded(method: Method, data: Data) -> Pictures:
    """Every picture that can be read, embedded."""
    towers = _towers(method)
    names: list[str] = []
    rows, parts = [], []
    with method.frozen():
        for indices, batch in in_order(data, BATCH):
            fine = data.readable(indices)
            features = towers.embed_images(to_device(batch.images, method.device)).float().cpu().numpy()
            parts.append(features[fine])
            rows.append(indices[fine])
            names += [str(name) for name in data.ids[indices[fine]]]
    kept = np.concatenate(rows)
    return Pictures(names, np.concatenate(parts), None if data.labels is None else data.labels[kept])


@torch.no_grad()
def query(method: Method, words: str | None = None, picture: Path | None = None, *, size: int) -> np.ndarray:
    """A query (1, D): of words, of a picture file, or of both, where the words say what is to be different."""
    towers = _towers(method)
    with method.frozen():
        if picture is None:
            assert words is not None
            return towers.embed_text([words]).float().cpu().numpy()
        pixels = torch.from_numpy(square(picture, size)[None]).permute(0, 3, 1, 2)
        images = to_device(pixels, method.device)
        found = towers.embed_images(images) if words is None else composed(method, images, [words])
    return found.float().cpu().numpy()


def nearest(pictures: Pictures, asked: np.ndarray, k: int, *, without: str | None = None) -> Best:
    """The ``k`` pictures nearest to queries (Q, D) by cosine, or all where there are fewer; one may be left out."""
    rows = np.array([row for row, name in enumerate(pictures.names) if name != without], dtype=np.int64)
    if not len(rows):
        raise ValueError("there is no picture to find")
    scores, places = nearest_neighbours(asked, pictures.features[rows], min(k, len(rows)), names=("query", "pictures"))
    return Best(rows[places], scores)


def named(method: Method, pictures: Pictures, classes: Sequence[str], templates: Sequence[str], k: int) -> Best:
    """The ``k`` classes nearest to each picture by cosine; a class is the mean of its name in all templates.

    Raises:
        ValueError: fewer than two classes, one named twice, or a template without a place for the name.
    """
    twice = [name for row, name in enumerate(classes) if name in classes[:row]]
    if len(classes) < 2 or twice:
        raise ValueError(
            f"two classes or more are needed, each named once; got {len(classes)}"
            + (f", {twice[0]!r} more than once" if twice else "")
        )
    bad = next((each for each in templates if each.count("{}") != 1), None)
    if bad is not None:
        raise ValueError(f"a template has one {{}} for the name of a class, and {bad!r} does not")
    sentences = {row: [each.replace("{}", name) for each in templates] for row, name in enumerate(classes)}
    weights = zero_shot_classifier(method, sentences)
    scores, rows = nearest_neighbours(pictures.features, weights, min(k, len(classes)), names=("pictures", "classes"))
    return Best(rows, scores)


def agreement(pictures: Pictures, classes: Sequence[str], found: Best) -> float | None:
    """How often the first class is the picture's label; ``None`` where no label is one of the classes.

    Labels are compared without case, with spaces for ``_`` and ``-``; pictures of other labels do not count.
    """
    if pictures.labels is None:
        return None
    places = {_plain(name): row for row, name in enumerate(classes)}
    truth = np.array(
        [places.get(_plain(str(label).replace("\\", "/").rpartition("/")[2]), -1) for label in pictures.labels]
    )
    known = truth >= 0
    return float((found.rows[known, 0] == truth[known]).mean()) if known.any() else None


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())


def _towers(method: Method) -> PairEncoder:
    towers = getattr(method, "encoder", None)
    if not isinstance(towers, PairEncoder):
        raise TypeError(
            f"{type(method).__name__} has no image tower and text tower; clip, siglip and their like compare pictures "
            "and words"
        )
    return towers
