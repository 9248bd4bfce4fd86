"""Contrast between the cells of two feature maps: PixPro, PixContrast, DenseCL's correspondence, DenseCL++.

A map of h x w cells is a matrix per image, (N, S, C) with S = h * w, rows of cells first.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from nearfar.losses._checks import boolean, choice, floating, full_precision, inverse_temperature, unit_rows

NEGATIVES = ("pooled", "random", "all", "matched")
ABSENT = -1e30
# Entries of the similarity matrix that are kept for the backward pass; beyond it blocks are made again.
KEPT_ENTRIES = 1 << 25


@full_precision
def pixel_consistency(predictions: Tensor, targets: Tensor, positive: Tensor) -> Tensor:
    r"""PixPro's loss in one direction (arXiv 2011.10043, equation 5; ``contrast/models/PixPro.py``).

    .. math::
        L = -2 \operatorname{mean}_n \frac{\sum_{ij} A^n_{ij} \cos(y^n_i, \operatorname{sg}[z^n_j])}
            {\sum_{ij} A^n_{ij} + 10^{-6}}

    Positives only: what keeps it from collapsing is the propagation and the momentum encoder. An image whose views do
    not overlap gives 0 and stays in the mean, as in the released code.

    Args:
        predictions: (N, S, C), the propagated cells of one view.
        targets: (N, T, C), cells of the other view; no gradient reaches them.
        positive: (N, S, T) boolean, which cells show the same place.

    Returns:
        A scalar in [-2, 2].

    Raises:
        TypeError: maps that are not floating, a mask that is not boolean.
        ValueError: shapes or devices that do not fit.
    """
    predictions, targets = _maps(predictions=predictions, targets=targets)
    a = _mask("positive", positive, predictions, targets)
    cosine = unit_rows(predictions) @ unit_rows(targets.detach()).mT
    per_image = (cosine * a).sum((1, 2)) / (a.sum((1, 2)) + 1e-6)
    return -2 * per_image.mean()


@full_precision
def pixel_contrast(queries: Tensor, keys: Tensor, positive: Tensor, *, temperature: float | Tensor = 0.3) -> Tensor:
    r"""PixContrast in one direction (arXiv 2011.10043, equation 2): the other view's far cells are negatives.

    .. math::
        \ell_i = -\log \frac{\sum_{j \in P_i} e^{\cos(q_i, k_j) / \tau}}{\sum_j e^{\cos(q_i, k_j) / \tau}}

    averaged over the cells i of an image that have a positive, then over images; an image whose views do not overlap
    gives 0 and stays in the mean. Negatives are cells of the same image only.

    Args:
        queries: (N, S, C), cells of one view.
        keys: (N, T, C), cells of the other view.
        positive: (N, S, T) boolean, which cells show the same place; all others are negatives.
        temperature: divides the cosines, above 0.

    Returns:
        A scalar, at least 0.

    Raises:
        TypeError: maps that are not floating, a mask that is not boolean.
        ValueError: shapes, devices or a temperature that do not fit.
    """
    queries, keys = _maps(queries=queries, keys=keys)
    a = _mask("positive", positive, queries, keys)
    logits = unit_rows(queries, inverse_temperature(temperature, queries)) @ unit_rows(keys).mT
    every = logits.logsumexp(2)
    near = logits.masked_fill(~positive, ABSENT).logsumexp(2)
    has = a.amax(2)
    return ((every - near) * has).sum(1).div(has.sum(1).clamp_min(1)).mean()


@torch.no_grad()
def dense_correspondence(queries: Tensor, keys: Tensor) -> Tensor:
    r"""DenseCL's matching (arXiv 2011.09157, section 3.3): of every cell, the most similar cell of the other view.

    :math:`m(i) = \arg\max_j \cos(b_{q,i}, b_{k,j})`. The paper takes the backbone's features, not the projections.

    Args:
        queries: (N, S, C), cells of one view.
        keys: (N, T, C), cells of the other view.

    Returns:
        (N, S) int64, positions among the T cells. Several cells may share one.
    """
    queries, keys = _maps(queries=queries, keys=keys)
    return (unit_rows(queries) @ unit_rows(keys).mT).argmax(2)


@full_precision
def dense_nt_xent(
    cells1: Tensor,
    cells2: Tensor,
    positive: Tensor,
    positive_back: Tensor,
    *,
    temperature: float | Tensor,
    negatives: str = "random",
    count: int = 16,
    cross_view: bool = False,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""DenseCL++'s dense loss (arXiv 2210.05063): the negatives of a cell are cells of other images.

    .. math::
        \ell_{i} = \operatorname{mean}_{j \in P_i} -\log \frac{e^{\cos(g_i, g_j) / \tau}}
            {e^{\cos(g_i, g_j) / \tau} + \sum_{k \in N_i} e^{\cos(g_i, g_k) / \tau}}

    averaged over the cells of both views that have a positive. :math:`N_i` holds, of both views of *every other*
    image of the batch:

    - ``"pooled"``: the average of its cells, normalised after pooling (what DenseCL's queue holds);
    - ``"random"``: ``count`` cells drawn at random, the same ones for the whole batch;
    - ``"all"``: all cells;
    - ``"matched"``: its cells that are a positive of one of its own.

    With ``cross_view`` the cells of the own image's other view that are not positives are negatives too. No code was
    released: how cells are drawn and how several positives are averaged are choices of this library.

    Args:
        cells1: (N, S, C), first view.
        cells2: (N, T, C), second view of the same images.
        positive: (N, S, T) boolean, the positives of the first view's cells.
        positive_back: (N, T, S) boolean, those of the second view's.
        temperature: divides the cosines, above 0. Pooled and dense negatives differ in how similar they are: tune it
            again after changing ``negatives``.
        negatives: one of the four names.
        count: cells drawn from each image (``"random"``), at most S + T.
        cross_view: whether the own image's other view gives negatives.
        generator: the source of the draw, on any device.

    Returns:
        A scalar, at least 0.

    Raises:
        TypeError: maps that are not floating, a mask that is not boolean.
        ValueError: shapes, devices, a temperature, a count or a name that do not fit.
    """
    cells1, cells2 = _maps(cells1=cells1, cells2=cells2)
    masks = (
        _mask("positive", positive, cells1, cells2),
        _mask("positive_back", positive_back, cells2, cells1),
    )
    choice("negatives", negatives, NEGATIVES)
    scale = inverse_temperature(temperature, cells1)
    bank, valid = _bank(cells1, cells2, positive, positive_back, negatives, count, generator)
    bank = unit_rows(bank)
    total, cells = cells1.new_zeros(()), cells1.new_zeros(())
    for queries, keys, a in ((cells1, cells2, masks[0]), (cells2, cells1, masks[1])):
        q = unit_rows(queries, scale)
        own = q @ unit_rows(keys).mT
        far = _other_images(q, bank, valid)
        if cross_view:
            far = torch.logaddexp(far, own.masked_fill(a > 0, ABSENT).logsumexp(2))
        nll = F.softplus(far.unsqueeze(2) - own)
        number = a.sum(2)
        total = total + ((nll * a).sum(2) / number.clamp_min(1)).sum()
        cells = cells + (number > 0).sum()
    return total / cells.clamp_min(1)


def _bank(
    cells1: Tensor,
    cells2: Tensor,
    positive: Tensor,
    positive_back: Tensor,
    negatives: str,
    count: int,
    generator: torch.Generator | None,
) -> tuple[Tensor, Tensor]:
    """What each image gives to the others as negatives (N, K, C), and which of it counts (N, K)."""
    every = torch.cat([cells1, cells2], 1)
    if negatives == "pooled":
        every = torch.stack([cells1.mean(1), cells2.mean(1)], 1)
    elif negatives == "random":
        n, size, width = every.shape
        if not 1 <= count <= size:
            raise ValueError(f"count must be in 1..{size}, the cells of both views of an image, got {count}")
        source = every.device if generator is None else generator.device
        drawn = torch.rand(n, size, generator=generator, device=source).to(every.device).topk(count, 1).indices
        every = every.gather(1, drawn.unsqueeze(2).expand(-1, -1, width))
    elif negatives == "matched":
        # One entry per cell that has a positive: its positive, the first one where there are several.
        chosen = (_take(cells2, positive.to(torch.uint8).argmax(2)), _take(cells1, positive_back.byte().argmax(2)))
        return torch.cat(chosen, 1), torch.cat([positive.any(2), positive_back.any(2)], 1)
    return every, torch.ones(every.shape[:2], dtype=torch.bool, device=every.device)


def _take(cells: Tensor, index: Tensor) -> Tensor:
    """(N, S, C) cells at (N, T) positions: (N, T, C)."""
    return cells.gather(1, index.unsqueeze(2).expand(-1, -1, cells.shape[2]))


def _other_images(queries: Tensor, bank: Tensor, valid: Tensor) -> Tensor:
    """(N, S): log of the sum of exponentials of every query with the bank rows of all images but its own."""
    n, size = queries.shape[:2]
    flat, columns = bank.flatten(0, 1), bank.shape[1]
    block = max(KEPT_ENTRIES // max(size * len(flat), 1), 1)

    def lse(q: Tensor, first: int) -> Tensor:
        image = torch.arange(first, first + len(q), device=q.device)
        keep = valid.unsqueeze(0) & (image.view(-1, 1, 1) != torch.arange(n, device=q.device).view(1, -1, 1))
        logits = q.flatten(0, 1) @ flat.T
        logits = logits.view(len(q), size, n * columns).masked_fill(~keep.flatten(1).unsqueeze(1), ABSENT)
        return logits.logsumexp(2)

    if block >= n:
        return lse(queries, 0)
    parts = [
        checkpoint(lse, queries[first : first + block], first, use_reentrant=False) for first in range(0, n, block)
    ]
    return torch.cat(parts)  # type: ignore[arg-type]


def _maps(**named: Tensor) -> list[Tensor]:
    """Non-empty (N, S, C) floating-point cells of equal N and C on one device, half precision lifted."""
    lifted = floating(**named)
    (first_name, first), *_ = named.items()
    for name, tensor in named.items():
        if tensor.ndim != 3 or tensor.numel() == 0:
            raise ValueError(f"{name} must be non-empty cells (N, S, C), got shape {tuple(tensor.shape)}")
        if (len(tensor), tensor.shape[2]) != (len(first), first.shape[2]):
            raise ValueError(
                f"{name} has shape {tuple(tensor.shape)} and {first_name} has shape {tuple(first.shape)}; cells that "
                "are compared must be of the same images and of one width"
            )
    return lifted


def _mask(name: str, mask: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The mask as numbers, checked against the maps it relates."""
    return boolean(name, mask, (len(rows), rows.shape[1], columns.shape[1]), rows, "maps")
