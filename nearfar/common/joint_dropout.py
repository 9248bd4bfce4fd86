"""Dropout whose masks are drawn for the global batch, so that any number of processes drops the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from nearfar.common.share import Share

_now: Share | None = None


def positions(count: int) -> Tensor:
    """Where the ``count`` examples of this process stand in the global batch, (count,) int64: what dropout makes its
    masks of that draws nothing. From 0 outside of :class:`JointDropout`."""
    if _now is None:
        return torch.arange(count)
    if count % _now.examples:
        return torch.arange(count) + _now.rank * count
    return _now.rows(torch.arange(count * _now.ranks), count // _now.examples)


class JointDropout(TorchFunctionMode):
    """Within this block torch's dropout functions draw their masks for the global batch and keep this process's rows.

    Masks are those that one process would draw, because the very function draws them, of ones. Covered are
    ``F.dropout`` and its forms for channels, ``torch.dropout`` and the dropout of attention in
    ``scaled_dot_product_attention``, which is what the layers of torch and of transformers call. Not covered are those
    that draw inside of other functions of torch (``nn.MultiheadAttention`` in training) and rows that are no multiple
    of the examples: there a process draws for itself.
    """

    def __init__(self, share: Share) -> None:
        super().__init__()
        self.share = share

    def __enter__(self) -> JointDropout:
        global _now
        _now = self.share
        super().__enter__()
        return self

    def __exit__(self, *problem: Any) -> None:
        global _now
        _now = None
        super().__exit__(*problem)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        if func in _DROPOUTS:
            return self._drop(func, *args, **named)
        if func is F.scaled_dot_product_attention:
            return self._attend(func, *args, **named)
        return func(*args, **named)

    def _drop(
        self,
        func: Callable[..., Tensor],
        input: Tensor,
        p: float = 0.5,
        training: bool | None = None,
        inplace: bool = False,
        train: bool = True,
    ) -> Tensor:
        on = _DROPOUTS[func] if training is None else training
        if not (on and train) or p in (0.0, 1.0) or not self._fits(input):
            return func(input, p, on and train)
        mask = self._rows(func, input, p)
        return input.mul_(mask) if inplace else input * mask

    def _attend(
        self,
        func: Callable[..., Tensor],
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        settings = {"is_causal": is_causal, "scale": scale, "enable_gqa": enable_gqa}
        if not dropout_p or enable_gqa or not self._fits(query):
            return func(query, key, value, attn_mask, dropout_p, **settings)
        scores = query @ key.transpose(-2, -1) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
        if is_causal:
            later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
            scores = scores.masked_fill(later, -math.inf)
        if attn_mask is not None:
            hidden = attn_mask.dtype == torch.bool
            scores = scores.masked_fill(~attn_mask, -math.inf) if hidden else scores + attn_mask
        weights = scores.softmax(-1)
        return (weights * self._rows(torch.dropout, weights, dropout_p).to(weights.dtype)) @ value

    def _fits(self, x: Tensor) -> bool:
        return x.ndim > 0 and len(x) > 0 and len(x) % self.share.examples == 0

    def _rows(self, func: Callable[..., Tensor], like: Tensor, p: float) -> Tensor:
        blocks = len(like) // self.share.examples
        ones = torch.ones(len(like) * self.share.ranks, *like.shape[1:], dtype=like.dtype, device=like.device)
        if like.ndim == 4 and not like.is_contiguous() and like.is_contiguous(memory_format=torch.channels_last):
            ones = ones.contiguous(memory_format=torch.channels_last)  # numbers are drawn in the order of memory
        return self.share.rows(func(ones, p, True), blocks)


# The functions and whether they drop when nothing says so.
_DROPOUTS: dict[Callable[..., Tensor], bool] = {
    F.dropout: True,
    F.dropout1d: True,
    F.dropout2d: True,
    F.dropout3d: True,
    torch.dropout: True,
}
