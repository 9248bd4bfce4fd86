"""DSS: long handwriting by joined training inks, styles that are learned by contrast, and writing in pieces."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.common.share import for_examples
from nearfar.generation.data.ink import Ink, InkBatch
from nearfar.generation.inking import InkModel, InkWriter, StyleEncoder, padded_offsets, style_retrieval
from nearfar.generation.made import Made
from nearfar.generation.method import BATCH, Draws, Generates
from nearfar.generation.pieces import GAP, halves, pieces, side_by_side, with_mates
from nearfar.generation.writing import asked
from nearfar.losses import ink_likelihood, nt_xent
from nearfar.sources.data import Data, in_order
from nearfar.system import Scores
from nearfar.training import Method, Optimization
from nearfar.training.embed import to_device


class InkViews(NamedTuple):
    """Inks that may be joined, N tensors (P, 3), with their texts; both halves of each ink; which styles are told, (N,)
    bool."""

    points: list[Tensor]
    texts: list[str]
    first: list[Tensor]
    second: list[Tensor]
    told: Tensor


class DSSInk(Generates, Method):  # type: ignore[misc]
    r"""Data augmentation, style encoding and split generation (Timofeev et al., 2023, ICDAR, arXiv 2311.17786).

    .. math:: L = L_{pen} + \lambda\, \mathrm{NT\text{-}Xent}(s(a_i), s(b_i))

    ``L_pen`` is the likelihood of the pen's steps (:func:`nearfar.losses.ink_likelihood`) of an autoregressive writer
    that is told a style s; a and b are the two halves of one ink, which say different things in one hand
    (:func:`nearfar.losses.nt_xent`). Three parts make long texts legible:

    - D: some inks are joined to others of the same writer (of any, where writers are unknown), so that training sees
      texts longer than the collection's;
    - S: the style is what contrast finds the same in both halves. The writer's loss does not reach it, so that it
      cannot carry what is written;
    - Split: a text is cut at its spaces into pieces of at most ``max_letters``, each written in the same style, and the
      pieces are put side by side on one line.

    No code was released, and the paper's abstract names the parts but not their sizes: the writer is Graves' (2013), as
    the paper says that its parts go with any encoder and decoder; sizes and probabilities are ours. The style told in
    training is that of a half of the ink drawn at random.

    ``nearfar generate RUN INKS -o OUT`` writes each line's ``text`` in the style of its ``strokes``.

    Args:
        alphabet: letters that can be written; others are read as one unknown sign.
        style_dim: width of the style.
        style_width: of the style encoder's LSTM.
        width: of the writer's LSTMs.
        parts: Gaussians of a step.
        windows: of the window that slides over the text.
        style_weight: lambda, at least 0; 0 for no style at all.
        temperature: of the contrast of styles, above 0.
        join: share of inks that are joined to others, in [0, 1].
        most_joined: largest number of inks in one, at least 2.
        untold: share of inks whose writer is not told the style, in [0, 1].
        split: whether long texts are written in pieces.
        max_letters: of a piece; 0 for the length that nine tenths of the training texts do not exceed.
        bias: of sampling, at least 0; larger is tidier.
        optimization: Adam.
    """

    verbs = ("embeds", "generates")
    takes = InkBatch

    def __init__(
        self,
        *,
        alphabet: str = string.printable[:95],
        style_dim: int = 32,
        style_width: int = 64,
        width: int = 256,
        parts: int = 20,
        windows: int = 10,
        style_weight: float = 1.0,
        temperature: float = 0.1,
        join: float = 0.5,
        most_joined: int = 5,
        untold: float = 0.1,
        split: bool = True,
        max_letters: int = 0,
        bias: float = 1.0,
        optimization: Optimization = Optimization("adam", lr=1e-3, weight_decay=0.0, clip=1.0),
    ) -> None:
        super().__init__(optimization)
        shares = {"join": join, "untold": untold}
        if min(shares.values()) < 0 or max(shares.values()) > 1 or most_joined < 2:
            raise ValueError(f"join and untold must be in [0, 1], most_joined at least 2, got {shares}, {most_joined}")
        if style_weight < 0 or bias < 0 or max_letters < 0 or not alphabet or parts < 1 or windows < 1:
            raise ValueError(
                "style_weight, bias and max_letters must be at least 0, parts and windows at least 1 and the alphabet "
                f"not empty, got {style_weight}, {bias}, {max_letters}, {parts}, {windows} and {alphabet!r}"
            )
        style = StyleEncoder(style_dim, style_width)
        self.encoder: InkModel = InkModel(style, InkWriter(alphabet, style_dim, width, parts, windows))
        self.style_weight, self.temperature, self.join, self.most_joined = style_weight, temperature, join, most_joined
        self.untold, self.split, self.max_letters, self.bias = untold, split, max_letters, bias

    def begin(self, data: Any) -> None:
        lengths = [len(text) for text in data.batch(np.arange(min(len(data), 1000))).texts]
        self.encoder.longest.fill_(int(np.ceil(np.quantile(lengths, 0.9))))

    def views(self, batch: InkBatch) -> InkViews:
        """Inks joined to others of the batch that one writer wrote, and the halves of every ink."""
        drawn = for_examples(
            lambda n: torch.rand(n, 3 + 2 * self.most_joined, generator=self.generator, device=batch.rows.device),
            len(batch.rows),
        ).cpu()
        points, texts = with_mates(batch, drawn.tolist(), self.join, self.most_joined)
        first, second = zip(*map(halves, batch.points), strict=True)
        return InkViews(points, texts, list(first), list(second), (drawn[:, 2] >= self.untold).to(batch.rows.device))

    def loss(self, views: InkViews) -> dict[str, Tensor]:
        a, b = self.encoder.style(views.first), self.encoder.style(views.second)
        terms = {}
        if self.style_weight:
            terms["style"] = self.style_weight * nt_xent(*self.gather(a, b), temperature=self.temperature)
        side = torch.rand(len(a), 1, generator=self.generator, device=a.device) < 0.5
        style = torch.where(side, a, b) * views.told[:, None]
        terms["pen"] = self.pen(views.points, views.texts, style)
        return terms

    def pen(self, points: Sequence[Tensor], texts: Sequence[str], style: Tensor) -> Tensor:
        """The likelihood loss of inks (P, 3) that say texts, in styles (N, style_dim)."""
        steps, there = padded_offsets(points)
        return ink_likelihood(self.encoder.writer(steps, texts, self.told(style)), steps, there)

    def told(self, style: Tensor) -> Tensor:
        """The style as the writer hears it: its direction, to which no loss of the writer leads back."""
        return F.normalize(style.detach(), dim=1) * (1.0 if self.style_weight else 0.0)

    def encode(self, batch: InkBatch) -> Tensor:
        return self.encoder.style(batch.points)

    def make(self, batch: InkBatch, draws: Draws) -> list[Made]:
        """Each text in the style of its ink."""
        inks = self.write(batch.texts, self.encode(batch), draws)
        found = []
        for n, (ink, row) in enumerate(zip(inks, batch.rows.tolist(), strict=True)):
            given = Ink(batch.points[n].cpu().numpy())
            found.append(Made(row, {"": Ink(ink.cpu().numpy())}, given=given, said={"text": batch.texts[n]}))
        return found

    def write(self, texts: Sequence[str], style: Tensor, draws: Draws) -> list[Tensor]:
        """Inks (P, 3) of texts in styles (N, style_dim); every piece has random numbers of its own."""
        most = self.max_letters or int(self.encoder.longest)
        cut = [pieces(text, most) if self.split else [text] for text in texts]
        rows = [n for n, each in enumerate(cut) for _ in each]
        seeds = [torch.randint(1 << 62, (len(p),), generator=g) for p, g in zip(cut, draws.generators, strict=True)]
        generators = [torch.Generator().manual_seed(int(seed)) for seed in torch.cat(seeds)]
        told = self.told(style)[rows]
        made = self.encoder.writer.sample([piece for each in cut for piece in each], told, generators, self.bias)
        parts: list[list[Tensor]] = [[] for _ in texts]
        for row, ink in zip(rows, made, strict=True):
            parts[row].append(ink)
        return [side_by_side(each, sum(GAP) / 2) for each in parts]

    def evaluate(self, data: Data, *, seed: int = 0) -> Scores:
        """Of held-out inks: ``pen likelihood``, the loss of each ink in the style of its first half (lower is better),
        and ``style retrieval``, how often what is nearest to the first half of an ink among all second halves is by its
        writer (its own, where writers are unknown)."""
        lost, first, second, writers = [], [], [], []
        for _, batch in in_order(asked(data).sample(512), BATCH):
            batch = to_device(batch, self.device)
            with self.frozen():
                a, b = (self.encoder.style(each) for each in zip(*map(halves, batch.points), strict=True))
                lost.append(self.pen(batch.points, batch.texts, a))
            first.append(F.normalize(a, dim=1))
            second.append(F.normalize(b, dim=1))
            writers.append(batch.writers)
        found = style_retrieval(torch.cat(first), torch.cat(second), torch.cat(writers))
        likelihood = float(torch.stack(lost).mean())
        return Scores({"pen likelihood": likelihood, "style retrieval": found}, lower=["pen likelihood"])
