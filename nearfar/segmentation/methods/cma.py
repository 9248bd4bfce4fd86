"""CMA: a trained segmenter adapts to bad weather with pairs of pictures of one place."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nearfar.common.share import for_examples
from nearfar.losses import aligned_patch_contrast, normalized_entropy
from nearfar.losses.dense.patch_contrast import patches
from nearfar.parts import FeatureQueue, MomentumEncoder
from nearfar.parts.warp import warp_trusted
from nearfar.segmentation.data.pairs import PairBatch, PairViews, mirrored
from nearfar.segmentation.encoders import PyramidEncoder
from nearfar.segmentation.geometry import Crop
from nearfar.segmentation.heads import Decoder
from nearfar.segmentation.method import cross_entropy
from nearfar.segmentation.pseudo_labels import without_dropout
from nearfar.segmentation.source_free import SourceFree
from nearfar.segmentation.source_model import Projector
from nearfar.training import Data, Optimization


class CMA(SourceFree):
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
            source=source,
            source_share=source_share,
            adaptation_lr=adaptation_lr,
            portion=portion,
            scales=scales,
        )
        weights = (self_training_weight, entropy_weight, contrast_weight)
        if min(weights) < 0:
            raise ValueError(f"weights must be at least 0, got {weights}")
        self.projector = Projector(self.encoder.backbone.widths, embedding_dim)
        self.key_network = MomentumEncoder(self.network, momentum, "warmup")
        self.queue = FeatureQueue(queue_size, embedding_dim)
        self.align, self.projector_steps = align, projector_steps
        self.patches: dict[str, Any] = {"temperature": temperature, "grid": grid, "min_confidence": min_confidence}
        self.weights = weights

    @property
    def network(self) -> nn.ModuleList:
        """What the momentum encoder follows: backbone and projector."""
        return nn.ModuleList([self.encoder.backbone, self.projector])

    def parameter_groups(self) -> list[dict[str, Any]]:
        projector = {"params": list(self.projector.parameters()), "lr_scale": self.head_lr}
        return [{"params": list(self.encoder.parameters())}, projector]

    def start_adaptation(self, data: Data) -> None:
        """The momentum encoder starts where the source model stands."""
        self.key_network.module.load_state_dict(self.network.state_dict())
        without_dropout(self.key_network)
        super().start_adaptation(data)

    def views(self, batch: PairBatch) -> PairViews | tuple[Tensor, Tensor]:
        if not self.adapting:
            return self.labelled_views(batch)
        labels = self.labels_of(batch)
        if self.align is None:
            flow, log_variance = batch.flow, batch.log_variance
        else:
            flow, log_variance = self.align(batch.adverse.float() / 255, batch.normal.float() / 255)
        whole = PairViews(batch.adverse, labels, batch.normal, flow, log_variance)
        drawn = for_examples(lambda n: torch.rand(n, generator=self.generator, device=labels.device), len(labels))
        return mirrored(whole, drawn < 0.5)

    def loss(self, views: PairViews | tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        if not isinstance(views, PairViews):
            logits, _ = self.segment(views[0])
            return {"source": cross_entropy(logits, views[1], average="valid")}
        logits, maps = self.segment(views.adverse)
        of_labels, of_entropy, of_contrast = self.weights
        terms = {
            "self_training": of_labels * cross_entropy(logits, views.labels, average="valid"),
            "entropy": of_entropy * normalized_entropy(logits),
        }
        early = int(self.adapted_steps) < self.projector_steps
        anchors = self.projector([m.detach() for m in maps] if early else maps)
        positives, confidence = self.targets(views)
        found = aligned_patch_contrast(anchors, positives, confidence, self.queue.keys, **self.patches)
        terms["contrast"] = of_contrast * found
        return terms

    @torch.no_grad()
    def targets(self, views: PairViews) -> tuple[Tensor, Tensor]:
        """The warped embeddings of the normal pictures and how far to trust them; those of the adverse ones wait for
        the queue."""
        backbone, projector = self.key_network.module.children()
        assert isinstance(backbone, PyramidEncoder)
        both = torch.cat([views.adverse, views.normal])
        adverse, normal = projector(backbone.maps(both)).chunk(2)
        self.collect(keys=patches(adverse, self.patches["grid"]))
        return warp_trusted(normal, views.flow, views.log_variance)

    def after_step(self) -> None:
        super().after_step()
        if self.adapting:
            self.key_network.update(self.network)
            self.queue.enqueue(self.collected("keys"))
