"""Contrast with labels: several positives per anchor."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.losses._checks import choice, embeddings, full_precision, inverse_temperature, number, unit_rows
from nearfar.losses.engine.logsumexp import self_logsumexp
from nearfar.losses.engine.tiles import LN2, LOG2E, exponents_are_bounded


@full_precision
def supcon(
    features: Tensor,
    labels: Tensor,
    *,
    temperature: float | Tensor,
    base_temperature: float | None = None,
    on_empty: str = "zero",
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
    do not wait for the loss to vanish.

    Args:
        features: (N, D).
        labels: (N,), integers; any values.
        temperature: a positive float or a 0-d tensor; 0.1 in the paper.
        base_temperature: multiply the loss by ``temperature / base_temperature``. The released code
            (``losses.py``) does so with 0.07; the formula above does not.
        on_empty: an anchor without positives counts as 0 and stays in the mean (``"zero"``, as the released
            code), or leaves the mean (``"skip"``; with no positives at all the loss is 0).

    Returns:
        A scalar.

    Raises:
        TypeError: features that are not floating or labels that are not integers.
        ValueError: shapes, devices, temperatures or ``on_empty`` that do not fit.
    """
    (z,) = embeddings(features=features)
    _check_labels(labels, z)
    choice("on_empty", on_empty, ("zero", "skip"))
    scale = inverse_temperature(temperature, z)
    y = unit_rows(z, (scale * LOG2E) ** 0.5)
    bounded = exponents_are_bounded(scale, normalized=True)
    lse = self_logsumexp(y, bounded=bounded, given=(features,))

    # Class numbers from a sort, not from torch.unique: that would make an accelerator report their count.
    order = torch.argsort(labels)
    ordered = labels[order]
    group = torch.zeros_like(order)
    group[order[1:]] = (ordered[1:] != ordered[:-1]).long().cumsum(0)
    sums = torch.zeros_like(y).index_add(0, group, y)
    positives = torch.zeros_like(lse).index_add(0, group, torch.ones_like(lse))[group] - 1
    similarity = (y * (sums[group] - y)).sum(1) * LN2

    has_positive = positives > 0
    losses = torch.where(has_positive, lse - similarity / positives.clamp_min(1), 0.0)
    anchors = has_positive.sum().clamp_min(1) if on_empty == "skip" else len(losses)
    loss = losses.sum() / anchors
    if base_temperature is not None:
        loss = loss / (scale * number("base_temperature", base_temperature, above=0.0))
    return loss


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
