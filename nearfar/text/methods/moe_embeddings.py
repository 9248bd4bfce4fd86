"""Mixture-of-experts embeddings: one encoder for several domains, with feed-forward layers for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.common.share import for_examples
from nearfar.encoders.text import Pooling, text_encoder
from nearfar.encoders.tokens import Tokens
from nearfar.losses import info_nce, likeness_ranking
from nearfar.spelling import one_of
from nearfar.system import Scores
from nearfar.text.domains import domain_scores
from nearfar.text.method import TextBatch, TextMethod
from nearfar.text.routing import RoutedEncoder, TokenRoutedEncoder
from nearfar.training import Data, Optimization
from nearfar.training.steps import Terms

Objective = Literal["likeness", "ranking"]
Router = Literal["domain", "tokens"]
TOGETHER = 128
"""Pairs that are read at a time in evaluation."""


class Routed(NamedTuple):
    """Tokens of N texts and of their N partners after them, and the number of each one's domain (2N,)."""

    tokens: Tokens
    domains: Tensor


class MoEEmbeddings(TextMethod):
    """Hallee, Kapur, Patel, Gleghorn and Khomtchouk, 2024, arXiv 2401.15713.

    Papers that are cited together belong together, in each of several domains. The feed-forward part of every layer is
    copied once for each domain, and a text passes the copy of its own domain: which one is known and nothing learns
    to guess it. Attention and norms are shared. A token of the domain takes the place of the first one. Averaged
    states go through a layer norm, Linear, Tanh and Linear, and texts find their partners in the batch, by
    :func:`nearfar.losses.likeness_ranking` as released or by ``ranking``, both ways, as the paper has it.

    Copies begin equal. Batches should hold several domains, and those who ask for a text's vector have to know its
    domain. The authors find no gain below about 100 million parameters. ``layers`` gives their earlier version with
    experts in one layer, and ``router: tokens`` the one in which a learned router sends every token through ``top`` of
    the experts: it is taught the domains by a cross-entropy of its logits, averaged over layers and tokens, and a text
    is then read without its domain being known. (The router's other losses of those versions, for balance and mutual
    information, are not here.)

    Args:
        encoder: sentence encoder of BERT's or ModernBERT's kind, by name or as a ``TextEncoder``.
        domains: names of the domains; those of the data when not given.
        experts: copies for each domain; without them it is the one dense model that the paper compares with.
        router: ``domain``, the text's own copy, or ``tokens``, what the router chooses for each token.
        top: experts that a token passes with ``router: tokens``, at most the number of domains.
        router_weight: of the cross-entropy that teaches the router the domains, at least 0.
        layers: numbers of the layers with experts, from 0; all when not given.
        marked: put a token of the domain in the place of the first.
        objective: ``likeness`` or ``ranking``.
        normalize: compare directions alone; the released loss compares products.
        temperature: divides the products, above 0.
        swap: probability with which a pair changes sides, in [0, 1].
        pooling: how token states become one vector.
        max_length: tokens kept of each text.
        dropout: probability of every dropout in the encoder; its own when not given.
        optimization: AdamW with linear decay.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "hf:answerdotai/ModernBERT-base",
        *,
        domains: Sequence[str] | None = None,
        experts: bool = True,
        router: Router = "domain",
        top: int = 2,
        router_weight: float = 0.1,
        layers: Sequence[int] | None = None,
        marked: bool = True,
        objective: Objective = "likeness",
        normalize: bool = False,
        temperature: float = 1.0,
        swap: float = 0.5,
        pooling: Pooling = "avg",
        max_length: int = 512,
        dropout: float | None = None,
        optimization: Optimization = Optimization("adamw", lr=1e-4, weight_decay=0.0, schedule="linear"),
    ) -> None:
        if not domains:
            raise ValueError(
                "moe-embeddings needs the names of the domains; data with a column domain brings them along"
            )
        if objective not in get_args(Objective) or not 0 <= swap <= 1:
            raise ValueError(f"objective must be likeness or ranking and swap in [0, 1], got {objective!r} and {swap}")
        if router not in get_args(Router) or router_weight < 0 or (router == "tokens" and not experts):
            raise ValueError(
                f"router must be domain, or tokens with experts, and router_weight at least 0; got {router!r} with "
                f"experts {experts} and {router_weight}"
            )
        plain = text_encoder(encoder, pooling=pooling, max_length=max_length, dropout=dropout)
        routed: RoutedEncoder | TokenRoutedEncoder
        if router == "tokens":
            routed = TokenRoutedEncoder(plain, len(domains), top, layers)
        else:
            routed = RoutedEncoder(plain, len(domains), layers if experts else (), marked)
        super().__init__(routed, pooling, max_length, dropout, optimization)
        self.numbers = {name: number for number, name in enumerate(domains)}
        width = self.features
        self.pooler = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, width))
        self.objective, self.normalize, self.temperature, self.swap = objective, normalize, temperature, swap
        self.router_weight = router_weight

    def kept(self) -> nn.Module:
        return nn.ModuleDict({"encoder": self.encoder, "pooler": self.pooler})

    def views(self, batch: TextBatch) -> Routed:
        """Both sides of every pair, some of them exchanged."""
        if batch.positives is None:
            raise ValueError("moe-embeddings learns from pairs of texts, and this data has none")
        drawn = for_examples(
            lambda n: torch.rand(n, generator=self.generator, device=self.device), len(batch.sentences)
        )
        turned = (drawn < self.swap).tolist()
        sides = [*zip(batch.sentences, batch.positives, strict=True)]
        first, second = ([pair[way ^ turn] for pair, turn in zip(sides, turned, strict=True)] for way in (0, 1))
        tokens: Tokens = self.encoder.tokenize([*first, *second])  # type: ignore[operator]
        return Routed(tokens, self._domains(batch.domains).to(tokens.input_ids.device).repeat(2))

    def loss(self, views: Routed) -> Terms:
        if isinstance(self.encoder, RoutedEncoder):
            return self.contrast(self.encoder.routed(*views))
        vectors, logits = self.encoder.guessed(views.tokens)  # type: ignore[operator]
        guessed = F.cross_entropy(logits.float(), views.domains)
        return {"pairs": self.contrast(vectors), "router": self.router_weight * guessed}

    def contrast(self, vectors: Tensor) -> Tensor:
        """The loss of vectors (2N, D) whose halves are pairs row by row."""
        a, b = self.gather(*self.pooler(vectors).chunk(2))
        if self.objective == "likeness":
            return likeness_ranking(a, b, normalize=self.normalize, temperature=self.temperature)
        return info_nce(a, b, temperature=self.temperature, symmetric=True, normalize=self.normalize)

    def encode(self, batch: Any) -> Tensor:
        return self.vectors(batch.sentences, getattr(batch, "domains", None))

    def vectors(self, texts: Sequence[str], domains: Sequence[str] | None) -> Tensor:
        """Vectors (N, D) of N texts of these domains."""
        tokens: Tokens = self.encoder.tokenize([*texts])  # type: ignore[operator]
        if isinstance(self.encoder, TokenRoutedEncoder):
            return self.pooler(self.encoder(tokens))
        numbers = self._domains(domains).to(tokens.input_ids.device)
        return self.pooler(self.encoder.routed(tokens, numbers))  # type: ignore[operator]

    def evaluate(self, data: Data, *, seed: int = 0) -> Scores:
        """See :func:`nearfar.text.domains.domain_scores`."""
        return domain_scores(self.cosines, data)

    def cosines(self, first: Sequence[str], second: Sequence[str], domains: Sequence[str]) -> np.ndarray:
        """(N,) of pairs of texts."""
        parts = []
        with self.frozen():
            for at in range(0, len(first), TOGETHER):
                rows = slice(at, at + TOGETHER)
                a, b = (self.vectors(side[rows], domains[rows]) for side in (first, second))
                parts.append(torch.cosine_similarity(a, b).cpu())
        return torch.cat(parts).numpy()

    def _domains(self, names: Sequence[str] | None) -> Tensor:
        if names is None:
            raise ValueError("moe-embeddings reads texts by their domain; give a column domain")
        strange = next((name for name in names if name not in self.numbers), None)
        if strange is not None:
            raise ValueError(f"there is no expert for the domain {strange!r}{one_of(strange, self.numbers)}")
        return torch.tensor([self.numbers[name] for name in names], dtype=torch.long)
