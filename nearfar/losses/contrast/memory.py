"""Contrast with what a memory holds of other examples (CMC, instance discrimination)."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import choice, embeddings, full_precision, inverse_temperature, reduce_rows, unit_rows
from nearfar.losses.engine.blocks import in_row_blocks

MemoryForm = Literal["nce", "softmax"]
FORMS = ("nce", "softmax")
# Added to both sides of a released probability ratio.
EPS = 1e-7


@full_precision
def memory_contrast(
    queries: Tensor,
    bank: Tensor,
    sample: Tensor,
    *,
    temperature: float | Tensor,
    form: MemoryForm = "nce",
    normalizer: Tensor | None = None,
    normalize: bool = True,
    reduction: str = "mean",
) -> Tensor:
    r"""Each query finds its own row of a memory among K rows drawn from it (CMC, arXiv 1906.05849).

    With :math:`e_{ik} = e^{q_i \cdot m_{s(i,k)} / \tau}`, the positive at k = 0 and a memory of n rows,

    - ``"softmax"``: :math:`-\log (e_{i0} / \sum_{k=0}^{K} e_{ik})`;
    - ``"nce"``: with :math:`P = e / Z` and :math:`\nu = K / n`,
      :math:`-\log \frac{P_{i0}}{P_{i0} + \nu} - \sum_{k=1}^{K} \log \frac{\nu}{P_{ik} + \nu}`, each query deciding of
      every row whether it is its own. The constant Z is estimated once, from the first batch, with
      :func:`memory_normalizer`.

    Released code: ``NCE/NCEAverage.py`` and ``NCE/NCECriterion.py``. Rows are drawn with the positive among them, as
    there. No gradient reaches the memory. The (B, K + 1, D) rows that were drawn are gathered a few queries at a time,
    and again for the gradient. Where all negatives fit in the batch, or are a queue that all queries share, take
    :func:`info_nce`.

    Args:
        queries: (B, D).
        bank: (n, D), taken as it is; its rows are unit vectors but at the very start.
        sample: (B, K + 1) integers in [0, n), K at least 1: the rows of the memory for each query, its own first.
        temperature: divides the logits; a positive float or a 0-d tensor.
        form: which of the two.
        normalizer: Z above 0, a 0-d tensor; ``"nce"`` needs it.
        normalize: L2-normalise the queries first.
        reduction: ``"mean"`` over the queries, or ``"none"`` for the (B,) losses.

    Raises:
        TypeError: a dtype that is not floating, or a sample that is no integers.
        ValueError: shapes, devices or a temperature that do not fit, or no normalizer where one is needed.
    """
    choice("form", form, FORMS)
    queries, bank = embeddings(queries=queries, bank=bank)
    if not isinstance(sample, Tensor) or sample.is_floating_point():
        raise TypeError(f"sample must be a tensor of integers, got {getattr(sample, 'dtype', type(sample).__name__)}")
    if sample.ndim != 2 or len(sample) != len(queries) or sample.shape[1] < 2:
        raise ValueError(
            f"sample must have shape ({len(queries)}, K + 1) with K at least 1, got {tuple(sample.shape)}: the own row "
            "of each query, then others"
        )
    if sample.device.type == "cpu" and not bool(((sample >= 0) & (sample < len(bank))).all()):
        raise ValueError(
            f"sample must lie in [0, {len(bank)}), the rows of bank, got {int(sample.min())} to {int(sample.max())}"
        )
    if form == "nce" and normalizer is None:
        raise ValueError("form 'nce' needs the normalizer of memory_normalizer, estimated from the first batch")
    scale = inverse_temperature(temperature, queries)
    q = (unit_rows(queries) if normalize else queries) * scale
    noise = (sample.shape[1] - 1) / len(bank)

    def losses(rows: Tensor, memory: Tensor, start: int) -> Tensor:
        logits = _scores(rows, memory, sample[start : start + len(rows)])
        if form == "softmax":
            return torch.logsumexp(logits, 1) - logits[:, 0]
        assert normalizer is not None
        # log(P / (nu + eps)), because P itself passes the largest number at low temperatures.
        odds = logits - (normalizer.to(logits) * (noise + EPS)).log()
        right = F.softplus(-odds[:, 0])
        wrong = F.softplus(odds[:, 1:]) + math.log1p(EPS / noise)
        return right + wrong.sum(1)

    entries = sample.shape[1] * bank.shape[1]
    return reduce_rows(in_row_blocks(losses, q, bank.detach(), entries=entries), reduction)


@torch.no_grad()
def memory_normalizer(queries: Tensor, bank: Tensor, sample: Tensor, *, temperature: float | Tensor) -> Tensor:
    """Z of :func:`memory_contrast`: the mean of ``e`` over all that was drawn, times the rows of the memory; 0-d.

    Raises:
        ValueError: it is larger than numbers of this dtype get, because the temperature is too low for it; the form
            ``"softmax"`` needs none.
    """
    queries, bank = embeddings(queries=queries, bank=bank)
    q = F.normalize(queries, dim=1) * inverse_temperature(temperature, queries)
    found = in_row_blocks(
        lambda rows, memory, start: _scores(rows, memory, sample[start : start + len(rows)]).exp().mean(1),
        q,
        bank,
        entries=sample.shape[1] * bank.shape[1],
    )
    normalizer = found.mean() * len(bank)
    if normalizer.isposinf():
        raise ValueError(
            f"the mean of exp(q . m / temperature) passes the largest number of {queries.dtype}: the temperature "
            f"{float(temperature):g} is too low for it, or the memory's rows are too long; take form 'softmax'"
        )
    return normalizer


def _scores(rows: Tensor, memory: Tensor, sample: Tensor) -> Tensor:
    """Inner products of each query with the rows drawn for it, (b, K + 1)."""
    return torch.bmm(memory[sample], rows.unsqueeze(2)).squeeze(2)
