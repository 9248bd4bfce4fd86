"""MoCo v2 whose queries and keys are two frames of one video."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nearfar.common.share import for_examples
from nearfar.training import Optimization
from nearfar.vision.method import ImageBatch, random_view
from nearfar.vision.methods.moco import MoCo


class VideoPairs(MoCo):
    """Purushwalkam & Gupta, 2020, arXiv 2007.13916 (Demystifying contrastive self-supervised learning), section 5.

    Crops teach that parts of a thing belong together, which is invariance to occlusion; they show nothing of its
    other sides. Two frames of a video do: things turn, come nearer, change their light. This is :class:`MoCo` v2 with
    the frames as pictures of the two views ("frame temporal"), each still augmented. On frames that are cut out
    around what is tracked it is the paper's region tracker (:class:`nearfar.vision.data.TemporalPairs` with boxes).
    How the paper samples frames is not released; here the gap is uniform up to ``max_gap``. On single pictures this
    is MoCo v2.

    Args:
        encoder: image encoder, by name or as a module.
        max_gap: largest distance of the two frames in frames, at least 1; the length of the video when not given.
        projection_dim: width of queries and keys.
        queue_size: number of past keys kept as negatives.
        momentum: of the key encoder.
        temperature: divides the similarities, above 0.
        key_groups: parts of the batch with their own batch-norm statistics on the key side; see :class:`MoCo`.
        views: recipe of random views.
        optimization: SGD with MoCo's schedule.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "resnet50",
        *,
        max_gap: int | None = None,
        projection_dim: int = 128,
        queue_size: int = 65536,
        momentum: float = 0.999,
        temperature: float = 0.2,
        key_groups: int = 8,
        views: str = "moco-v2",
        optimization: Optimization = Optimization("sgd", lr=0.03, lr_batch=256, weight_decay=1e-4, decay_all=True),
    ) -> None:
        if max_gap is not None and max_gap < 1:
            raise ValueError(f"max_gap must be at least 1 frame, got {max_gap}")
        super().__init__(
            encoder,
            projection_dim=projection_dim,
            queue_size=queue_size,
            momentum=momentum,
            temperature=temperature,
            key_groups=key_groups,
            views=views,
            optimization=optimization,
        )
        self.max_gap = max_gap

    def views(self, batch: ImageBatch) -> tuple[Tensor, ...]:
        if batch.images.ndim != 5 or batch.images.shape[1] == 1:
            return super().views(batch)
        frames = two_frames(batch.images, self.max_gap, self.generator)
        return tuple(
            random_view(recipe, batch._replace(images=images), self.generator)
            for recipe, images in zip(self.recipes, frames, strict=True)
        )


def two_frames(videos: Tensor, max_gap: int | None, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two different frames of each video (N, T, ...), in either order: their distance uniform in 1 ... ``max_gap``,
    the earlier one uniform among those that have another so far behind."""
    count, length = videos.shape[:2]
    furthest = min(max_gap or length, length - 1)

    def uniform() -> Tensor:
        return for_examples(lambda n: torch.rand(n, generator=generator, device=videos.device), count)

    def up_to(highest: Tensor) -> Tensor:
        return (uniform() * highest).long()

    gap = 1 + up_to(torch.full((count,), furthest, device=videos.device))
    first = up_to(length - gap)
    swapped = uniform() < 0.5
    rows = torch.arange(count, device=videos.device)
    one, other = first + gap * swapped, first + gap * ~swapped
    return videos[rows, one], videos[rows, other]
