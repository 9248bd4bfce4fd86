"""What methods on captioned pictures share: a crop of the picture, and embeddings of the global batch."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from nearfar.multimodal.data.pairs import CaptionedImages
from nearfar.multimodal.evaluation import retrieve
from nearfar.multimodal.method import PairBatch, PairEncoder
from nearfar.training import Method, Optimization
from nearfar.vision.views import Recipe

__all__ = ["PairMethod"]


class PairMethod(Method):
    """A method on captioned pictures. A subclass builds ``encoder`` and writes :meth:`loss`.

    Args:
        optimization: how the parameters move.
        crop_scale: smallest share of the image's area that the random square crop keeps, in (0, 1].
    """

    takes: ClassVar[type | None] = PairBatch
    encoder: PairEncoder

    def __init__(self, optimization: Optimization, crop_scale: float) -> None:
        super().__init__(optimization)
        self.crop = Recipe(scale=(crop_scale, 1.0))

    def views(self, batch: PairBatch) -> tuple[Tensor, list[str]]:
        return self.crop(batch.images, self.generator), batch.captions

    def watched(self, data: Any) -> dict[str, float]:
        """Recall at 1, the mean of both directions over 200 pairs: of what is learned from, and of the first gallery
        or other set that is held out, where there is one."""
        sets = [part for part in data.splits().values() if isinstance(part, CaptionedImages)]
        held = max(sets, key=lambda part: part.gallery, default=None)
        found = {"seen": data, "held_out": held}
        return {
            name: float(np.mean([*retrieve(self, part).values()]))
            for name, part in found.items()
            if isinstance(part, CaptionedImages)
        }

    def embedded(self, views: tuple[Tensor, list[str]]) -> tuple[Tensor, ...]:
        """Pictures and captions of the global batch, (N, D) each and not normalised."""
        images, captions = views
        return self.gather(self.encoder.embed_images(images), self.encoder.embed_text(captions))
