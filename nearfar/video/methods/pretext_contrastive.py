"""Pretext-Contrastive Learning: a task on changed clips and a contrast of unchanged ones, together."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nearfar.common.share import for_examples
from nearfar.losses import memory_contrast
from nearfar.parts import InstanceMemory, MLPHead
from nearfar.training import Method, Optimization
from nearfar.video.clip_views import (
    cut,
    recoloured,
    residual_frames,
    reversed_blocks,
    starts,
    swapped_chunks,
    turned,
)
from nearfar.video.data import ClipBatch
from nearfar.video.r3d import R3D
from nearfar.vision.views import Recipe

CHANGES = ("unchanged", "turned", "blocks of space reversed", "parts of time exchanged", "from elsewhere")
JITTER = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1, "jitter_p": 0.8}
VIEWS = Recipe(size=112, scale=(0.75, 0.78), ratio=(1.0, 1.0), flip=0.5, gray_p=0.2, blur_p=0.5, **JITTER)  # type: ignore[arg-type]
Views = tuple[list[Tensor], Tensor, Tensor, Tensor]


class PretextContrastive(Method):
    r"""Tao, Wang and Yamasaki, 2020, arXiv 2010.15464; BestJuly/Pretext-Contrastive-Learning.

    Three clips are cut from a video. The middle one is changed in one of five ways, and a classifier on all three says
    in which; the first finds the third in a memory of third clips, and the third the first, among ``drawn`` others
    (:func:`nearfar.losses.memory_contrast`): :math:`L = L_{pretext} + w (L_{1 \to 3} + L_{3 \to 1})`. The changed clip
    takes no part in the contrast. The network sees what changes between frames. All frames of a clip get one draw of
    crop, colours and blur; of the paper's pretext tasks this is the one whose code is released, video cloze procedure.

    On purpose otherwise than released: the first residual frame, which is the last frame minus the first one, is left
    out (``wrap`` keeps it); a video too short for a clip from elsewhere gets one of the other four changes, by name.
    The released rate falls where validation does not improve; here it falls by steps.

    Args:
        rows: examples of the collection; taken from the data.
        encoder: network on clips (B, 3, T, H, W), with an attribute ``features``; R3D of ``width`` when not given.
        width: of R3D's first stage.
        clip: frames of a clip, at least 4.
        stride: frames from one clip's beginning to the next one's, at least 1; 11 as released, where clips overlap.
        remote: least distance in frames of a clip from elsewhere.
        residual: show what changes between frames, not the frames.
        wrap: see above.
        contrast_weight: w, at least 0.
        pretext_weight: of the pretext task, at least 0.
        projection_dim: width of the memories.
        drawn: rows of a memory that each clip is compared with.
        temperature: divides the similarities, above 0.
        momentum: share of its old row that a memory keeps.
        views: how clips are varied.
        optimization: SGD.
    """

    takes = ClipBatch

    def __init__(
        self,
        rows: int | None = None,
        *,
        encoder: nn.Module | None = None,
        width: int = 64,
        clip: int = 16,
        stride: int = 11,
        remote: int = 16,
        residual: bool = True,
        wrap: bool = False,
        contrast_weight: float = 0.5,
        pretext_weight: float = 1.0,
        projection_dim: int = 128,
        drawn: int = 1024,
        temperature: float = 0.07,
        momentum: float = 0.5,
        views: Recipe = VIEWS,
        optimization: Optimization = Optimization("sgd", lr=0.01, weight_decay=5e-4, schedule="step"),
    ) -> None:
        super().__init__(optimization)
        if not rows or drawn < 1 or clip < 4 or stride < 1 or min(contrast_weight, pretext_weight) < 0:
            raise ValueError(
                "rows are taken from the data, drawn and stride are at least 1, clip at least 4, weights at least 0; "
                f"got {rows}, {drawn}, {stride}, {clip}, {contrast_weight} and {pretext_weight}"
            )
        self.encoder = R3D(width) if encoder is None else encoder
        features = int(self.encoder.features)  # type: ignore[arg-type]
        self.head = MLPHead(features, features, projection_dim, norm="none")
        self.classifier = nn.Linear(3 * features, len(CHANGES))
        self.first, self.third = (InstanceMemory(rows, projection_dim, momentum) for _ in range(2))
        self.clip, self.stride, self.remote, self.residual, self.wrap = clip, stride, remote, residual, wrap
        self.contrast_weight, self.pretext_weight = contrast_weight, pretext_weight
        self.drawn, self.temperature, self.recipe = drawn, temperature, views

    def views(self, batch: ClipBatch) -> Views:
        """Three clips as the network sees them, the change of the second, and rows with others drawn for each."""
        b, times = batch.frames.shape[:2]
        first, elsewhere, there = starts(b, times, self.clip, self.stride, self.remote, self.generator)
        change = self._drawn(len(CHANGES), b)
        change = torch.where((change == len(CHANGES) - 1) & ~there, self._drawn(len(CHANGES) - 1, b), change)
        middle = torch.where(change == len(CHANGES) - 1, elsewhere, first + self.stride)
        begins = (first, middle, first + 2 * self.stride)
        clips = [recoloured(cut(batch.frames, at, self.clip), self.recipe, self.generator) for at in begins]
        clips[1] = self._changed(clips[1], change)
        others = for_examples(
            lambda n: torch.randint(len(self.first), (n, self.drawn), device=self.device, generator=self.generator), b
        )
        return [self._seen(each) for each in clips], change, batch.rows, torch.cat([batch.rows[:, None], others], 1)

    def loss(self, views: Views) -> dict[str, Tensor]:
        clips, change, rows, sample = views
        features = [self.encoder(each) for each in clips]
        one, three = self.head(features[0]), self.head(features[2])
        self.collect(rows=rows, one=one, three=three)
        found = [
            memory_contrast(z, memory.rows, sample, temperature=self.temperature, form="softmax")
            for z, memory in ((one, self.third), (three, self.first))
        ]
        told = nn.functional.cross_entropy(self.classifier(torch.cat(features, 1)), change)
        return {"pretext": self.pretext_weight * told, "contrast": self.contrast_weight * (found[0] + found[1])}

    def after_step(self) -> None:
        rows = self.collected("rows")
        self.first.update(rows, self.collected("one"))
        self.third.update(rows, self.collected("three"))

    def encode(self, batch: ClipBatch | Tensor) -> Tensor:
        """The mean (B, D) over the clips that follow one another in a video, of whole frames."""
        frames = batch.frames if isinstance(batch, ClipBatch) else batch
        if frames.shape[1] < self.clip:
            raise ValueError(f"videos have {frames.shape[1]} frames, and a clip {self.clip}")
        clips = [each for each in frames.split(self.clip, 1) if each.shape[1] == self.clip]
        return torch.stack([self.encoder(self._seen(recoloured(each, self.recipe))) for each in clips]).mean(0)

    def _seen(self, clips: Tensor) -> Tensor:
        return residual_frames(clips, wrap=self.wrap) if self.residual else clips

    def _changed(self, clips: Tensor, change: Tensor) -> Tensor:
        """Every clip changed in its way."""
        quarters = 1 + self._drawn(3, len(clips))
        pair = for_examples(
            lambda n: torch.rand(n, 4, device=self.device, generator=self.generator).argsort(1)[:, :2], len(clips)
        ).sort(1)[0]
        found = torch.where((change == 2)[:, None, None, None, None], reversed_blocks(clips), clips)
        for k in (1, 2, 3):
            found = torch.where(((change == 1) & (quarters == k))[:, None, None, None, None], turned(clips, k), found)
        for a, b in torch.combinations(torch.arange(4)).tolist():
            here = (change == 3) & (pair[:, 0] == a) & (pair[:, 1] == b)
            found = torch.where(here[:, None, None, None, None], swapped_chunks(clips, a, b), found)
        return found

    def _drawn(self, below: int, count: int) -> Tensor:
        return for_examples(lambda n: torch.randint(below, (n,), device=self.device, generator=self.generator), count)
