"""What methods of this field learn from, a batch at a time."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

Text = str | list[dict[str, Any]]
"""A text, or messages with ``role`` and ``content``."""


class PairBatch(NamedTuple):
    """Prompts with a chosen and a rejected reply each, and the rows of the collection that they are (N,)."""

    prompts: list[Text]
    chosen: list[Text]
    rejected: list[Text]
    rows: Tensor


class RatedBatch(NamedTuple):
    """Prompts with K replies each, their rewards (N, K), and the rows of the collection that they are (N,)."""

    prompts: list[Text]
    replies: list[list[Text]]
    rewards: Tensor
    rows: Tensor
