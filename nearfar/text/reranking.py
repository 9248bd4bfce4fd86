"""What rerankers are made of: a transformer over the passages of a query, and scoring in rounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


class ListTransformer(nn.Module):
    """Scores of the passages of a query that have seen one another (arXiv 2501.07111, section 3).

    The query and its passages, each one vector, pass a transformer without positions: passages attend to the query and
    to all passages, the query to itself alone, so that what it asks does not depend on the list. A passage's score
    reads it before and after:

    ``u = ReLU(W2 [q; p])``, ``v = ReLU(W3 [q'; p'])``, ``logit = w1 [u; v]``.

    Args:
        in_features: of the vectors that come in.
        width: of the lists.
        layers: of the transformer, with norms after them; at least 1.
        heads: a divisor of ``width``.
        hidden: of the feed-forward networks.
        dropout: in the transformer.
        together: whether passages attend to one another; without, each is scored by itself.

    Shape: query (Q, D), passages (Q, n, D) and a mask (Q, n), true where there is a passage, to logits (Q, n).
    """

    def __init__(
        self,
        in_features: int,
        width: int = 1792,
        layers: int = 2,
        heads: int = 16,
        hidden: int = 2048,
        dropout: float = 0.1,
        together: bool = True,
    ) -> None:
        super().__init__()
        if layers < 1 or width % heads:
            raise ValueError(f"layers must be at least 1 and heads divide {width}, got {layers} and {heads}")
        self.entrance = nn.Linear(in_features, width)
        self.kind = nn.Embedding(2, width)
        self.norm = nn.LayerNorm(width)
        layer = nn.TransformerEncoderLayer(width, heads, hidden, dropout, "gelu", batch_first=True)
        self.lists = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.together = together
        self.before, self.after = nn.Linear(2 * width, width), nn.Linear(2 * width, width)
        self.score = nn.Linear(2 * width, 1)

    def forward(self, query: Tensor, passages: Tensor, mask: Tensor) -> Tensor:
        x = self.entrance(torch.cat([query.unsqueeze(1), passages], 1))
        u = self.before(_beside(x)).relu()
        kinds = torch.zeros(x.shape[1], dtype=torch.long, device=x.device)
        kinds[0] = 1
        hidden = torch.zeros(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device)
        hidden[0, 1:] = True
        if not self.together:
            hidden[1:, 1:] = ~torch.eye(x.shape[1] - 1, dtype=torch.bool, device=x.device)
        padding = torch.cat([torch.zeros_like(mask[:, :1]), ~mask], 1)
        x = self.lists(self.norm(x + self.kind(kinds)), mask=hidden, src_key_padding_mask=padding)
        v = self.after(_beside(x)).relu()
        return self.score(torch.cat([u, v], -1)).squeeze(-1)


def _beside(x: Tensor) -> Tensor:
    """(Q, 1 + n, D) to (Q, n, 2D): the query beside each passage."""
    return torch.cat([x[:, :1].expand(-1, x.shape[1] - 1, -1), x[:, 1:]], -1)


def padded(rows: Tensor, lengths: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Vectors (sum of lengths, D) as lists (Q, n, D), zeros at their ends, and where there are some (Q, n)."""
    lists = nn.utils.rnn.pad_sequence([*rows.split([*lengths])], batch_first=True)
    places = torch.arange(lists.shape[1], device=rows.device)
    return lists, places < torch.tensor(lengths, device=rows.device).unsqueeze(1)


def in_rounds(
    score: Callable[[list[int]], Tensor], count: int, *, most: int = 20, share: float = 0.2, least: int = 10
) -> Tensor:
    """Scores (count,) of a list that is longer than those of training, its worst passages set aside round by round.

    While more than ``most`` passages are left they are scored together, and the lowest ``max(least, share * n)`` of
    them, with those that tie with the last of these, keep their score plus the number of the round; the rest goes
    into the next round, whose scores are thus above theirs. Where every passage ties, none is left out and the round
    is the last.

    Args:
        score: rows of the list to their scores in [0, 1].
        count: passages of the list.
        most: passages that are scored at a time at the end.
        share, least: how many leave in each round.
    """
    if most < 1 or least < 1 or not 0 <= share < 1:
        raise ValueError(f"most and least must be at least 1 and share in [0, 1), got {most}, {least} and {share}")
    final = torch.zeros(count)
    left = [*range(count)]
    turn = 0
    while left:
        found = score(left).detach().cpu().float()
        leaves = torch.ones(len(left), dtype=torch.bool)
        if len(left) > most:
            leaving = min(max(least, math.ceil(share * len(left))), len(left) - 1)
            leaves = found <= found.sort().values[leaving - 1]
        final[torch.tensor(left)[leaves]] = found[leaves] + turn
        left = [row for row, out in zip(left, leaves.tolist(), strict=True) if not out]
        turn += 1
    return final
