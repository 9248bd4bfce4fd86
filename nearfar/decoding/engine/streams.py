"""Branches that are advanced together, with one pass for each model and token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nearfar.decoding.engine.branch import Branch, Look, by_model, parted, passed, stacked, touched
from nearfar.decoding.engine.quick import QuickLlama, quick_for


class Streams:
    """Branches with their key-value caches.

    Rows of one model are stacked, padded on the left and passed together; every row is given the same new token as its
    counterpart in the other branches, and keeps its own positions.

    Args:
        branches: each of B rows.
        early: hidden states whose own words are asked for; see :func:`forced_looks`.
        norm: applied to those states before the head.
        quick: whether Llamas without touches on a processor use :class:`QuickLlama` after the prompt.
    """

    def __init__(
        self, branches: Sequence[Branch], *, early: Sequence[int] = (), norm: Any = None, quick: bool = True
    ) -> None:
        self.branches = [*branches]
        self._groups = [_Group([self.branches[i] for i in g], [*early], norm, quick) for g in by_model(self.branches)]
        self._order = [i for g in by_model(self.branches) for i in g]

    @torch.no_grad()
    def start(self) -> list[Look]:
        """Pass the prompts; a look (B, V) for each branch, in their order."""
        return self._ordered([look for group in self._groups for look in group.start()])

    @torch.no_grad()
    def step(self, tokens: Tensor) -> list[Look]:
        """Give every branch the next token (B,) of each row."""
        return self._ordered([look for group in self._groups for look in group.step(tokens)])

    def select(self, rows: Tensor) -> None:
        """Let row i of every branch go on from what row ``rows[i]`` has read (B,), as beams are moved."""
        for group in self._groups:
            group.select(rows)

    def _ordered(self, looks: list[Look]) -> list[Look]:
        placed = dict(zip(self._order, looks, strict=True))
        return [Look(*(None if x is None else x.squeeze(-2) for x in placed[i])) for i in range(len(looks))]  # type: ignore[arg-type]


class _Group:
    """The branches of one model."""

    def __init__(self, branches: list[Branch], early: list[int], norm: Any, quick: bool) -> None:
        self.branches, self.early, self.norm, self.model = branches, early, norm, branches[0].model
        self.stack = stacked(branches)
        self.quick = quick and not early and all(branch.touch is None for branch in branches)
        self._mask = self.stack.mask
        self._cache: Any = None
        self._stepper: QuickLlama | None = None

    def start(self) -> list[Look]:
        from transformers import DynamicCache

        with touched(self.branches, self.stack.ids.shape[1] - 1):
            logits, layers, output = passed(
                self.model,
                self.stack,
                1,
                self.early,
                self.norm,
                use_cache=True,
                past_key_values=DynamicCache(config=self.model.config),
            )
        self._cache = output.past_key_values
        if self.quick:
            self._stepper = quick_for(self.model, self._cache, self._mask)
        return parted(logits, layers, self.branches)

    def step(self, tokens: Tensor) -> list[Look]:
        tokens = tokens.repeat(len(self.branches))
        if self._stepper is not None:
            return parted(self._stepper.step(tokens)[:, None], None, self.branches)
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(self._mask), 1)], 1)
        now = Branch(self.model, tokens[:, None], self._mask)
        more: dict[str, Any] = {"use_cache": True, "past_key_values": self._cache}
        with touched(self.branches, None):
            logits, layers, output = passed(self.model, now, 1, self.early, self.norm, **more)
        self._cache = output.past_key_values
        return parted(logits, layers, self.branches)

    def select(self, rows: Tensor) -> None:
        size = len(self.branches[0].ids)
        index = torch.cat([rows + size * k for k in range(len(self.branches))])
        if self._stepper is not None:
            self._stepper.select(index)
        else:
            self._cache.reorder_cache(index)
        self._mask = self._mask[index]
