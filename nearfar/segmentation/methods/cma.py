"""CMA: a trained segmenter adapts to bad weather with pairs of pictures of one place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from nearfar.common.share import for_examples
from nearfar.losses import aligned_patch_contrast, normalized_entropy
from nearfar.losses.dense.patch_contrast import patches
from nearfar.parts import FeatureQueue, MomentumEncoder
from nearfar.parts.warp import flow_confidence, resize_flow, warp
from nearfar.segmentation.data.pairs import PairBatch
from nearfar.segmentation.encoders import PyramidEncoder
from nearfar.segmentation.geometry import Crop
from nearfar.segmentation.heads import Decoder
from nearfar.segmentation.method import SegmentationMethod, Segmenter, cross_entropy, draw_appearances
from nearfar.segmentation.pseudo_labels import without_dropout
from nearfar.segmentation.source_labels import balanced_labels, class_thresholds, probabilities
from nearfar.segmentation.source_model import Projector, load_source
from nearfar.sources.data import in_order
from nearfar.training import Data, Optimization, Phase

BATCH = 8


class PairViews(NamedTuple):
    """Pairs of pictures (N, 3, h, w), what the source model makes of the adverse ones (N, h, w), and their flow and
    its log-variance; see :class:`nearfar.segmentation.data.pairs.PairBatch`."""

    adverse: Tensor
    labels: Tensor
    normal: Tensor
    flow: Tensor
    log_variance: Tensor


class CMA(SegmentationMethod):
    r"""Contrastive model adaptation (Bruggemann et al., 2023, arXiv 2303.05194; released code: brdav/cma).

    A segmenter that was trained in good conditions is adapted, without its training data, to unlabelled pairs: a
    picture in an adverse condition and one of the same place in the normal condition. The student learns its source
    model's own sure labels and to be decided, and a contrast takes the condition out of its features:
    :math:`L = CE + w_e H + w_c L_{CDC}`. The normal picture, embedded by a momentum encoder and warped onto the
    adverse view, is the positive; patches of *adverse* pictures are the negatives, so that the condition is no help
    in telling them apart. The decoder is frozen.

    Where the source model comes from: ``source`` names the folder of a finished run of any segmentation method with
    the same encoder and decoder; the whole run is then adaptation. Without it, the first ``source_share`` of the
    run trains on the labelled scenes in the normal condition that the data hold, and the rest, which never looks at
    a label, adapts with ``adaptation_lr`` times the rate that the schedule has then.

    Pseudo-labels are made once for all pairs when adaptation starts and kept in memory, a byte per pixel. The flow
    between the pictures is the data's, or that of ``align``, a frozen matching network of the user's.

    Args:
        encoder: segmentation backbone, by name or as a module.
        num_classes: number of classes; taken from the data when not given.
        decoder: see :mod:`nearfar.segmentation.heads`.
        decoder_width: width of the decoder.
        source: folder of a finished run to start from, or a ``.safetensors`` file of its encoder.
        source_share: share of the run that trains the source model, in [0, 1]; 0 with ``source``. 1 never adapts.
        adaptation_lr: multiple of the schedule's rate during adaptation; below 1 where the run also trains its source.
        crop: which part of labelled scenes is trained on. Pairs are shown whole, mirrored half of the time.
        align: module that takes (adverse, normal) as float pictures in [0, 1] and gives (flow, log-variance).
        embedding_dim: width of the embeddings that are contrasted.
        queue_size: patches kept as negatives.
        momentum: largest momentum of the momentum encoder; its average warms up.
        temperature: divides the similarities, above 0.
        grid: patches each way in a picture.
        min_confidence: patches whose alignment is trusted less are left out.
        projector_steps: first steps of adaptation in which the contrast trains the projector alone.
        portion: share of the pixels of each predicted class that become pseudo-labels; see
            :func:`nearfar.segmentation.source_labels.class_thresholds`.
        scales: sizes over which the source model's probabilities are averaged.
        self_training_weight, entropy_weight, contrast_weight: weights of the terms, at least 0.
        projector_lr: the projector's learning rate as a multiple of the backbone's.
        optimization: AdamW with warm-up and linear decay.
    """

    takes = PairBatch

    thresholds: Tensor
    adapted_steps: Tensor

    def __init__(
        self,
        encoder: str | nn.Module = "segformer-b5",
        num_classes: int | None = None,
        *,
        decoder: Decoder = "segformer",
        decoder_width: int = 768,
        source: str | None = None,
        source_share: float | None = None,
        adaptation_lr: float = 1.0,
        crop: Crop = Crop(),
        align: nn.Module | None = None,
        embedding_dim: int = 128,
        queue_size: int = 65536,
        momentum: float = 0.9999,
        temperature: float = 0.3,
        grid: int = 7,
        min_confidence: float = 0.2,
        projector_steps: int = 2500,
        portion: float = 0.2,
        scales: tuple[float, ...] = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0),
        self_training_weight: float = 1.0,
        entropy_weight: float = 0.01,
        contrast_weight: float = 1.0,
        projector_lr: float = 10.0,
        optimization: Optimization = Optimization("adamw", lr=1e-5, weight_decay=0.01, warmup=0.15, schedule="linear"),
    ) -> None:
        super().__init__(
            encoder,
            num_classes,
            optimization,
            decoder=decoder,
            decoder_width=decoder_width,
            head_lr=projector_lr,
            crop=crop,
        )
        if source is not None and source_share:
            raise ValueError(f"source = {source!r} is trained already; leave source_share out, got {source_share}")
        self.source = source
        self.source_share = 0.5 if source is None and source_share is None else source_share or 0.0
        weights = (self_training_weight, entropy_weight, contrast_weight)
        if min(weights) < 0 or not 0.0 <= self.source_share <= 1.0 or adaptation_lr <= 0:
            raise ValueError(
                "weights must be at least 0, source_share in [0, 1] and adaptation_lr above 0, got "
                f"{weights}, {self.source_share} and {adaptation_lr}"
            )
        self.projector = Projector(self.encoder.backbone.widths, embedding_dim)
        self.labeller = MomentumEncoder(self.encoder)
        without_dropout(self.labeller)
        self.key_network = MomentumEncoder(self.network, momentum, "warmup")
        self.queue = FeatureQueue(queue_size, embedding_dim)
        self.register_buffer("thresholds", torch.ones(self.num_classes))
        self.register_buffer("adapted_steps", torch.full((), -1, dtype=torch.int64))
        self.align, self.temperature, self.grid = align, temperature, grid
        adaptation = Phase("adaptation", 1 - self.source_share, adaptation_lr)
        self.phases = (Phase("source", self.source_share), adaptation) if self.source_share else (adaptation,)
        self.min_confidence, self.projector_steps = min_confidence, projector_steps
        self.portion, self.scales = portion, tuple(scales)
        self.self_training_weight, self.entropy_weight, self.contrast_weight = weights
        self.pseudo_labels: Tensor | None = None

    @property
    def network(self) -> nn.ModuleList:
        """What the momentum encoder follows: backbone and projector."""
        return nn.ModuleList([self.encoder.backbone, self.projector])

    @property
    def adapting(self) -> bool:
        """Whether the source model is finished."""
        return int(self.adapted_steps) >= 0

    def parameter_groups(self) -> list[dict[str, Any]]:
        projector = {"params": list(self.projector.parameters()), "lr_scale": self.head_lr}
        return [{"params": list(self.encoder.parameters())}, projector]

    def begin(self, data: Data) -> None:
        if self.source is not None:
            load_source(self.encoder, Path(self.source))

    def begin_phase(self, phase: str, data: Data) -> None:
        if phase == "adaptation":
            self.start_adaptation(data)

    def resumed(self, data: Data) -> None:
        if self.adapting:
            self.label(data)

    def start_adaptation(self, data: Data) -> None:
        """Take the segmenter as it is for the source model: it labels the pairs of ``data`` and is where the momentum
        encoder starts."""
        self.labeller.module.load_state_dict(self.encoder.state_dict())
        self.key_network.module.load_state_dict(self.network.state_dict())
        without_dropout(self.key_network)
        self.thresholds.copy_(class_thresholds(self.probabilities(data), self.num_classes, self.portion))
        self.label(data)
        self.adapted_steps.zero_()
        self.train(self.training)

    def label(self, data: Data) -> None:
        """Pseudo-labels of all adverse pictures by the source model."""
        found = [balanced_labels(p, self.thresholds).to(torch.uint8).cpu() for p in self.probabilities(data)]
        self.pseudo_labels = torch.cat(found)

    def probabilities(self, data: Data) -> Iterator[Tensor]:
        """The source model's, of all adverse pictures in order."""
        labeller = self.labeller.module
        assert isinstance(labeller, Segmenter)
        with self.frozen():
            yield from probabilities(labeller, (batch.adverse for _, batch in in_order(data, BATCH)), self.scales)

    def views(self, batch: PairBatch) -> PairViews | tuple[Tensor, Tensor]:
        if not self.adapting:
            images = draw_appearances(batch.images, 1, self.generator)
            images, labels = self.crop(images, batch.labels, self.generator)
            return images[:, 0], labels
        assert self.pseudo_labels is not None
        labels = self.pseudo_labels[batch.rows.cpu()].to(batch.adverse.device).long()
        if self.align is None:
            flow, log_variance = batch.flow, batch.log_variance
        else:
            flow, log_variance = self.align(batch.adverse.float() / 255, batch.normal.float() / 255)
        whole = PairViews(batch.adverse, labels, batch.normal, flow, log_variance)
        turned = PairViews(*(x.flip(-1) for x in whole))
        turned.flow[:, 0].neg_()
        drawn = for_examples(lambda n: torch.rand(n, generator=self.generator, device=labels.device), len(labels))
        mirrored = drawn < 0.5
        return PairViews(
            *(torch.where(mirrored.view(-1, *[1] * (x.ndim - 1)), t, x) for x, t in zip(whole, turned, strict=True))
        )

    def loss(self, views: PairViews | tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        if not isinstance(views, PairViews):
            logits, _ = self.segment(views[0])
            return {"source": cross_entropy(logits, views[1], average="valid")}
        logits, maps = self.segment(views.adverse)
        terms = {
            "self_training": self.self_training_weight * cross_entropy(logits, views.labels, average="valid"),
            "entropy": self.entropy_weight * normalized_entropy(logits),
        }
        early = int(self.adapted_steps) < self.projector_steps
        anchors = self.projector([m.detach() for m in maps] if early else maps)
        positives, confidence = self.targets(views)
        terms["contrast"] = self.contrast_weight * aligned_patch_contrast(
            anchors,
            positives,
            confidence,
            self.queue.keys,
            temperature=self.temperature,
            grid=self.grid,
            min_confidence=self.min_confidence,
        )
        return terms

    @torch.no_grad()
    def targets(self, views: PairViews) -> tuple[Tensor, Tensor]:
        """The warped embeddings of the normal pictures and how far to trust them; those of the adverse ones wait for
        the queue."""
        backbone, projector = self.key_network.module.children()
        assert isinstance(backbone, PyramidEncoder)
        both = torch.cat([views.adverse, views.normal])
        adverse, normal = projector(backbone.maps(both)).chunk(2)
        self.collect(keys=patches(adverse, self.grid))
        size = normal.shape[2:]
        warped, inside = warp(normal, resize_flow(views.flow, size))
        trust = nn.functional.interpolate(views.log_variance, size=size, mode="bilinear", align_corners=False)
        return warped, inside * flow_confidence(trust)

    def after_step(self) -> None:
        if self.adapting:
            self.adapted_steps += 1
            self.key_network.update(self.network)
            self.queue.enqueue(self.collected("keys"))

    def before_step(self) -> None:
        if self.adapting:
            for parameter in self.encoder.head.parameters():
                parameter.grad = None

    def train(self, mode: bool = True) -> CMA:
        super().train(mode)
        if self.adapting:
            self.encoder.head.eval()
        return self
