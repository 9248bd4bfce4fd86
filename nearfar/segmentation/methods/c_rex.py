"""C-REX: count what a phrase names, with contrast among the tokens of one picture."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from nearfar.common.share import for_examples
from nearfar.losses import token_phrase_agreement, token_supcon
from nearfar.parts import MLPHead
from nearfar.segmentation.counting.detection import Detection, check_phrases, most_similar
from nearfar.segmentation.counting.evaluation import CountErrors
from nearfar.segmentation.counting.network import CountingNetwork
from nearfar.segmentation.counting.pictures import CountBatch
from nearfar.sources.data import Data, in_order
from nearfar.system import Scores
from nearfar.training import Method, Optimization
from nearfar.training.embed import to_device

BATCH = 16


class CountViews(NamedTuple):
    """Float pictures (N, 3, S, S); R phrases, the pictures (R,) they belong to, and the points (K, 2) of each."""

    images: Tensor
    phrases: list[str]
    owners: Tensor
    points: list[Tensor]


class CREX(Method):
    r"""Contrastive referring expression counting (2025, arXiv 2505.22850; no code is released).

    A point detector (GroundingREC: Grounding DINO without boxes) learns which tokens of a picture a phrase names and
    where their objects lie. C-REX adds contrast among *image* tokens: the tokens of one phrase's objects are alike,
    and unlike all other tokens of the picture, those of its other phrases among them, which often name the same kind
    of thing with another attribute:

    .. math:: L = w_l L_{focal} + w_p L_1 + \lambda L_{SupCon}

    Unlike contrast of tokens with phrases (``contrast="phrases"``, GroundingREC's), it has many negatives and asks
    nothing of the alignment of pictures and words. Which tokens are a phrase's: with ``assignment="similar"`` the N
    that are most like the phrase, N its true count; with ``"matched"`` (ours) those that the detector's own assignment
    gave to its points. Contrast begins after ``contrast_start`` of the run, because the first of these is wrong before.

    From the abstract, and the code of GroundingREC for all that it shares; ``contrast_weight``, ``temperature`` and
    the warm-up are ours. Tokens are cells of a segmentation backbone here, not queries of a pretrained Grounding DINO;
    see :class:`nearfar.segmentation.counting.network.CountingNetwork`.

    Args:
        encoder: backbone with maps at several depths, by name or as a module.
        text: encoder of phrases: ``words`` (a mean of hashed words), a name such as ``hf:<model>``, or a module.
        width: width of tokens.
        level: which of the backbone's maps gives the grid of tokens, 0 the finest.
        reach: how far from its cell's centre a token may find its object, in cells; at 0.5 it lies in its own cell,
            and one token answers for each object.
        contrast: ``tokens`` (C-REX), ``phrases`` (GroundingREC) or ``none``.
        assignment: which tokens are a phrase's in the contrast, ``similar`` or ``matched``.
        contrast_weight: of the contrast, at least 0; GroundingREC's takes 0.06.
        contrast_start: share of the run without contrast, in [0, 1].
        temperature: divides the cosines of tokens, above 0.
        projection_dim: width of the space where tokens are contrasted.
        max_negatives: negatives that stay for each token, the most similar ones; all when not given.
        threshold: from which probability on a token is counted, in (0, 1).
        flip: probability of mirroring a picture; 0 where phrases speak of left and right.
        detection: costs and weights of the detector.
        optimization: AdamW with GroundingREC's rate for a pretrained detector.
    """

    verbs = ("embeds", "predicts")
    takes = CountBatch
    can_collapse = False

    def __init__(
        self,
        encoder: str | nn.Module = "segformer-b2",
        *,
        text: str | nn.Module = "small-bert",
        width: int = 256,
        level: int = 0,
        reach: float = 0.5,
        contrast: Literal["tokens", "phrases", "none"] = "tokens",
        assignment: Literal["similar", "matched"] = "similar",
        contrast_weight: float = 0.06,
        contrast_start: float = 0.1,
        temperature: float = 0.1,
        projection_dim: int = 128,
        max_negatives: int | None = None,
        threshold: float = 0.5,
        flip: float = 0.0,
        detection: Detection = Detection(),
        optimization: Optimization = Optimization("adamw", lr=1e-5, weight_decay=1e-4, schedule="constant"),
    ) -> None:
        super().__init__(optimization)
        if contrast not in ("tokens", "phrases", "none") or assignment not in ("similar", "matched"):
            raise ValueError(
                "contrast must be 'tokens', 'phrases' or 'none' and assignment 'similar' or 'matched', got "
                f"{contrast!r} and {assignment!r}"
            )
        if contrast_weight < 0 or not 0 < threshold < 1 or not 0 <= flip <= 1 or not 0 <= contrast_start <= 1:
            raise ValueError(
                "contrast_weight must be at least 0, threshold in (0, 1), flip and contrast_start in [0, 1], got "
                f"{contrast_weight}, {threshold}, {flip} and {contrast_start}"
            )
        self.encoder: CountingNetwork = CountingNetwork(encoder, text, width, level, reach)
        self.projector = MLPHead(width, width, projection_dim, norm="none")
        self.contrast, self.assignment, self.temperature = contrast, assignment, temperature
        self.contrast_weight, self.contrast_start = contrast_weight, contrast_start
        self.max_negatives, self.threshold, self.flip, self.detection = max_negatives, threshold, flip, detection

    def views(self, batch: CountBatch) -> CountViews:
        """Pictures, mirrored at random with their points, and all of their phrases in a row."""
        images = batch.images.float() / 255
        n, device = len(images), images.device
        mirrored = for_examples(lambda count: torch.rand(count, generator=self.generator, device=device), n) < self.flip
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
        owners = torch.tensor([i for i, said in enumerate(batch.phrases) for _ in said], device=device)
        points = [each for said in batch.points for each in said]
        turned = [
            torch.stack([1 - p[:, 0], p[:, 1]], 1) if mirrored[i] else p for p, i in zip(points, owners, strict=True)
        ]
        return CountViews(images, [phrase for said in batch.phrases for phrase in said], owners, turned)

    def loss(self, views: CountViews) -> dict[str, Tensor]:
        seen = self.encoder.see(views.images)
        logits, keys = self.encoder.logits(seen.tokens, views.phrases, views.owners)
        terms, named = self.detection.terms(logits, seen.points[views.owners], views.points)
        if self.contrast != "none" and self.progress >= self.contrast_start:
            if self.assignment == "similar":
                named = most_similar(logits.detach(), named.sum(1))
            terms["contrast"] = self.contrast_weight * self.contrasted(seen.tokens, keys, named, views.owners)
        return terms

    def contrasted(self, tokens: Tensor, keys: Tensor, named: Tensor, owners: Tensor) -> Tensor:
        """The contrast of every picture, averaged."""
        found = []
        for n, of_one in enumerate(tokens):
            mine = owners == n
            if self.contrast == "tokens":
                z = self.projector(of_one)
                found.append(
                    token_supcon(z, named[mine], temperature=self.temperature, max_negatives=self.max_negatives)
                )
            else:
                found.append(token_phrase_agreement(self.encoder.query(of_one), keys[mine], named[mine]))
        return torch.stack(found).mean()

    def encode(self, batch: Any) -> Tensor:
        """One vector per picture, the mean of its tokens."""
        return self.encoder(getattr(batch, "images", batch))

    def locate(self, batch: CountBatch) -> list[list[Tensor]]:
        """For every phrase of every picture the points (K, 2) that it names, (x, y) as shares of the side."""
        check_phrases(batch.phrases)
        seen = self.encoder.see(batch.images.to(self.device))
        found = []
        for n, said in enumerate(batch.phrases):
            owners = torch.full((len(said),), n, device=self.device)
            logits, _ = self.encoder.logits(seen.tokens, said, owners)
            found.append([seen.points[n][row.sigmoid() > self.threshold].cpu() for row in logits])
        return found

    def predict(self, batch: CountBatch) -> list[list[int]]:
        """How many objects each phrase of each picture names."""
        return [[len(points) for points in said] for said in self.locate(batch)]

    def evaluate(self, data: Data, *, seed: int = 0) -> Scores:
        """``mae`` and ``rmse`` of counts (lower is better) and ``f1`` of points of every held-out set."""
        scores = Scores()
        for name, held_out in (data.splits() or {"data": data}).items():
            errors = CountErrors()
            for _, batch in in_order(held_out, BATCH):
                with self.frozen():
                    errors.add_all(self.locate(to_device(batch, self.device)), batch.points)
            scores.add(errors.scores(name))
        return scores
