"""Contrast with a memory of which each row takes its own part: PointCPSC."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import (
    embeddings,
    full_precision,
    inverse_temperature,
    number,
    paired,
    reduce_rows,
    unit_rows,
)
from nearfar.losses.engine.blocks import in_row_blocks


@full_precision
def selective_contrast(
    queries: Tensor,
    keys: Tensor,
    bank: Tensor,
    *,
    temperature: float | Tensor,
    drop: float = 0.1,
    neighbours: int = 0,
    reduction: str = "mean",
) -> Tensor:
    r"""Queries find their keys and the keys' neighbours in a memory, among what is far from a key (arXiv 2308.09247).

    A memory of parts of scenes holds many that are as good as the key. The share ``drop`` of it that is nearest to the
    key is therefore no negative, and the ``neighbours`` nearest rows are positives beside the key. With
    :math:`P_i` the key and its neighbours and :math:`N_i` what is left of the memory,

    .. math::
        \ell_i = -\frac{1}{|P_i|} \sum_{p \in P_i}
            \log \frac{e^{q_i \cdot p / \tau}}{e^{q_i \cdot p / \tau} + \sum_{n \in N_i} e^{q_i \cdot n / \tau}},

    rows L2-normalised. No gradient reaches keys or memory. No code is released; that the key, not the query, chooses
    is a reading of the paper. With ``drop=0`` and no neighbours this is :func:`info_nce` over a queue.

    The matrix of a few rows at a time is held, and made again for the gradient.

    Args:
        queries: (N, D).
        keys: (N, D), row i the positive of query i.
        bank: (K, D), past keys that all queries share.
        temperature: divides the logits; a positive float or a 0-d tensor.
        drop: share of the bank that is no negative, in [0, 1); neighbours never are.
        neighbours: rows of the bank that are positives too, from 0 to K - 1.
        reduction: ``"mean"``, or ``"none"`` for the (N,) losses.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: shapes, devices, a temperature or a number that do not fit, or no negative left.
    """
    q, k, bank = embeddings(queries=queries, keys=keys, bank=bank)
    paired(queries=queries, keys=keys)
    number("drop", drop, at_least=0.0)
    number("neighbours", neighbours, at_least=0)
    near = max(int(drop * len(bank)), neighbours)
    if near >= len(bank):
        raise ValueError(
            f"drop={drop} and neighbours={neighbours} leave no negative among the {len(bank)} rows of the bank"
        )
    scale = inverse_temperature(temperature, q)
    rows = torch.cat([unit_rows(q), unit_rows(k.detach())], 1)

    def losses(rows: Tensor, bank: Tensor, start: int) -> Tensor:
        query, key = rows.chunk(2, 1)
        logits = (query @ bank.t()) * scale
        nearest = (key @ bank.t()).topk(near, dim=1).indices
        positives = torch.cat(
            [(query * key).sum(1, keepdim=True) * scale, logits.gather(1, nearest[:, :neighbours])], 1
        )
        taken = logits.gather(1, nearest)
        # A row of NaN is nearest to everything, and must not leave with the nearest unseen.
        hidden = torch.where(taken.isnan(), taken, -torch.inf)
        negatives = logits.scatter(1, nearest, hidden).logsumexp(1, keepdim=True)
        return F.softplus(negatives - positives).mean(1)

    return reduce_rows(in_row_blocks(losses, rows, unit_rows(bank.detach())), reduction)
