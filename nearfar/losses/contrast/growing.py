"""Contrast for views of growing strength, where each has to agree with the one before it: HiCLR."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nearfar.losses._checks import embeddings, full_precision, inverse_temperature, number, paired, unit_rows
from nearfar.losses.engine.blocks import in_row_blocks


@full_precision
def growing_consistency(
    views: Sequence[Tensor],
    key: Tensor,
    queue: Tensor,
    *,
    temperature: float | Tensor,
    neighbours: int = 0,
    weight: float = 0.5,
) -> dict[str, Tensor]:
    r"""The weakest view finds its key, and every stronger view agrees with the next weaker one (arXiv 2211.13466).

    With the distribution of view :math:`v` over its key and the queue,
    :math:`p^v = \operatorname{softmax}([z^v \cdot k, z^v \cdot Q^\top] / \tau)`, rows L2-normalised,

    .. math::
        L = -\frac{1}{|P|} \sum_{j \in P} \log p^0_j
            + \lambda \sum_{v \ge 1} \Big( -\sum_j \operatorname{sg}(p^{v-1}_j) \log p^v_j \Big)

    averaged over the batch. :math:`P` is the key alone, or with it the union of every view's ``neighbours`` nearest
    rows of the queue, of which :math:`P` counts each once (released code, ``net/hiclr.py``; logarithms of a softmax
    are taken as one step here, where the release underflows). No gradient reaches the weaker view of a pair, the key
    or the queue. With one view this is MoCo's :func:`info_nce` over a queue.

    The matrix of a few rows at a time is held, and made again for the gradient.

    Args:
        views: tensors (N, D) from the weakest to the strongest, at least one.
        key: (N, D), row i the positive of row i of every view.
        queue: (K, D), negatives that all rows share.
        temperature: divides the logits; a positive float or a 0-d tensor.
        neighbours: rows of the queue that each view adds to the positives, from 0 to K.
        weight: :math:`\lambda`, at least 0.

    Returns:
        ``identification``, and ``consistency`` where there is more than one view.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: no view; shapes, devices, a temperature or a number that do not fit.
    """
    if not len(views):
        raise ValueError("growing_consistency needs at least one view, got none")
    named = {f"views[{v}]": view for v, view in enumerate(views)}
    *lifted, bank = embeddings(**named, key=key, queue=queue)
    paired(**named, key=key)
    number("neighbours", neighbours, at_least=0)
    number("weight", weight, at_least=0.0)
    if neighbours > len(queue):
        raise ValueError(f"neighbours must be at most the {len(queue)} rows of the queue, got {neighbours}")
    scale = inverse_temperature(temperature, lifted[0])
    rows = [unit_rows(z) for z in lifted[:-1]]
    bank = unit_rows(bank.detach())
    found = unit_rows(lifted[-1].detach())

    def compare(block: Tensor, bank: Tensor, start: int) -> Tensor:
        """Of some rows, all views and the key side by side: the two sums of losses, (n, 2)."""
        *views, key = block.chunk(len(rows) + 1, 1)
        logits = [torch.cat([(z * key).sum(1, keepdim=True), z @ bank.t()], 1) * scale for z in views]
        log_p = [torch.log_softmax(x, 1) for x in logits]
        positive = _positives(logits, neighbours)
        first = -(log_p[0] * positive).sum(1) / positive.sum(1)
        chain = torch.zeros_like(first)
        for weaker, stronger in zip(log_p, log_p[1:], strict=False):
            chain = chain - (weaker.detach().exp() * stronger).sum(1)
        return torch.stack([first, chain], 1)

    first, chain = in_row_blocks(compare, torch.cat([*rows, found], 1), bank).unbind(1)
    terms = {"identification": first.mean()}
    if len(rows) > 1:
        terms["consistency"] = weight * chain.mean()
    return terms


@torch.no_grad()
def _positives(logits: list[Tensor], neighbours: int) -> Tensor:
    """(n, 1 + K), 1 for the key and for what is among the nearest of any view."""
    chosen = torch.zeros_like(logits[0])
    chosen[:, 0] = 1.0
    for x in logits if neighbours else ():
        chosen.scatter_(1, x[:, 1:].topk(neighbours, dim=1).indices + 1, 1.0)
    return chosen
