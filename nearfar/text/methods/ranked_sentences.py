"""Ranking-sentence refinement: an embedder learns the order of a sentence's rewrites."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.common.randomness import derive_seed
from nearfar.encoders import text_encoder
from nearfar.encoders.text import Pooling
from nearfar.losses import list_mle
from nearfar.text.method import TextBatch
from nearfar.text.methods.simcse import SimCSE
from nearfar.training import Optimization


class RankedLists(NamedTuple):
    """Sentences of several lists, one list after another, and the target scores (n, n) of each list."""

    sentences: list[str]
    targets: list[Tensor]


class RankedSentences(SimCSE):
    """Hu et al., 2025, Findings of ACL, arXiv 2502.13656.

    A language model rewrites a sentence again and again (:func:`nearfar.text.chains.written_chains`,
    ``nearfar rewrite``), and an embedder that is trained already learns from such lists: every sentence of a list ranks
    all of it, by ListMLE on cosines, in the order of a teacher's cosines corrected by the places in the list
    (:func:`ranking_targets`).

    The authors' command goes on training a head that their checkpoint brings along; here there is none unless ``head``
    puts a new one. The teacher's temperature is not in their code; it is that of the objective that they build on.

    Args:
        encoder: a trained sentence encoder, by name or as a ``TextEncoder``.
        teacher: who ranks as well, by name or as a ``TextEncoder``; it is never trained.
        omega: how much the places in the list count, at least 0; 0 leaves the teacher's order.
        teacher_temperature: divides the teacher's cosines, above 0.
        released_sign: compare ranks with places as the released code does, which is right for the first row only.
        temperature: divides the student's cosines, above 0.
        pooling: how token states become one vector.
        teacher_pooling: the same of the teacher.
        head: put a Linear + Tanh between encoder and loss.
        max_length: tokens kept per sentence.
        dropout: probability of every dropout in the encoder; its own when not given.
        optimization: AdamW with linear decay and no warm-up.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "hf:princeton-nlp/unsup-simcse-bert-base-uncased",
        *,
        teacher: str | nn.Module = "hf:voidism/diffcse-bert-base-uncased-sts",
        omega: float = 0.5,
        teacher_temperature: float = 0.05,
        released_sign: bool = False,
        temperature: float = 0.05,
        pooling: Pooling = "cls",
        teacher_pooling: Pooling = "cls",
        head: bool = False,
        max_length: int = 32,
        dropout: float | None = None,
        optimization: Optimization = Optimization("adamw", lr=3e-6, weight_decay=0.0, schedule="linear"),
    ) -> None:
        super().__init__(
            encoder,
            pooling=pooling,
            temperature=temperature,
            head=head,
            max_length=max_length,
            dropout=dropout,
            optimization=optimization,
        )
        if omega < 0 or teacher_temperature <= 0:
            raise ValueError(
                f"omega must be at least 0 and teacher_temperature above 0, got {omega} and {teacher_temperature}"
            )
        self.omega, self.teacher_temperature, self.released_sign = omega, teacher_temperature, released_sign
        self._teacher = teacher, teacher_pooling, max_length
        self._asked: list[nn.Module] = []  # no part of the method, and never made by a finished run

    def teacher(self) -> nn.Module:
        """The teacher, made when it is first asked."""
        if not self._asked:
            name, pooling, most = self._teacher
            with torch.random.fork_rng():
                torch.manual_seed(derive_seed(self.seed, "teacher"))
                self._asked.append(text_encoder(name, pooling=pooling, max_length=most).eval())
        return self._asked[0].to(self.device)

    def views(self, batch: TextBatch) -> RankedLists:  # type: ignore[override]
        """Every list whole, and what it is to be ranked by."""
        if batch.rewrites is None:
            raise ValueError(
                "ranked-sentences learns from lists of rewrites, and this data has none; they are tables with the "
                "columns sent and round, as `nearfar rewrite` writes them"
            )
        chains = [[first, *rest] for first, rest in zip(batch.sentences, batch.rewrites, strict=True)]
        sentences = [*itertools.chain(*chains)]
        seen = F.normalize(self.teacher()(sentences).float(), dim=1).split([len(chain) for chain in chains])
        return RankedLists(sentences, [self.targets(x @ x.t() / self.teacher_temperature) for x in seen])

    def targets(self, similarities: Tensor) -> Tensor:
        return ranking_targets(similarities, self.omega, released_sign=self.released_sign)

    def loss(self, views: RankedLists) -> Tensor:  # type: ignore[override]
        vectors = F.normalize(self.head(self.encoder(views.sentences)).float(), dim=1)
        parts = vectors.split([len(target) for target in views.targets])
        found = []
        for x, target in zip(parts, views.targets, strict=True):
            order = torch.randperm(len(x), generator=self.generator, device=x.device)
            found.append(list_mle(x @ x.t() / self.temperature, target, order=order))
        return torch.stack(found).mean()


def ranking_targets(similarities: Tensor, omega: float, *, released_sign: bool = False) -> Tensor:
    r"""What a list is to be ranked by, of a teacher's similarities (n, n) in the list's order.

    Of row i the places :math:`j \ge i` are looked at. There the list says that similarity falls with j. With
    :math:`A'_{ij}` the value that place j would have if it did, and the element's own rank :math:`r_{ij}`,

    .. math::
        B_{ij} = \pm |A_{ij} - A'_{ij}|, \qquad Y = A + \operatorname{sgn}(B) \log(1 + \omega |B|)

    with a minus where the teacher puts the element before its place, :math:`r_{ij} < j - i`, and B mirrored below
    its diagonal. The released code compares with j in the place of j - i, so that nearly every correction is a minus;
    ``released_sign`` does the same.
    """
    n = len(similarities)
    signed = torch.zeros_like(similarities)
    for i in range(n):
        row = similarities[i, i:]
        falling = row.argsort(descending=True, stable=True)
        rank = torch.empty_like(falling)
        rank[falling] = torch.arange(n - i, device=row.device)
        place = torch.arange(n - i, device=row.device) + (i if released_sign else 0)
        signed[i, i:] = torch.where(rank < place, -1.0, 1.0) * (row - row[falling]).abs()
    signed = signed + signed.triu(1).t()
    return similarities + signed.sign() * (omega * signed.abs()).log1p()
