"""SPACE-2: dialogs as near as their annotations are alike, in a subspace for each way of comparing trees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.common.share import agreed_most
from nearfar.encoders import TextEncoder
from nearfar.encoders.hidden_words import HiddenWords
from nearfar.encoders.text import Pooling
from nearfar.encoders.tokens import Tokens
from nearfar.losses import weighted_supcon
from nearfar.text.frames import VIEWS, elements, tree_similarity
from nearfar.text.masked import WordGuesses
from nearfar.text.method import TextBatch, TextMethod
from nearfar.training import Data, Optimization


class Views(NamedTuple):
    """The tokens of N dialogs twice, one pass after the other, those of one pass with hidden words, and annotations
    (N, 10, E) as :func:`nearfar.text.frames.elements` numbers them."""

    both: Tokens
    hidden: HiddenWords
    trees: Tensor


class SPACE2(TextMethod):
    r"""He et al., 2022, COLING, arXiv 2209.06638.

    Annotations of dialogs are trees of domains, intents, slots and values. Under each of ten views k (its nodes, edges
    and paths) two dialogs are alike by Jaccard's similarity f, and in that view's own subspace, a Linear and Tanh of
    the encoder's vector, they attract that much. With Z both dropout views of the batch in it,

    .. math::
        L_k = - \operatorname{mean}_a \frac{\sum_{b \ne a} f_k(a, b) \log p_{ab}}{\sum_{b \ne a} f_k(a, b)}, \qquad
        p_{ab} = \frac{e^{z_a \cdot z_b / \tau}}{\sum_{c \ne a} e^{z_a \cdot z_c / \tau}}

    averaged over k. Dialogs that nobody annotated do the same among themselves with only their other view alike. Hidden
    words are guessed in both parts. Where there are both kinds, each is half of every batch.

    The release multiplies by tau / 0.07, which is 1 at its own temperature and is left out here, and reads roles, turns
    and five prompt tokens apart; here a dialog is one text. A dialog annotated with nothing counts as not annotated.

    Args:
        encoder: text encoder, by name (``hf:<model>`` for a pretrained one) or as a ``TextEncoder``.
        subspaces: the views that are learned, of :data:`nearfar.text.frames.VIEWS`.
        width: of each subspace, at least 1.
        temperature: divides the cosines, above 0.
        words_weight: weight of guessing hidden words, at least 0.
        words_hidden: share of the words that are hidden.
        pooling: how token states become one vector; ``avg`` for encoders that were never pretrained.
        max_length: tokens kept per dialog.
        dropout: of the encoder, which makes the two views differ; its own when not given.
        optimization: AdamW with linear warm-up and decay.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "hf:bert-base-uncased",
        *,
        subspaces: Sequence[str] = VIEWS,
        width: int = 768,
        temperature: float = 0.07,
        words_weight: float = 0.1,
        words_hidden: float = 0.15,
        pooling: Pooling = "cls",
        max_length: int = 256,
        dropout: float | None = 0.2,
        optimization: Optimization = Optimization(
            "adamw", lr=1e-5, weight_decay=0.0, warmup=0.1, schedule="linear", clip=5.0
        ),
    ) -> None:
        super().__init__(encoder, pooling, max_length, dropout, optimization)
        if not subspaces or not {*subspaces} <= {*VIEWS}:
            raise ValueError(f"subspaces are some of {', '.join(VIEWS)}; got {', '.join(subspaces) or 'none'}")
        if width < 1 or words_weight < 0:
            raise ValueError(f"width must be at least 1 and words_weight at least 0, got {width} and {words_weight}")
        self.which = [VIEWS.index(view) for view in subspaces]
        self.project = nn.Sequential(nn.Linear(self.features, width * len(self.which)), nn.Tanh())
        self.words = WordGuesses(cast(TextEncoder, self.encoder), words_hidden)
        self.temperature, self.words_weight = temperature, words_weight

    def order(self, data: Data, rng: np.random.Generator) -> np.ndarray:
        """Annotated dialogs and others in turn, the fewer of them several times."""
        annotated = getattr(data, "annotated", np.zeros(0, dtype=bool))
        return halves(annotated, rng) if annotated.any() and not annotated.all() else data.order(rng)

    def views(self, batch: TextBatch) -> Views:
        encoder: Any = self.encoder
        trees = elements(batch.frames or [None] * len(batch.sentences)).to(self.device)
        missing = agreed_most(trees.shape[2], trees.device) - trees.shape[2]
        once = encoder.tokenize(batch.sentences)
        both = Tokens(*(torch.cat([part, part]) for part in once))
        return Views(both, self.words.hide(encoder, once, self.generator), F.pad(trees, (0, missing), value=-1))

    def loss(self, views: Views) -> dict[str, Tensor]:
        spaces = self.project(self.encoder(views.both)).unflatten(1, (len(self.which), -1))
        first, second, trees = self.gather(*spaces.chunk(2), views.trees)
        terms = {"contrast": spaces.sum() * 0}
        for rows in kinds(trees):
            if rows.any():
                terms["contrast"] = terms["contrast"] + self.contrast(first[rows], second[rows], trees[rows])
        if self.words_weight:
            states = self.encoder.hidden(views.hidden.tokens)  # type: ignore[operator]
            guessed = [self.words(states[rows], views.hidden.labels[rows]) for rows in kinds(views.trees)]
            terms["words"] = self.words_weight * torch.stack(guessed).sum()
        return terms

    def contrast(self, first: Tensor, second: Tensor, trees: Tensor) -> Tensor:
        """The mean over subspaces of both views' (N, K, D) contrast, weighted by how alike their trees are."""
        weights = self.similarity(trees)[self.which].to(first.dtype).repeat(1, 2, 2)
        z = torch.cat([first, second])
        losses = [
            weighted_supcon(z[:, k], z[:, k], weights[k], temperature=self.temperature, exclude_self=True)
            for k in range(len(self.which))
        ]
        return torch.stack(losses).mean()

    def similarity(self, trees: Tensor) -> Tensor:
        """How alike trees are under each of the ten views, (10, N, N)."""
        return tree_similarity(trees)


def kinds(trees: Tensor) -> tuple[Tensor, Tensor]:
    """Which rows of trees (N, 10, E) are annotated and which are not, (N,) bool each."""
    annotated = (trees >= 0).any(dim=(1, 2))
    return annotated, ~annotated


def halves(chosen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many positions as there are, one that is chosen and one that is not in turn, each kind in random orders."""
    turns = []
    for group in (np.flatnonzero(chosen), np.flatnonzero(~chosen)):
        passes = -(-(len(chosen) + 1) // (2 * len(group)))
        turns.append(np.concatenate([rng.permutation(group) for _ in range(passes)])[: (len(chosen) + 1) // 2])
    return np.stack(turns, 1).reshape(-1)[: len(chosen)]
