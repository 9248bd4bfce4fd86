"""What recommenders share: the graph of choices, negatives, and the ranking of all items."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nearfar.recommend.data import Interactions, Pairs
from nearfar.recommend.encoders import LightEncoder
from nearfar.recommend.ranking import best_items
from nearfar.training import Method, Optimization


class Triples(NamedTuple):
    """Who chose what, and an item that they did not.

    Attributes:
        users, chosen, other: (B,) rows each.
    """

    users: Tensor
    chosen: Tensor
    other: Tensor


class Recommender(Method):
    """A method whose users and items are vectors, and whose score is their product.

    A subclass builds ``self.encoder``, which holds the graph (a :class:`LightEncoder` or a module that has ``graph``
    and ``connect``), and writes ``loss(triples)``; where a user's and an item's vector are more than
    ``self.encoder()`` it writes :meth:`vectors` as well.

    The graph is kept with the weights, so that a re-opened run ranks without its data.
    """

    verbs: ClassVar[tuple[str, ...]] = ("ranks",)
    takes: ClassVar[type | None] = Pairs
    encoder: LightEncoder

    def __init__(self, optimization: Optimization) -> None:
        super().__init__(optimization)
        self._keys: Tensor | None = None

    @staticmethod
    def sizes(**given: int | None) -> tuple[int, ...]:
        """The sizes of the data, all of which must be known.

        Raises:
            ValueError: one is not given.
        """
        missing = [name for name, size in given.items() if size is None]
        if missing:
            raise ValueError(f"{missing[0]} is needed: how many the data has")
        return tuple(size for size in given.values() if size is not None)

    def begin(self, data: Interactions) -> None:
        self.connect(data)

    def connect(self, data: Interactions) -> None:
        """Take the graph from the data's choices.

        Raises:
            ValueError: other users, items or interactions than the method was made for.
        """
        graph, (users, items) = self.encoder.graph, data.learn.shape
        if (users, items, data.learn.nnz) != (graph.rows, graph.columns, graph.entries):
            raise ValueError(
                f"{data.name} has {users} users, {items} items and {data.learn.nnz} interactions to learn from, and "
                f"this was made for {graph.rows}, {graph.columns} and {graph.entries}; a recommender answers for the "
                "people and items that it learned from"
            )
        self.encoder.connect(data.learn)
        self._keys = None

    def views(self, batch: Pairs) -> Triples:
        return Triples(batch.users, batch.items, self.negatives(batch.users))

    def negatives(self, users: Tensor, rounds: int = 50) -> Tensor:
        """An item drawn uniformly for each user among those that the user did not choose.

        For users who chose almost everything the last of ``rounds`` draws is taken.
        """
        graph = self.encoder.graph
        if self._keys is None or self._keys.device != users.device:
            lengths = graph.row_starts.diff().long()
            owner = torch.repeat_interleave(torch.arange(graph.rows, device=users.device), lengths)
            self._keys = owner * graph.columns + graph.row_columns.long()
        drawn = torch.randint(graph.columns, users.shape, generator=self.generator, device=users.device)
        wrong = torch.arange(len(users), device=users.device)
        for _ in range(rounds):
            asked = users[wrong] * graph.columns + drawn[wrong]
            place = torch.searchsorted(self._keys, asked).clamp_max(len(self._keys) - 1)
            wrong = wrong[self._keys[place] == asked]
            if not len(wrong):
                break
            drawn[wrong] = torch.randint(graph.columns, wrong.shape, generator=self.generator, device=users.device)
        return drawn

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Users (U, D) and items (I, D) whose products are the scores."""
        return self.encoder()

    def rank(self, queries: Any, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The ``k`` best items for each user that they did not choose yet.

        Args:
            queries: (N,) rows of users.
            k: from 1 to the number of items.

        Returns:
            Rows of items (N, k), best first, and their scores (N, k). Where fewer than k are left, -1 and minus
            infinity.

        Raises:
            ValueError: k or a row out of range.
        """
        graph, rows = self.encoder.graph, np.asarray(queries, dtype=np.int64)
        if len(rows) and (rows.min() < 0 or rows.max() >= graph.rows):
            raise ValueError(f"users are rows from 0 to {graph.rows - 1}, got {rows.min()} to {rows.max()}")
        with self.frozen():
            users, items = (vectors.float().cpu().numpy() for vectors in self.vectors())
        starts, chosen = graph.row_starts.cpu().numpy(), graph.row_columns.cpu().numpy()
        return best_items(users, items, rows, starts, chosen, k)
