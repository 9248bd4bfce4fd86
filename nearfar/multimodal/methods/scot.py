"""SCOT: composed retrieval learned from captions that were changed, without target pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from nearfar.common.share import for_examples
from nearfar.encoders.text import Pooling
from nearfar.losses import info_nce, symmetric_info_nce
from nearfar.multimodal.caption_editing import Edit, WordEditor
from nearfar.multimodal.composed import Combiner, ComposedBatch, Composer
from nearfar.multimodal.data.composed import Triplets
from nearfar.multimodal.data.pairs import CaptionedImages
from nearfar.multimodal.method import DualEncoder, PairBatch
from nearfar.parts import LogitScale
from nearfar.training import Data, Optimization, Phase

UNCHANGED = "keep it as it is"


class Edited(NamedTuple):
    """Pictures (N, 3, H, W) with captions, what asks for a change, the captions once it is made, N strings each, and
    the target pictures where they are known."""

    images: Tensor
    captions: list[str]
    changes: list[str]
    edited: list[str]
    targets: Tensor | None


class SCOT(Composer):
    """Jawade et al., 2025, arXiv 2501.08347, written from the paper; no code was to be had.

    Towers in which pictures and captions lie together rest, and a combiner of a picture and a change learns to meet the
    *text* of the changed caption, which takes the target picture's place:

    .. math::
        L = -\\frac{1}{B} \\sum_i \\log \\frac{e^{q_i \\cdot t_{u,i} / \\tau}}
            {\\sum_j e^{q_i \\cdot t_{u,j} / \\tau} + \\sum_j e^{q_i \\cdot t_{c,j} / \\tau}}

    with the queries :math:`q`, the changed captions :math:`t_u` and the captions as they were :math:`t_c`. Without the
    latter a query may stay where its picture is. What is searched are pictures, so the towers must have them beside
    their captions: begin with a run of CLIP (``--from``), or let a first phase align them. Scores of queries trained
    on texts are no absolute numbers; any threshold is to be found anew.

    It learns from triplets with captions (a language model's, as in the paper), or from captioned pictures alone, whose
    captions :class:`nearfar.multimodal.caption_editing.WordEditor` changes. Where target pictures are known use
    SPN4CIR.

    Args:
        image_encoder: image tower, by name or as a module.
        text_encoder: text tower, by name or as a ``TextEncoder``.
        projection_dim: width of the shared space.
        temperature: divides the cosines of the combiner's loss.
        original_captions: whether the captions as they were are negatives.
        image_targets: learn to meet target pictures instead, as the paper's ablation does; needs them.
        alignment: share of the run in which the towers learn as CLIP before they rest, in [0, 1); the paper's are
            pretrained.
        alignment_lr: multiplies the rate in that phase.
        dropout: of the combiner, in [0, 1).
        pooling: how the text tower's token states become one vector.
        max_length: tokens kept per text.
        optimization: AdamW; the combiner's rate in CLIP4Cir is 2e-5 to 1e-4, the paper's is not known to us.
    """

    takes: ClassVar[type | None] = None

    def __init__(
        self,
        image_encoder: str | nn.Module = "resnet50",
        text_encoder: str | nn.Module = "small-bert",
        *,
        projection_dim: int = 512,
        temperature: float = 0.01,
        original_captions: bool = True,
        image_targets: bool = False,
        alignment: float = 0.0,
        alignment_lr: float = 1.0,
        dropout: float = 0.5,
        pooling: Pooling = "avg",
        max_length: int = 76,
        optimization: Optimization = Optimization("adamw", lr=1e-4, weight_decay=1e-2, schedule="constant"),
    ) -> None:
        super().__init__(optimization)
        if not 0 <= alignment < 1:
            raise ValueError(f"alignment must be a share of the run in [0, 1), got {alignment}")
        self.encoder = DualEncoder(image_encoder, text_encoder, projection_dim, pooling=pooling, max_length=max_length)
        self.combiner = Combiner(projection_dim, dropout=dropout)
        self.scale = LogitScale()
        first = (Phase("alignment", alignment, lr_scale=alignment_lr),) if alignment else ()
        self.phases = (*first, Phase("composition"))
        self.temperature = temperature
        self.original_captions, self.image_targets = original_captions, image_targets
        self.editor = WordEditor()
        self.resting = False

    def begin(self, data: Any) -> None:
        if isinstance(data, CaptionedImages) and not self.image_targets:
            return
        if not isinstance(data, Triplets):
            raise ValueError(f"SCOT learns from triplets, or from captioned pictures; {data.name} holds neither")
        known = data.targets if self.image_targets else data.edited
        if known is None or (self.original_captions and not self.image_targets and data.captions is None):
            what = "target" if self.image_targets else "reference_caption and edited_caption"
            raise ValueError(f"SCOT needs {what} with every change, and {data.name} does not have that")

    def order(self, data: Data, rng: np.random.Generator) -> np.ndarray:
        """Captions that cannot be changed give way to others that can."""
        rows = data.order(rng)
        if not isinstance(data, CaptionedImages):
            return rows
        fine = np.array([self.editor(caption, (0.0,) * self.editor.draws) is not None for caption in data.captions])
        if not fine.any():
            raise ValueError(f"no caption of {data.name} has a word that can be exchanged; give triplets with captions")
        return np.where(fine[rows], rows, rng.choice(np.flatnonzero(fine), len(rows)))

    def begin_phase(self, phase: str, data: Any) -> None:
        self.resting = phase == "composition"
        self.encoder.requires_grad_(not self.resting)
        self.train(self.training)

    def train(self, mode: bool = True) -> SCOT:
        """Towers that rest keep their statistics and drop nothing."""
        super().train(mode)
        self.encoder.train(mode and not self.resting)
        return self

    def resumed(self, data: Any) -> None:
        self.begin_phase(self.phase, data)

    def compose(self, images: Tensor, changes: Sequence[str]) -> Tensor:
        return self.combiner(self.encoder.embed_images(images), self.encoder.embed_text(changes))

    def views(self, batch: ComposedBatch | PairBatch) -> Edited:
        if isinstance(batch, ComposedBatch):
            return Edited(batch.references, batch.captions, batch.changes, batch.edited, batch.targets)
        draws = for_examples(self._numbers, len(batch.captions)).tolist()
        made = [
            self.editor(caption, numbers) or Edit(UNCHANGED, caption)
            for caption, numbers in zip(batch.captions, draws, strict=True)
        ]
        changes, edited = [edit.instruction for edit in made], [edit.edited for edit in made]
        return Edited(batch.images, batch.captions, changes, edited, None)

    def _numbers(self, count: int) -> Tensor:
        return torch.rand(count, self.editor.draws, generator=self.generator, device=self.device)

    def loss(self, views: Edited) -> Tensor:
        if self.phase == "alignment":
            a, b = self.gather(self.encoder.embed_images(views.images), self.encoder.embed_text(views.captions))
            return symmetric_info_nce(a, b, temperature=self.scale.temperature)
        queries = self.compose(views.images, views.changes)
        if self.image_targets:
            assert views.targets is not None
            queries, targets = self.gather(queries, self.encoder.embed_images(views.targets))
            return info_nce(queries, targets, temperature=self.temperature)
        queries, targets = self.gather(queries, self.encoder.embed_text(views.edited))
        negatives = None
        if self.original_captions:
            (negatives,) = self.gather(self.encoder.embed_text(views.captions))
        return info_nce(queries, targets, negatives=negatives, temperature=self.temperature)

    def after_step(self) -> None:
        self.scale.clamp()

    def kept(self) -> nn.Module:
        return nn.ModuleDict({"encoder": self.encoder, "combiner": self.combiner})
