"""DAS: dual-aligned semantic ids."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from nearfar.losses import bpr, masked_contrast
from nearfar.recommend.data import FeaturedPairs, Interactions
from nearfar.recommend.method import Recommender, Triples
from nearfar.recommend.semantic_ids import SemanticIds
from nearfar.training import Optimization


class DAS(Recommender):
    """Ye et al., 2025, CIKM, arXiv 2508.10584. No code was released; this follows the published description.

    Users and items become short codes by residual quantisation of their content and are, in the same training,
    drawn to what clicks teach: the sums of codes are aligned with collaborative embeddings that have been freed of
    popularity. Seven contrasts do that, each symmetric and without false negatives: a user with the true part of a
    chosen item and the other way round, each side with its own true part, a side with the true part of one that was
    clicked together with it (two), and the codes of both sides with each other. What the paper leaves open (sizes,
    temperature, the form of the collaborative loss) is chosen here: ranking of pairs, three levels of 256 codes, a
    temperature of 0.1, weights of 1.

    Args:
        users, items, interactions, user_features, item_features: sizes of the data; taken from it when not given. The
            first kind of features of either side is its content.
        dim: width of codes.
        levels, codes: of the quantiser of each side.
        align: what is aligned: the sums of ``codes``, vectors ``before`` they are coded, or ``nothing``.
        weight: of the contrasts together, at least 0.
        temperature: divides the cosines.
        optimization: Adam at a constant rate.
    """

    takes: ClassVar[type | None] = FeaturedPairs
    encoder: SemanticIds  # type: ignore[assignment]

    def __init__(
        self,
        users: int | None = None,
        items: int | None = None,
        interactions: int | None = None,
        user_features: dict[str, int] | None = None,
        item_features: dict[str, int] | None = None,
        *,
        dim: int = 32,
        levels: int = 3,
        codes: int = 256,
        align: Literal["codes", "before", "nothing"] = "codes",
        weight: float = 1.0,
        temperature: float = 0.1,
        optimization: Optimization = Optimization("adam", lr=1e-3, weight_decay=0.0, schedule="constant"),
    ) -> None:
        super().__init__(optimization)
        people, things, edges = self.sizes(users=users, items=items, interactions=interactions)
        if not user_features or not item_features:
            raise ValueError("user_features and item_features are needed: the widths of the content of both sides")
        if align not in ("codes", "before", "nothing"):
            raise ValueError(f"align must be 'codes', 'before' or 'nothing', got {align!r}")
        widths = next(iter(user_features.values())), next(iter(item_features.values()))
        self.encoder = SemanticIds(people, things, edges, widths, dim, levels, codes)
        self.align, self.weight, self.temperature = align, weight, temperature

    def begin(self, data: Interactions) -> None:
        self.connect(data)
        rng = np.random.default_rng(self.seed)
        for side, features, chosen in (
            (self.encoder.user, data.user_features, data.learn),
            (self.encoder.item, data.item_features, data.learn.T.tocsr()),
        ):
            content = torch.from_numpy(next(iter(features.values())))
            side.content.copy_((content - content.mean(0)) / content.std(0).clamp_min(1e-6))  # type: ignore[operator]
            clicks = np.log1p(np.asarray(data.learn.sum(0)).ravel())
            degree = np.maximum(np.asarray(chosen.sum(1)).ravel(), 1)
            told = clicks if side is self.encoder.item else np.asarray(chosen @ clicks) / degree
            side.popularity.copy_(torch.from_numpy((told - told.mean()) / max(told.std(), 1e-6)))  # type: ignore[operator]
            with torch.no_grad():
                side.quantizer.settle(side.into(side.content), rng)

    def begin_epoch(self, data: Interactions, epoch: int) -> None:
        """Codes that nothing chooses begin anew where something is."""
        rng = np.random.default_rng((self.seed, epoch))
        for side in (self.encoder.user, self.encoder.item) if epoch else ():
            with torch.no_grad():
                side.quantizer.settle(side.into(side.content), rng, only_dead=True)

    def loss(self, views: Triples) -> dict[str, Tensor]:
        user, item = self.encoder.user, self.encoder.item
        before_u, z_u, coding_u = user.coded(views.users)
        before_i, z_i, coding_i = item.coded(views.chosen)
        asking = torch.cat((user.true(views.users), user.bias(views.users)), 1)
        scores = [
            (asking * torch.cat((item.true(rows), item.bias(rows)), 1)).sum(1) for rows in (views.chosen, views.other)
        ]
        terms = {
            "coding": coding_u + coding_i,
            "collaborative": bpr(*scores),
            "debias": user.debias(views.users) + item.debias(views.chosen),
        }
        if self.align != "nothing" and self.weight:
            left, right = (z_u, z_i) if self.align == "codes" else (before_u, before_i)
            terms["alignment"] = self.weight * self._aligned(views, left, right)
        return terms

    def _aligned(self, views: Triples, z_u: Tensor, z_i: Tensor) -> Tensor:
        user, item = self.encoder.user, self.encoder.item
        same_user = views.users[:, None] == views.users
        same_item = views.chosen[:, None] == views.chosen
        clicked = self._chose(views.users, views.chosen)
        beside_item, beside_user = self._beside(views)
        t_u, t_i = user.true(views.users), item.true(views.chosen)
        pairs = (
            (z_u, t_i, clicked),
            (z_i, t_u, clicked.T),
            (z_i, t_i, same_item),
            (z_u, t_u, same_user),
            (z_i, item.true(beside_item), same_user | same_item),
            (z_u, user.true(beside_user), same_user | same_item),
            (z_u, z_i, clicked),
        )
        each = [masked_contrast(a, b, related, temperature=self.temperature) for a, b, related in pairs]
        return torch.stack(each).sum()

    def _chose(self, users: Tensor, items: Tensor) -> Tensor:
        """(B, B) bool: whether user i chose item j."""
        graph = self.encoder.graph
        lengths = graph.row_starts.diff().long()
        owner = torch.repeat_interleave(torch.arange(graph.rows, device=users.device), lengths)
        keys = owner * graph.columns + graph.row_columns.long()
        asked = users[:, None] * graph.columns + items
        return keys[torch.searchsorted(keys, asked).clamp_max(len(keys) - 1)] == asked

    def _beside(self, views: Triples) -> tuple[Tensor, Tensor]:
        """An item that the user chose, and a user who chose the item, drawn for each pair."""
        graph = self.encoder.graph

        def drawn(starts: Tensor, members: Tensor, rows: Tensor) -> Tensor:
            first, stop = starts[rows].long(), starts[rows + 1].long()
            place = torch.rand(len(rows), generator=self.generator, device=rows.device) * (stop - first)
            return members[first + place.long().minimum(stop - first - 1)].long()

        items = drawn(graph.row_starts, graph.row_columns, views.users)
        return items, drawn(graph.column_starts, graph.column_rows, views.chosen)
