"""Point contrastive prediction with semantic clustering (PointCPSC): a video's last segment, point by point."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nearfar.common.share import for_examples
from nearfar.losses import selective_contrast, sinkhorn, swapped_prediction
from nearfar.parts import FeatureQueue, MLPHead, Prototypes
from nearfar.training import Method, Optimization
from nearfar.video.data import PointBatch
from nearfar.video.point_network import PointTubes, Predictor


class PointContrastive(Method):
    r"""Sheng et al., ICCV 2023, arXiv 2308.09247; no code is released.

    A video of points is cut into segments, and each segment into superpoints. A transformer reads all segments but
    the last and is asked, with places alone, what the superpoints of the last will be. Each prediction finds its
    target in a memory of targets of other videos, of which those most like the target are no negatives and the
    nearest few are positives (:func:`nearfar.losses.selective_contrast`); and prediction and target fall into the same
    of K clusters, in equal shares (:func:`nearfar.losses.sinkhorn`, :func:`nearfar.losses.swapped_prediction`):
    :math:`L = L_{con} + \lambda L_{sem}`.

    Sizes of network, memory and selection, how prototypes move and how videos are varied are a reading of the paper,
    which leaves them open here; the contrast gives no gradient to targets, the clusters do. What is kept is the
    encoder of superpoints: ``encode`` is the largest value of each channel over a video's superpoints, and
    ``superpoints`` has them one by one.

    Args:
        width: of a superpoint, a multiple of 4.
        points: drawn of each time for training; all where there are no more.
        superpoints: of each segment.
        length: times of a segment.
        neighbours: points of each time around a superpoint.
        depth: layers of the transformer.
        projection_dim: width of queries, keys and prototypes.
        queue_size: superpoints in the memory.
        drop: share of the memory, nearest to a target, that is no negative, in [0, 1).
        positives: rows of the memory that are positives too.
        temperature: divides the similarities, above 0.
        prototypes: clusters, K.
        semantic_weight: :math:`\lambda`, at least 0.
        sharpness: divides the scores of prototypes in the prediction, above 0.
        moving_from: share of the run after which prototypes move, in [0, 1).
        scale: videos are scaled by a factor between 1 / ``scale`` and ``scale``, at least 1.
        turn: largest rotation about the second axis, in degrees, at least 0.
        optimization: AdamW.
    """

    takes = PointBatch

    def __init__(
        self,
        *,
        width: int = 256,
        points: int = 1024,
        superpoints: int = 64,
        length: int = 4,
        neighbours: int = 16,
        depth: int = 2,
        projection_dim: int = 128,
        queue_size: int = 8192,
        drop: float = 0.1,
        positives: int = 3,
        temperature: float = 0.1,
        prototypes: int = 64,
        semantic_weight: float = 1.0,
        sharpness: float = 0.1,
        moving_from: float = 0.01,
        scale: float = 1.1,
        turn: float = 30.0,
        optimization: Optimization = Optimization("adamw", lr=1e-3, weight_decay=0.01, warmup=0.05),
    ) -> None:
        super().__init__(optimization)
        if points < superpoints or scale < 1 or turn < 0 or semantic_weight < 0 or not 0 <= moving_from < 1:
            raise ValueError(
                "points are at least as many as superpoints, scale is at least 1, turn and semantic_weight at least 0, "
                f"moving_from in [0, 1); got {points}, {superpoints}, {scale}, {turn}, {semantic_weight}, {moving_from}"
            )
        self.encoder = PointTubes(width, superpoints, length, neighbours)
        self.predictor = Predictor(width, depth)
        self.head = MLPHead(width, width, projection_dim, norm="none")
        self.queue = FeatureQueue(queue_size, projection_dim)
        self.prototypes = Prototypes(projection_dim, prototypes)
        self.points, self.drop, self.positives, self.temperature = points, drop, positives, temperature
        self.semantic_weight, self.sharpness, self.moving_from = semantic_weight, sharpness, moving_from
        self.scale, self.turn = scale, math.radians(turn)

    def views(self, batch: PointBatch) -> Tensor:
        """Videos (B, T, P, 3) of fewer points, scaled and turned."""
        b, times, total, _ = batch.points.shape
        points, drawn = batch.points, self._uniform
        if total > self.points:
            chosen = drawn(b, times, total).argsort(2)[:, :, : self.points]
            points = points.gather(2, chosen[..., None].expand(-1, -1, -1, 3))
        size = self.scale ** (2 * drawn(b) - 1)
        angle = self.turn * (2 * drawn(b) - 1)
        turned = torch.diag_embed(torch.stack([angle.cos(), torch.ones_like(angle), angle.cos()], 1))
        turned[:, 0, 2], turned[:, 2, 0] = angle.sin(), -angle.sin()
        return torch.einsum("btpd,bcd->btpc", points, size[:, None, None] * turned)

    def loss(self, views: Tensor) -> dict[str, Tensor]:
        features, places = self.encoder(views)
        if features.shape[1] < 2:
            raise ValueError(
                f"videos of {views.shape[1]} times are one segment of {self.encoder.length}; two are needed to predict"
            )
        predicted = self.predictor(features[:, :-1], places[:, :-1], places[:, -1])
        queries, keys = self.head(predicted.flatten(0, 1)), self.head(features[:, -1].flatten(0, 1))
        self.collect(keys=keys)
        found = selective_contrast(
            queries,
            keys,
            self.queue.keys,
            temperature=self.temperature,
            drop=self.drop,
            neighbours=self.positives,
        )
        self.prototypes.normalize_()
        scores = [self.prototypes(z) for z in self.gather(queries, keys)]
        alike = swapped_prediction(scores, [sinkhorn(each) for each in scores], temperature=self.sharpness)
        return {"contrast": found, "semantic": self.semantic_weight * alike}

    def before_step(self) -> None:
        if self.prototypes.weight.grad is not None and self.progress < self.moving_from:
            self.prototypes.weight.grad.zero_()

    def after_step(self) -> None:
        self.queue.enqueue(self.collected("keys"))

    def encode(self, batch: PointBatch | Tensor) -> Tensor:
        """The representation (B, C) of videos as they are."""
        return self.superpoints(batch)[0].amax((1, 2))

    def superpoints(self, batch: PointBatch | Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, S, R, C) of the superpoints of all segments, and their places (B, S, R, 4)."""
        return self.encoder(batch.points if isinstance(batch, PointBatch) else batch)

    def _uniform(self, count: int, *shape: int) -> Tensor:
        draw = lambda n: torch.rand(n, *shape, device=self.device, generator=self.generator)  # noqa: E731
        return for_examples(draw, count)
