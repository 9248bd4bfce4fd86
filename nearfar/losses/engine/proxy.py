"""Two softmax predictions over the same images, their cross-entropies and both divergences (ReLIC).

The divergences couple two matrices row by row, so the engine works on blocks of whole rows: a block of both
matrices is made, used and dropped, and made again for the gradient. Memory is linear in the batch.

Blocks of a quarter of a million entries, but no fewer than 32 rows: at 4,096 rows of width 128 on one thread
0.38 s forward and backward, against 0.42 s with half and 0.45 s with eight times as many entries, and 1.3 s for
the plain formula on full matrices. Cross-entropies and divergences come from the same products;
taking the former from the tiled engine instead would need half as many again.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses.engine.once import OnceDifferentiable, first_derivative
from nearfar.losses.engine.sharing import Ranks, shared
from nearfar.losses.engine.threads import share, worker_count
from nearfar.losses.engine.tiles import LN2, spans

KL_MODES = ("full", "sg_entropy", "sg_target")
# Entries of one block of rows, by device type, and the least number of rows in a block.
BLOCK_ENTRIES = {"cpu": 1 << 18, "accelerator": 1 << 24}
LEAST_ROWS = 32


def proxy_pair(
    left_a: Tensor, right_a: Tensor, left_b: Tensor, right_b: Tensor, kl_mode: str
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """``-ln a_ii``, ``-ln b_ii``, ``KL(a_i || b_i)`` and ``KL(b_i || a_i)`` in nats for every row i, each
    (N,).

    ``a = softmax(left_a @ right_a.T)`` and ``b`` likewise, with logits in base two. Gradients reach
    ``left_a`` and ``left_b`` only: the right sides are outputs of a target network. ``kl_mode`` says which
    part of each divergence is held constant in the gradient; the values do not depend on it.
    """
    ranks = shared(("proxies", kl_mode), left_a, right_a, left_b, right_b)
    return _ProxyPair.apply(left_a, right_a, left_b, right_b, kl_mode, ranks)


def _blocks(left: Tensor, ranks: Ranks | None) -> list[slice]:
    """The rows, or with ``ranks`` those of this rank, cut into blocks."""
    n = len(left)
    kind = "cpu" if left.device.type == "cpu" else "accelerator"
    height = max(LEAST_ROWS, BLOCK_ENTRIES[kind] // n)
    return ranks.strips(n, height) if ranks else spans(0, n, height)


def _buffers(like: Tensor, rows: int, count: int) -> list[Tensor]:
    """Work buffers of one thread, each for a block of so many whole rows."""
    return [like.new_empty(rows, len(like)) for _ in range(count)]


def _log_softmax(logits: Tensor, probs: Tensor, start: int) -> tuple[Tensor, Tensor]:
    """Turn base-two ``logits`` into base-two log-probabilities in place and fill ``probs``.

    Returns ``-ln p_ii`` and ``1 - p_ii`` of the rows ``start...``, both from the sum over the *other*
    entries, so that neither loses its precision when the positive dominates.
    """
    positive = probs.diagonal(start)
    logits.sub_(logits.amax(1, keepdim=True))
    positive_logit = logits.diagonal(start).clone()
    torch.exp2(logits, out=probs)
    own = positive.clone()
    positive.zero_()
    others = probs.sum(1)
    positive.copy_(own)
    total = others + own
    probs.mul_(total.reciprocal().unsqueeze(1))
    logits.sub_(total.log2().unsqueeze(1))
    nll = -F.logsigmoid((positive_logit - others.log2()) * LN2)
    return nll, others / total


class _ProxyPair(OnceDifferentiable):
    @staticmethod
    def forward(
        ctx: Any,
        left_a: Tensor,
        right_a: Tensor,
        left_b: Tensor,
        right_b: Tensor,
        kl_mode: str,
        ranks: Ranks | None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        n = len(left_a)
        nll_a, nll_b, kl_ab, kl_ba = (left_a.new_zeros(n) for _ in range(4))
        blocks = _blocks(left_a, ranks)
        tallest = max((rows.stop - rows.start for rows in blocks), default=0)

        def work(part: list[slice]) -> None:
            buffers = _buffers(left_a, tallest, 4)
            for rows in part:
                log_a, log_b, a, b = (buffer[: rows.stop - rows.start] for buffer in buffers)
                torch.mm(left_a[rows], right_a.t(), out=log_a)
                torch.mm(left_b[rows], right_b.t(), out=log_b)
                nll_a[rows], _ = _log_softmax(log_a, a, rows.start)
                nll_b[rows], _ = _log_softmax(log_b, b, rows.start)
                ratio = log_a.sub_(log_b).mul_(LN2)
                kl_ab[rows] = a.mul_(ratio).sum(1)
                kl_ba[rows] = b.mul_(ratio).sum(1).neg_()

        share(blocks, work, worker_count(left_a, len(blocks), 0))
        if ranks is not None:
            nll_a, nll_b, kl_ab, kl_ba = ranks.sum(nll_a, nll_b, kl_ab, kl_ba)
        ctx.kl_mode, ctx.ranks = kl_mode, ranks
        ctx.save_for_backward(left_a, right_a, left_b, right_b, kl_ab, kl_ba)
        return nll_a, nll_b, kl_ab, kl_ba

    @staticmethod
    @first_derivative
    def backward(
        ctx: Any, g_nll_a: Tensor, g_nll_b: Tensor, g_kl_ab: Tensor, g_kl_ba: Tensor
    ) -> tuple[Tensor | None, ...]:
        left_a, right_a, left_b, right_b, kl_ab, kl_ba = ctx.saved_tensors
        grad_a, grad_b = torch.zeros_like(left_a), torch.zeros_like(left_b)
        if ctx.ranks is not None:
            g_nll_a, g_nll_b, g_kl_ab, g_kl_ba = ctx.ranks.sum(g_nll_a, g_nll_b, g_kl_ab, g_kl_ba)
        blocks = _blocks(left_a, ctx.ranks)
        tallest = max((rows.stop - rows.start for rows in blocks), default=0)

        def work(part: list[slice]) -> None:
            buffers = _buffers(left_a, tallest, 5 if ctx.kl_mode == "sg_entropy" else 4)
            for rows in part:
                log_a, log_b, a, b, *spare = (buffer[: rows.stop - rows.start] for buffer in buffers)
                torch.mm(left_a[rows], right_a.t(), out=log_a)
                torch.mm(left_b[rows], right_b.t(), out=log_b)
                _, rest_a = _log_softmax(log_a, a, rows.start)
                _, rest_b = _log_softmax(log_b, b, rows.start)
                ab, ba = g_kl_ab[rows].unsqueeze(1), g_kl_ba[rows].unsqueeze(1)
                # First the factor that multiplies each probability, written over the log-probabilities ...
                if ctx.kl_mode == "full":
                    ratio = log_a.sub_(log_b).mul_(LN2)
                    by_a = torch.mul(ratio, ab, out=log_b).add_(ba - ab * kl_ab[rows].unsqueeze(1))
                    by_b = ratio.mul_(-ba).add_(ab - ba * kl_ba[rows].unsqueeze(1))
                elif ctx.kl_mode == "sg_entropy":
                    mean_log_b = torch.mul(a, log_b, out=spare[0]).sum(1, keepdim=True)
                    mean_log_a = torch.mul(b, log_a, out=spare[0]).sum(1, keepdim=True)
                    by_a = log_b.mul_(ab * -LN2).add_(ab * mean_log_b * LN2 + ba)
                    by_b = log_a.mul_(ba * -LN2).add_(ba * mean_log_a * LN2 + ab)
                else:
                    by_a, by_b = log_a.copy_(ba.expand_as(a)), log_b.copy_(ab.expand_as(b))
                # ... then the gradient of both divergences, and last the cross-entropy's p - 1 on the positive.
                by_a.mul_(a).addcmul_(b, ba, value=-1)
                by_b.mul_(b).addcmul_(a, ab, value=-1)
                a.diagonal(rows.start).copy_(rest_a.neg_())
                b.diagonal(rows.start).copy_(rest_b.neg_())
                by_a.addcmul_(a, g_nll_a[rows].unsqueeze(1))
                by_b.addcmul_(b, g_nll_b[rows].unsqueeze(1))
                torch.mm(by_a, right_a, out=grad_a[rows])
                torch.mm(by_b, right_b, out=grad_b[rows])

        share(blocks, work, worker_count(left_a, len(blocks), 0))
        return grad_a.mul_(LN2), None, grad_b.mul_(LN2), None, None, None
