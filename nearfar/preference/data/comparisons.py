"""Collections of replies that were compared or rated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from nearfar.preference.data.batches import PairBatch, RatedBatch, Text
from nearfar.preference.data.world import World
from nearfar.sources.data import Data
from nearfar.sources.fingerprint import digest_of
from nearfar.sources.skipped import Skipped
from nearfar.sources.tables import why_no_text


class Compared(Data):
    """What both kinds share.

    Attributes:
        prompts: N texts, or lists of messages.
        world: where the replies come from, if that is known exactly: how good each possible reply is.
    """

    prompts: list[Text]
    world: World | None

    def _begin(
        self, prompts: Sequence[Text], name: str, world: World | None, splits: Any, skipped: Skipped | None
    ) -> None:
        self.prompts = [*prompts]
        if not self.prompts:
            raise ValueError("there is no prompt")
        self.name, self.world, self.skipped = name, world, skipped
        self._splits = dict(splits or {})

    def __len__(self) -> int:
        return len(self.prompts)

    @property
    def facts(self) -> Mapping[str, Any]:
        return {} if self.world is None else {"model": self.world.model}

    def splits(self) -> Mapping[str, Data]:
        return self._splits


class Pairs(Compared):
    """Prompts with a chosen and a rejected reply each.

    Args:
        prompts: N texts, or N lists of messages (``{"role": ..., "content": ...}``).
        chosen, rejected: N replies each, of the same kind; a text goes on where its prompt ends, spaces included.
        name: what to call the set.
        world: where the replies come from, if that is known exactly.
        splits: held-out sets by name.
        skipped: what the source held besides.

    Raises:
        ValueError: no prompt, lists of other lengths, an empty reply.
    """

    gives = PairBatch

    def __init__(
        self,
        prompts: Sequence[Text],
        chosen: Sequence[Text],
        rejected: Sequence[Text],
        *,
        name: str = "pairs",
        world: World | None = None,
        splits: Mapping[str, Data] | None = None,
        skipped: Skipped | None = None,
    ) -> None:
        self._begin(prompts, name, world, splits, skipped)
        self.chosen, self.rejected = [*chosen], [*rejected]
        for what, replies in (("chosen", self.chosen), ("rejected", self.rejected)):
            if len(replies) != len(self.prompts):
                raise ValueError(f"{what} has {len(replies)} replies for {len(self.prompts)} prompts")
            for row, reply in enumerate(replies):
                if reason := why_no_reply(reply):
                    raise ValueError(f"the {what} reply of row {row} cannot be used: {reason}")

    def batch(self, indices: np.ndarray) -> PairBatch:
        pick = lambda values: [values[i] for i in indices]  # noqa: E731
        return PairBatch(pick(self.prompts), pick(self.chosen), pick(self.rejected), torch.as_tensor(indices))

    def contents(self) -> Mapping[str, str]:
        return {"pairs": digest_of(self.prompts, self.chosen, self.rejected)}


class Rated(Compared):
    """Prompts with K replies each, and how good each reply is.

    Args:
        prompts: N texts, or N lists of messages.
        replies: N lists of K replies, K at least 2 and the same for all.
        rewards: (N, K), higher is better.
        name, world, splits, skipped: as for :class:`Pairs`.

    Raises:
        ValueError: no prompt, other numbers of replies, an empty reply, a reward that is not finite.
    """

    gives = RatedBatch

    def __init__(
        self,
        prompts: Sequence[Text],
        replies: Sequence[Sequence[Text]],
        rewards: Sequence[Sequence[float]] | np.ndarray,
        *,
        name: str = "rated",
        world: World | None = None,
        splits: Mapping[str, Data] | None = None,
        skipped: Skipped | None = None,
    ) -> None:
        self._begin(prompts, name, world, splits, skipped)
        self.replies = [[*each] for each in replies]
        counts = {len(each) for each in self.replies}
        if len(self.replies) != len(self.prompts) or len(counts) != 1 or min(counts) < 2:
            raise ValueError(
                f"every prompt needs the same number of replies, two or more; got {sorted(counts)} replies for "
                f"{len(self.prompts)} prompts"
            )
        self.rewards = np.asarray(rewards, dtype=np.float32)
        if self.rewards.shape != (len(self.prompts), *counts) or not np.isfinite(self.rewards).all():
            raise ValueError(f"rewards must be finite numbers (N, K), one a reply, got shape {self.rewards.shape}")
        for row, each in enumerate(self.replies):
            for reply in each:
                if reason := why_no_reply(reply):
                    raise ValueError(f"a reply of row {row} cannot be used: {reason}")

    def batch(self, indices: np.ndarray) -> RatedBatch:
        return RatedBatch(
            [self.prompts[i] for i in indices],
            [self.replies[i] for i in indices],
            torch.as_tensor(self.rewards[indices]),
            torch.as_tensor(indices),
        )

    def contents(self) -> Mapping[str, str]:
        return {"rated": digest_of(self.prompts, self.replies, self.rewards)}


def why_no_reply(reply: Any) -> str:
    """Why a value is no text and no list of messages; empty where it is one."""
    if not isinstance(reply, list):
        return why_no_text(reply)
    if not reply:
        return "it has no message"
    for message in reply:
        if not isinstance(message, dict) or not {"role", "content"} <= message.keys():
            return "a message must have role and content"
        if reason := why_no_text(message["content"]):
            return reason
    return ""
