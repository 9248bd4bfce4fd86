"""Contrast with a weight for every pair: one kernel behind labels, hierarchies, kernels on metadata and masks."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.losses._checks import choice, embeddings, full_precision, inverse_temperature, reduce_rows, unit_rows
from nearfar.losses.engine.blocks import in_row_blocks
from nearfar.losses.engine.logsumexp import cross_logsumexp
from nearfar.losses.engine.tiles import FLOOR, LN2, LOG2E, exponents_are_bounded

DIVISORS = ("weight", "count", "none")
ON_EMPTY = ("zero", "skip")


@full_precision
def weighted_supcon(
    anchors: Tensor,
    contrast: Tensor,
    weights: Tensor,
    *,
    temperature: float | Tensor,
    denominator: Tensor | None = None,
    exclude_self: bool = False,
    anchor_weights: Tensor | None = None,
    divide_by: str = "weight",
    on_empty: str = "zero",
    normalize: bool = True,
    reduction: str = "mean",
) -> Tensor:
    r"""Supervised contrast with a weight for every pair, which :func:`supcon` and its many relatives are cases of.

    .. math::
        L_i = \frac{-1}{n_i} \sum_j w_{ij} \log \frac{e^{a_i \cdot c_j / \tau_i}}{\sum_{k \in D_i} e^{a_i \cdot c_k /
            \tau_i}}, \qquad L = \operatorname{mean}_i \; \omega_i L_i

    with rows L2-normalised. What :math:`w` and :math:`D` are makes the loss:

    - same label and everything but the row itself: SupCon (arXiv 2004.11362);
    - same subclass, then same class with a temperature for each class: SBCL (arXiv 2306.15598);
    - same label at one level of a hierarchy after the other: HMLC (arXiv 2204.13207);
    - same label times a kernel of metadata: weakly supervised pretraining (arXiv 2307.04617);
    - the twin, and for labelled rows the same class: GCD (arXiv 2201.02609);
    - positives left out of ``denominator``: decoupled forms (arXiv 2110.06848).

    Nothing of the size of the weights is made but the weights themselves: without ``denominator`` the sums come from
    tiles that ranks share, with one from blocks of rows.

    Args:
        anchors: (A, D).
        contrast: (C, D), what they are compared with; may be the anchors.
        weights: (A, C), boolean or numbers of at least 0: how much of a positive column j is for anchor i. No gradient
            reaches them.
        temperature: a positive float, a 0-d tensor, or (A,) positive numbers, one for each anchor.
        denominator: (A, C) boolean, the columns that are summed over; all when None. An anchor with none counts as
            one without positives.
        exclude_self: row i of ``contrast`` is anchor i itself and takes no part, neither as a positive nor below.
        anchor_weights: (A,), multiplies the loss of each anchor. No gradient reaches it.
        divide_by: n is the sum of the anchor's weights (``"weight"``), the number of those that are not 0
            (``"count"``), or 1 (``"none"``).
        on_empty: an anchor without positives counts as 0 and stays in the mean (``"zero"``), or leaves the mean
            (``"skip"``; with no positives at all the loss is 0).
        normalize: L2-normalise every row first; ``False`` takes inner products as they are.
        reduction: ``"mean"``, or ``"none"`` for the (A,) losses, 0 where there is no positive.

    Returns:
        A scalar or (A,).

    Raises:
        TypeError: rows that are not floating, weights that are no tensor, a denominator that is not boolean.
        ValueError: shapes, devices, temperatures or words that do not fit.
    """
    choice("divide_by", divide_by, DIVISORS)
    choice("on_empty", on_empty, ON_EMPTY)
    choice("reduction", reduction, ("mean", "none"))
    x, y = embeddings(anchors=anchors, contrast=contrast)
    if exclude_self and len(x) != len(y):
        raise ValueError(f"exclude_self=True needs a row of contrast for each anchor, got {len(y)} for {len(x)}")
    scale = inverse_temperatures(temperature, x)
    gain = scale * LOG2E
    q, k = (unit_rows(x, gain), unit_rows(y)) if normalize else (x * gain, y)
    count, total, pull = _sums(weights, q, k, "weights", exclude_self)
    if denominator is None:
        steepest = scale.max() if isinstance(scale, Tensor) else scale
        bounded = exponents_are_bounded(steepest, normalize)
        lse, _ = cross_logsumexp(q, k, skip_diagonal=exclude_self, columns=False, bounded=bounded)
    else:
        lse = masked_logsumexp(q, k, denominator, exclude_self)
    filled = (total > 0) & ~(lse <= FLOOR / 2)
    lse = torch.where(filled, lse, 0.0)  # before the product, whose gradient would be 0 times infinity
    divisor = {"weight": total, "count": count, "none": torch.ones_like(total)}[divide_by]
    losses = torch.where(filled, total * lse - pull * LN2, 0.0) / torch.where(filled, divisor, 1.0)
    return over_anchors(losses, filled, anchor_weights, on_empty, reduction)


def over_anchors(
    losses: Tensor, filled: Tensor, anchor_weights: Tensor | None, on_empty: str, reduction: str = "mean"
) -> Tensor:
    """The weighted mean over anchors, those without positives counted or not."""
    if anchor_weights is not None:
        if not isinstance(anchor_weights, Tensor):
            raise TypeError(f"anchor_weights must be a torch.Tensor, got {type(anchor_weights).__name__}")
        if anchor_weights.shape != losses.shape or anchor_weights.device != losses.device:
            raise ValueError(
                f"anchor_weights must have shape {tuple(losses.shape)} on {losses.device}, a number for each anchor, "
                f"got {tuple(anchor_weights.shape)} on {anchor_weights.device}"
            )
        losses = losses * anchor_weights.detach().to(losses.dtype)
    if reduction == "none" or on_empty == "zero":
        return reduce_rows(losses, reduction)
    return losses.sum() / filled.sum().clamp_min(1)


def weighted_sums(weights: Tensor, q: Tensor, k: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """For every row i of ``q`` (A, D): ``sum_j w_ij`` and ``sum_j w_ij q_i . k_j``, each (A,)."""
    _, total, pull = _sums(weights, q, k, name, False)
    return total, pull


def _sums(weights: Tensor, q: Tensor, k: Tensor, name: str, exclude_self: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Number and sum of every anchor's weights, and the weighted sum of its logits."""
    if not isinstance(weights, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(weights).__name__}")
    if weights.shape != (len(q), len(k)) or weights.device != q.device:
        raise ValueError(
            f"{name} must have shape {(len(q), len(k))} on {q.device}, a number for every pair, "
            f"got {tuple(weights.shape)} on {weights.device}"
        )
    if weights.is_complex():
        raise TypeError(f"{name} must be boolean or real numbers, got {weights.dtype}")
    if weights.device.type == "cpu" and weights.dtype != torch.bool and not float(weights.min()) >= 0:
        raise ValueError(f"{name} must be at least 0, got {float(weights.min())}")
    fixed = weights.detach()

    def part(rows: Tensor, others: Tensor, start: int) -> Tensor:
        block = fixed[start : start + len(rows)].to(rows.dtype, copy=True)
        if exclude_self:
            block.diagonal(start).zero_()
        return torch.stack([(block > 0).sum(1).to(rows.dtype), block.sum(1), (block @ others * rows).sum(1)], 1)

    count, total, pull = in_row_blocks(part, q, k).unbind(1)
    return count.detach(), total.detach(), pull


def masked_logsumexp(q: Tensor, k: Tensor, denominator: Tensor, exclude_self: bool) -> Tensor:
    """Natural log-sum-exp over the columns that are True, of base-two logits; about -1e30 where there is none."""
    if not isinstance(denominator, Tensor) or denominator.dtype != torch.bool:
        got = denominator.dtype if isinstance(denominator, Tensor) else type(denominator).__name__
        raise TypeError(f"denominator must be a boolean tensor, got {got}; True is where a column is summed over")
    if denominator.shape != (len(q), len(k)) or denominator.device != q.device:
        raise ValueError(
            f"denominator must have shape {(len(q), len(k))} on {q.device}, one entry for every pair, "
            f"got {tuple(denominator.shape)} on {denominator.device}"
        )

    def lse(rows: Tensor, others: Tensor, start: int) -> Tensor:
        logits = (rows @ others.t() * LN2).masked_fill(~denominator[start : start + len(rows)], FLOOR)
        if exclude_self:
            logits.diagonal(start).fill_(FLOOR)
        return torch.logsumexp(logits, 1)

    return in_row_blocks(lse, q, k)


def inverse_temperatures(temperature: float | Tensor, like: Tensor) -> float | Tensor:
    """1 / temperature as :func:`inverse_temperature`, or (N, 1) of a temperature for each row."""
    if not isinstance(temperature, Tensor) or temperature.ndim != 1:
        return inverse_temperature(temperature, like)
    if temperature.shape != like.shape[:1] or not temperature.is_floating_point():
        raise ValueError(
            f"temperature must be a number or ({len(like)},) floating-point numbers, one for each anchor, "
            f"got a tensor of shape {tuple(temperature.shape)} and dtype {temperature.dtype}"
        )
    if temperature.device.type == "cpu":
        inverse_temperature(temperature.detach().min(), like)
    return temperature.to(device=like.device, dtype=like.dtype).reciprocal().unsqueeze(1)
