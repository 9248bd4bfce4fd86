"""Collections of captioned images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from nearfar.multimodal.method import PairBatch
from nearfar.sources.fingerprint import digest_of
from nearfar.sources.order import apart
from nearfar.sources.skipped import Skipped
from nearfar.sources.tables import why_no_text
from nearfar.training import Data
from nearfar.vision.data import ImageArray


class CaptionedImages(ImageArray):
    """Images of one size, each with a caption.

    Args:
        images: as for :class:`nearfar.vision.data.ImageArray`.
        captions: N strings.
        labels: (N,) or ``None``; used for evaluation.
        name: what to call the set.
        splits: held-out sets by name.
        classes: sentences that describe each label, by label, for zero-shot classification.
        gallery: whether every caption has exactly one right image, so that retrieval is measured on this set.
        skipped: what the source of the pairs held besides.
        places: (N, 2) longitude in [-180, 180] and latitude in [-90, 90] where each image was taken, in degrees; NaN
            where that is not known.
        sources: N names of the collections that the pairs come from.
        shows: N names or numbers, equal where pairs show the same picture; all different when not given.

    Raises:
        ValueError: images or labels that :class:`nearfar.vision.data.ImageArray` refuses; captions that are no text,
            or not one per image; places that are none.
    """

    gives: type | None = PairBatch  # type: ignore[assignment]

    def __init__(
        self,
        images: np.ndarray,
        captions: Sequence[str],
        labels: np.ndarray | None = None,
        *,
        name: str = "captioned images",
        splits: Mapping[str, Data] | None = None,
        classes: Mapping[int, Sequence[str]] | None = None,
        gallery: bool = False,
        skipped: Skipped | None = None,
        places: np.ndarray | None = None,
        sources: Sequence[str] | None = None,
        shows: Sequence[Any] | np.ndarray | None = None,
    ) -> None:
        super().__init__(images, labels, name=name, splits=splits)
        if len(captions) != len(self.images):
            raise ValueError(f"captions has {len(captions)} entries for {len(self.images)} images")
        self.captions = [*captions]
        for row, caption in enumerate(self.captions):
            if reason := why_no_text(caption):
                raise ValueError(f"caption {row}: {reason}")
        self.skipped = skipped
        self.classes = dict(classes or {})
        self.gallery = gallery
        self.places = None if places is None else _places(places, len(self.images))
        self.sources = None if sources is None else [str(source) for source in sources]
        if self.sources is not None and len(self.sources) != len(self.images):
            raise ValueError(f"sources has {len(self.sources)} entries for {len(self.images)} images")
        if shows is not None and len(shows) != len(self.images):
            raise ValueError(f"shows has {len(shows)} entries for {len(self.images)} images")
        self.shows = of_pictures(shows)

    def order(self, rng: np.random.Generator) -> np.ndarray:
        """Every picture once, with one of its captions, so that two captions of a picture never meet as negatives;
        those of equal captions are kept apart, see :func:`nearfar.sources.order.apart`."""
        rows = np.arange(len(self)) if self.shows is None else one_of_each(self.shows, rng)
        return rows[apart([self.captions[row] for row in rows], rng)]

    @property
    def epoch_size(self) -> int:
        """The number of pictures; a run of so many epochs has steps for all of their pairs."""
        return len(self) if self.shows is None else int(self.shows.max()) + 1

    def contents(self) -> Mapping[str, str]:
        found = {**super().contents(), "captions": digest_of(self.captions)}
        more = {"places": self.places, "sources": self.sources}
        return found | {name: digest_of(value) for name, value in more.items() if value is not None}

    @property
    def facts(self) -> Mapping[str, Any]:
        """Whether it is known where the images were taken."""
        return {"located": self.places is not None}

    def batch(self, indices: np.ndarray) -> PairBatch:  # type: ignore[override]
        found = super().batch(indices)
        places = None if self.places is None else torch.from_numpy(self.places[indices])
        return PairBatch(found.images, [self.captions[i] for i in indices], torch.as_tensor(indices), places)


def of_pictures(shows: Sequence[Any] | np.ndarray | None) -> np.ndarray | None:
    """(N,) the number of the picture of each pair, from 0; ``None`` where every pair has its own."""
    if shows is None:
        return None
    found, number = np.unique(np.asarray([str(each) for each in shows], dtype=object).astype(str), return_inverse=True)
    return None if len(found) == len(shows) else number


def one_of_each(group: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random position of each group, groups in their order."""
    by_group = np.argsort(group, kind="stable")
    counts = np.bincount(group)
    return by_group[np.cumsum(counts) - counts + rng.integers(counts)]


def _places(places: np.ndarray, count: int) -> np.ndarray:
    """Places as float64, NaN in both columns where one is missing."""
    found = np.array(places, dtype=np.float64)
    if found.shape != (count, 2):
        raise ValueError(
            f"places must have shape {(count, 2)}, longitude and latitude of each image, got {found.shape}"
        )
    found[~np.isfinite(found).all(1)] = np.nan
    for column, (name, most) in enumerate((("longitude", 180), ("latitude", 90))):
        wrong = np.flatnonzero(np.abs(found[:, column]) > most)
        if len(wrong):
            value = found[wrong[0], column]
            raise ValueError(f"the {name} of image {wrong[0]} is {value:g}; it must be in [-{most}, {most}] degrees")
    return found
