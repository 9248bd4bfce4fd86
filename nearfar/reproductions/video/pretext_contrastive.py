"""Pretext-contrastive learning: a changed clip to explain and a clip to find, beside either of the two alone."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from nearfar.evaluation import effective_rank, knn
from nearfar.reproductions.arms import arm, build
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.training import Data, Method, embed
from nearfar.video.clip_views import cut, recoloured, starts
from nearfar.video.data import ClipBatch, load
from nearfar.video.methods.pretext_contrastive import PretextContrastive

STEPS, VIDEOS = 100, 160


class Taught(PretextContrastive):
    """The same network trained with the labels of the first clips: the ceiling."""

    can_collapse = False

    def begin(self, data: Data) -> None:
        assert data.labels is not None
        _, classes = np.unique(data.labels, return_inverse=True)
        self.register_buffer("classes", torch.from_numpy(classes))
        self.answers = nn.Linear(int(self.encoder.features), int(classes.max()) + 1)  # type: ignore[arg-type]

    def views(self, batch: ClipBatch) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        b, times = batch.frames.shape[:2]
        first, _, _ = starts(b, times, self.clip, self.stride, self.remote, self.generator)
        clips = recoloured(cut(batch.frames, first, self.clip), self.recipe, self.generator)
        return self._seen(clips), batch.rows

    def loss(self, views: tuple[Tensor, Tensor]) -> Tensor:  # type: ignore[override]
        clips, rows = views
        return nn.functional.cross_entropy(self.answers(self.encoder(clips)), self.classes[rows])  # type: ignore[index]

    def after_step(self) -> None:
        """Nothing moves but what gradients move."""


def measure(method: Method, data: Data) -> dict[str, float]:
    """Share of test videos whose nearest training video moves alike, and shows the same shape too; the geometry."""
    test = data.splits()["test"]
    found, held = embed(method, data), embed(method, test)
    (motion, shape), (truth, true_shape) = [(each.factors["motion"], each.factors["shape"]) for each in (data, test)]  # type: ignore[attr-defined]
    return {
        "nearest": knn(found.array, motion, held.array, truth, k=1),
        "nearest, shape too": knn(found.array, 6 * shape + motion, held.array, 6 * true_shape + truth, k=1),
        "effective rank": effective_rank(held.array),
    }


def run(seed: int) -> dict[str, dict[str, float]]:
    data = load("moving-shapes", count=VIDEOS)
    look = partial(measure, data=data)
    trained = partial(arm, "pretext-contrastive", data, seed, look, settings={"steps": STEPS})
    given = build("pretext-contrastive", data, seed)
    return {
        "pretext-contrastive": trained(),
        "pretext alone": trained(contrast_weight=0.0),
        "contrast alone": trained(pretext_weight=0.0),
        "of frames": trained(residual=False),
        "trained with labels": trained(cls=Taught, rows=len(data), views=given.config["views"]),
        "untrained": look(given.eval()),
    }


REPRODUCTION = Reproduction(
    run=run,
    seeds=5,
    setting=f"""{VIDEOS} generated videos of shapes in one of six motions, 160 more for test, 24 frames of 24 x 24
    pixels each, shown at 16 x 16. Every arm makes {STEPS} steps of 16 videos with SGD 0.03 on a small R3D (first stage
    of width 8), three clips of 8 frames from each, the changed one among them; mirrored views are left out, because two
    motions are each other's mirror image. The mean over a video's clips looks for the nearest training video, by
    cosine. The paper has UCF101, R3D of width 64, 16 frames and 200 epochs.""",
    explanation="""With one seed the pretext task alone found more videos that move alike. The contrast asks for all
    that tells one video from others, and here motion is the least of it: 160 videos differ in shape, size, place and
    tempo, but share six motions, where classes of UCF101 differ in what is seen as well. A hundred steps against some
    hundred thousand weigh on the contrast too: its memories start at random.""",
    claims=(
        Claim("both beat the pretext task alone", "pretext-contrastive", "pretext alone", "nearest"),
        Claim("both beat the contrast alone", "pretext-contrastive", "contrast alone", "nearest"),
        Claim("changes between frames beat frames", "pretext-contrastive", "of frames", "nearest", role="ablation"),
        Claim(
            "both beat the pretext task where the shape counts too",
            "pretext-contrastive",
            "pretext alone",
            "nearest, shape too",
            role="ablation",
        ),
        Claim("both beat the untrained network", "pretext-contrastive", "untrained", "nearest", role="sanity"),
        Claim("labels beat both", "trained with labels", "pretext-contrastive", "nearest", role="sanity"),
    ),
)
