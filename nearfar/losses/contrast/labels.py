"""Contrast with labels: several positives per anchor."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.losses._checks import choice, embeddings, full_precision, inverse_temperature, number, unit_rows
from nearfar.losses.contrast.weighted import ON_EMPTY, masked_logsumexp, over_anchors, weighted_supcon
from nearfar.losses.engine.logsumexp import self_logsumexp
from nearfar.losses.engine.tiles import FLOOR, LN2, LOG2E, exponents_are_bounded


@full_precision
def supcon(
    features: Tensor,
    labels: Tensor | None = None,
    *,
    temperature: float | Tensor,
    mask: Tensor | None = None,
    weights: Tensor | None = None,
    denominator: Tensor | None = None,
    anchor_weights: Tensor | None = None,
    base_temperature: float | None = None,
    on_empty: str = "zero",
    normalize: bool = True,
    inside: bool = False,
    reduction: str = "mean",
) -> Tensor:
    r"""Supervised contrastive loss, positives averaged outside the logarithm (arXiv 2004.11362, equation 2).

    .. math::
        L = \operatorname{mean}_i \; \frac{-1}{|P(i)|} \sum_{p \in P(i)}
            \log \frac{e^{z_i \cdot z_p / \tau}}{\sum_{a \ne i} e^{z_i \cdot z_a / \tau}},
        \qquad P(i) = \{ p \ne i : y_p = y_i \},

    rows L2-normalised. The positives stay in the denominator. For V views of each sample stack them into
    (V * B, D) and repeat the labels; with a label per sample this is then :func:`nt_xent`.

    The sum over positives is one inner product with the sum of the anchor's class, so no N x N matrix of
    positives exists and memory is linear in N. Its minimum is above zero once a class has more than two rows:
    do not wait for the loss to vanish. Where no label says who is positive, give a ``mask`` or soft ``weights``
    instead; anchors and columns that are different rows, and a temperature for each anchor, are
    :func:`weighted_supcon`'s.

    Args:
        features: (N, D).
        labels: (N,), integers; any values. One of ``labels``, ``mask`` and ``weights`` is needed.
        temperature: a positive float or a 0-d tensor; 0.1 in the paper.
        mask: (N, N) boolean, True where column j is a positive of row i; need not be symmetric, and the diagonal is
            ignored.
        weights: (N, N), at least 0: how much of a positive each column is; their weighted mean takes the place of the
            mean over positives. No gradient reaches them.
        denominator: (N, N) boolean, the columns below the fraction: positives too, where they are to stay there. The
            row itself never is one. All others when None.
        anchor_weights: (N,), multiplies the loss of each anchor; the mean still divides by the number of anchors.
        base_temperature: multiply the loss by ``temperature / base_temperature``. The released code
            (``losses.py``) does so with 0.07; the formula above does not.
        on_empty: an anchor without positives counts as 0 and stays in the mean (``"zero"``, as the released
            code), or leaves the mean (``"skip"``; with no positives at all the loss is 0).
        normalize: L2-normalise every row first; ``False`` takes inner products as they are, and the temperature still
            divides them.
        inside: sum the positives inside the logarithm, :math:`-\log \sum_p e^{z_i \cdot z_p / \tau} / \sum_{a \ne i}
            e^{z_i \cdot z_a / \tau}`: one of them has to be near. solo-learn's ``simclr_loss_func`` of more than two
            views is this. For ``labels`` or a ``mask``; N x N numbers are then made in blocks.
        reduction: ``"mean"``, or ``"none"`` for the (N,) losses, 0 where there is no positive.

    Returns:
        A scalar or (N,).

    Raises:
        TypeError: features that are not floating, labels that are not integers, masks that are not boolean.
        ValueError: not one of ``labels``, ``mask`` and ``weights``, or shapes, devices, temperatures or words that do
            not fit.
    """
    (z,) = embeddings(features=features)
    given = [name for name, x in (("labels", labels), ("mask", mask), ("weights", weights)) if x is not None]
    if len(given) != 1:
        raise ValueError(f"supcon needs exactly one of labels, mask and weights, got {' and '.join(given) or 'none'}")
    choice("on_empty", on_empty, ON_EMPTY)
    choice("reduction", reduction, ("mean", "none"))
    scale = inverse_temperature(temperature, z)
    if inside and weights is not None:
        raise ValueError("inside=True sums positives, which are labels or a mask and no weights")
    if mask is not None and (not isinstance(mask, Tensor) or mask.dtype != torch.bool):
        got = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        raise TypeError(f"mask must be a boolean tensor, got {got}; numbers are weights")
    if labels is not None:
        _check_labels(labels, z)
    if inside:
        chosen = mask if labels is None else labels[:, None] == labels
        assert chosen is not None
        root = (scale * LOG2E) ** 0.5
        y = unit_rows(z, root) if normalize else z * root
        every = denominator if denominator is not None else torch.ones_like(chosen)
        near, lse = (masked_logsumexp(y, y, columns, exclude_self=True) for columns in (chosen, every))
        filled = (near > FLOOR / 2) & (lse > FLOOR / 2)
        losses = torch.where(filled, torch.where(filled, lse, 0.0) - torch.where(filled, near, 0.0), 0.0)
        loss = over_anchors(losses, filled, anchor_weights, on_empty, reduction)
    elif labels is None:
        chosen = weights if mask is None else mask
        assert chosen is not None
        loss = weighted_supcon(
            z, z, chosen, temperature=temperature, denominator=denominator, exclude_self=True,
            anchor_weights=anchor_weights, on_empty=on_empty, normalize=normalize, reduction=reduction,
        )  # fmt: skip
    else:
        root = (scale * LOG2E) ** 0.5
        y = unit_rows(z, root) if normalize else z * root
        if denominator is None:
            lse = self_logsumexp(y, bounded=exponents_are_bounded(scale, normalize), given=(features,))
        else:
            lse = masked_logsumexp(y, y, denominator, exclude_self=True)
        positives, similarity = _of_the_class(y, labels)
        filled = (positives > 0) & ~(lse <= FLOOR / 2)
        losses = torch.where(filled, torch.where(filled, lse, 0.0) - similarity / positives.clamp_min(1), 0.0)
        loss = over_anchors(losses, filled, anchor_weights, on_empty, reduction)
    if base_temperature is not None:
        loss = loss / (scale * number("base_temperature", base_temperature, above=0.0))
    return loss


def _of_the_class(y: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """How many other rows of its class every row has, and the sum of its logits with them."""
    # Class numbers from a sort, not from torch.unique: that would make an accelerator report their count.
    order = torch.argsort(labels)
    ordered = labels[order]
    group = torch.zeros_like(order)
    group[order[1:]] = (ordered[1:] != ordered[:-1]).long().cumsum(0)
    sums = torch.zeros_like(y).index_add(0, group, y)
    ones = torch.ones(len(y), dtype=y.dtype, device=y.device)
    positives = torch.zeros_like(ones).index_add(0, group, ones)[group] - 1
    return positives, (y * (sums[group] - y)).sum(1) * LN2


def _check_labels(labels: Tensor, features: Tensor) -> None:
    if not isinstance(labels, Tensor):
        raise TypeError(f"labels must be a torch.Tensor, got {type(labels).__name__}")
    if labels.is_floating_point() or labels.is_complex():
        raise TypeError(f"labels must have an integer dtype, got {labels.dtype}; call .long() on them")
    if labels.shape != features.shape[:1]:
        raise ValueError(
            f"labels has shape {tuple(labels.shape)} and features has shape {tuple(features.shape)}; "
            f"one label per row is needed, that is shape ({len(features)},)"
        )
    if labels.device != features.device:
        raise ValueError(f"labels is on {labels.device} and features on {features.device}, not on one device")
