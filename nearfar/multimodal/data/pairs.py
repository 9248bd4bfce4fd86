"""Collections of captioned images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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

    Raises:
        ValueError: images or labels that :class:`nearfar.vision.data.ImageArray` refuses; captions that are no text,
            or not one per image.
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

    def order(self, rng: np.random.Generator) -> np.ndarray:
        """Every pair once; those of equal captions are kept apart, see :func:`nearfar.sources.order.apart`."""
        return apart(self.captions, rng)

    def contents(self) -> Mapping[str, str]:
        return {**super().contents(), "captions": digest_of(self.captions)}

    def batch(self, indices: np.ndarray) -> PairBatch:  # type: ignore[override]
        found = super().batch(indices)
        return PairBatch(found.images, [self.captions[i] for i in indices], torch.as_tensor(indices))
