"""Contrast as a logits processor, for an unmodified ``generate`` of transformers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from transformers import LogitsProcessor

from nearfar.decoding.engine.branch import Branch, Look
from nearfar.decoding.engine.streams import Streams

Combine = Callable[[list[Look]], Tensor]


class BranchProcessor(LogitsProcessor):
    """Advances the branches to move away from beside the model that ``generate`` runs, and combines their words.

    It works with greedy decoding, sampling and beam search: beams that ``generate`` has moved are found again by what
    they have read. What it remembers ends with a call: the next one begins anew where its ids do not continue these;
    :meth:`reset` makes it forget at once.

    Args:
        combine: all looks, the followed one first, to scores (B, V).
        others: the further branches, of as many rows as the prompts; under beam search each row is repeated.
    """

    def __init__(self, combine: Combine, others: Sequence[Branch]) -> None:
        self.combine, self.others = combine, [*others]
        self.reset()

    def reset(self) -> None:
        """Forget what was read."""
        self._read: Tensor | None = None
        self._streams: Streams | None = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return self.combine([Look(scores), *self._advance(input_ids)])

    def _advance(self, ids: Tensor) -> list[Look]:
        before, self._read = self._read, ids.clone()
        if before is not None and self._streams is not None and ids.shape[1] == before.shape[1] + 1:
            rows = _same_rows(before, ids[:, :-1], len(self.others[0].ids))
            if rows is not None:
                if not torch.equal(rows, torch.arange(len(rows), device=rows.device)):
                    self._streams.select(rows)
                return self._streams.step(ids[:, -1])
        self._streams = Streams([self._repeated(branch, len(ids)) for branch in self.others])
        return self._streams.start()

    @staticmethod
    def _repeated(branch: Branch, rows: int) -> Branch:
        times, rest = divmod(rows, len(branch.ids))
        if rest or not times:
            raise ValueError(
                f"this decoder was prepared for {len(branch.ids)} prompts, and generate runs {rows} rows; prepare it "
                "for the same prompts"
            )
        index = torch.arange(len(branch.ids), device=branch.ids.device).repeat_interleave(times)
        return branch if times == 1 else branch.rows(index)


def _same_rows(before: Tensor, now: Tensor, prompts: int) -> Tensor | None:
    """For each row now, a row before that has read the same and belongs to the same prompt; none where one has not."""
    if before.shape != now.shape:
        return None
    same = (before[None] == now[:, None]).all(-1)
    prompt = torch.arange(len(now), device=now.device).div(len(now) // prompts, rounding_mode="floor")
    same &= prompt[None] == prompt[:, None]
    if not bool(same.any(1).all()):
        return None
    own = same.diagonal()
    rows = same.int().argmax(1)
    return torch.where(own, torch.arange(len(now), device=now.device), rows)
