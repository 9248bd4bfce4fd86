"""Softmax identification of a positive among negatives: InfoNCE, NT-Xent, CLIP, MoCo, SimCSE, GRACE."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import (
    embeddings,
    floating,
    full_precision,
    inverse_temperature,
    number,
    paired,
    reduce_rows,
    unit_rows,
)
from nearfar.losses.contrast.weighted import weighted_sums
from nearfar.losses.engine.blocks import in_row_blocks
from nearfar.losses.engine.logsumexp import cross_logsumexp, self_logsumexp
from nearfar.losses.engine.tiles import FLOOR, LN2, LOG2E, exponents_are_bounded


def _nll(positive: Tensor, negatives_lse: Tensor, decoupled: bool = False) -> Tensor:
    """``-log(e^positive / (e^positive + e^negatives_lse))``, precise however close to 0 it is.

    ``decoupled`` leaves the positive out of the denominator.
    """
    return negatives_lse - positive if decoupled else -F.logsigmoid(positive - negatives_lse)


@full_precision
def info_nce(
    queries: Tensor,
    keys: Tensor,
    *,
    temperature: float | Tensor,
    negatives: Tensor | None = None,
    in_batch: bool = True,
    symmetric: bool = False,
    hard_negatives: Tensor | None = None,
    hard_negative_bias: float = 0.0,
    own_negatives: Tensor | None = None,
    target: Tensor | None = None,
    soft_targets: Tensor | None = None,
    decoupled: bool = False,
    normalize: bool = True,
    reduction: str = "mean",
) -> Tensor:
    r"""InfoNCE: row i of ``queries`` has to find row i of ``keys`` among negatives.

    .. math::
        \ell_i = -\log \frac{e^{q_i \cdot k_i / \tau}}
            {e^{q_i \cdot k_i / \tau} + \sum_{n \in N_i} e^{q_i \cdot n / \tau}}

    with rows L2-normalised unless ``normalize=False``. ``N_i`` joins, as asked for: the other keys
    (``in_batch``), every row of ``negatives``, every row of ``hard_negatives``, the query's ``own_negatives``.

    - In-batch, one direction: van den Oord et al. 2018 (arXiv 1807.03748); sentence-transformers'
      ``MultipleNegativesRankingLoss``; unsupervised SimCSE (arXiv 2104.08821) at temperature 0.05.
    - ``in_batch=False, negatives=queue``: MoCo v1/v2 (arXiv 1911.05722, ``moco/builder.py``), 0.07 / 0.2.
    - ``symmetric=True``: CLIP (arXiv 2103.00020), ``(CE(S) + CE(S^T)) / 2``. Further negatives only enter the
      direction from queries to keys.
    - ``hard_negatives`` with ``hard_negative_bias``: supervised SimCSE. Released code adds the bias to the
      logit of the query's *own* hard negative, column i for query i, and so does this.
    - MoCo v3 (``moco-v3/moco/builder.py``) multiplies this loss by ``2 * temperature`` in each direction.
    - ``own_negatives``: candidates mined for one query and seen by no other, as rerankers and retrievers have them.
    - ``target``: the keys are a bank of any length M, and ``target[i]`` says which of its rows is query i's.
    - ``soft_targets``: no row is the right one, and the loss is the cross-entropy
      :math:`-\sum_j t_{ij} \log p_{ij}` with the softmax over bank, ``negatives`` and all.
    - ``decoupled=True``: without the positive in the denominator (arXiv 2110.06848), so the loss has no lower bound.

    Memory grows linearly with the rows; small matrices are kept. Two views of one batch, with negatives
    inside each view as well, are :func:`nt_xent`; several positives per row are :func:`supcon`; where every
    pair is a yes-or-no decision use :func:`sigmoid_pair_loss`.

    Args:
        queries: (N, D).
        keys: (N, D), row i the positive of query i.
        temperature: divides the logits; a positive float or a 0-d tensor that may need a gradient.
        negatives: (K, D) columns shared by all queries, a queue for instance. Detach them if no gradient
            should reach them.
        in_batch: whether the other keys are negatives.
        symmetric: average the loss with that of keys looking for queries.
        hard_negatives: (N, D), row i mined for query i; all N are negatives of every query.
        hard_negative_bias: added to the logit between query i and its own hard negative i.
        own_negatives: (N, K, D), K negatives of query i alone. Detach them if no gradient should reach them.
        target: (N,) integers in [0, M), for ``keys`` of shape (M, D): the row that is query i's positive, all others
            are negatives. Queries may share one. Computed in blocks of rows.
        soft_targets: (N, M), at least 0, for ``keys`` of shape (M, D): the share of each key, which usually sum to 1.
            No gradient reaches them.
        decoupled: leave the positive out of the denominator.
        normalize: L2-normalise every row first; ``False`` takes inner products as they are, and the temperature still
            divides them.
        reduction: ``"mean"`` over the queries, or ``"none"`` for the (N,) losses.

    Returns:
        A scalar or (N,), at least 0 unless ``decoupled``; a batch of one without further negatives gives 0.

    Raises:
        TypeError: a dtype that is not floating, or an argument that is no number.
        ValueError: shapes, devices or a temperature that do not fit, or no negatives at all.
    """
    given = {"queries": queries, "keys": keys}
    extra = {"negatives": negatives, "hard_negatives": hard_negatives}
    given.update({name: tensor for name, tensor in extra.items() if tensor is not None})
    rows = dict(zip(given, embeddings(**given), strict=True))
    banked = target is not None or soft_targets is not None
    together = ("queries", "hard_negatives") if banked else ("queries", "keys", "hard_negatives")
    paired(**{name: rows[name] for name in together if name in rows})
    if not in_batch and len(rows) == 2 and own_negatives is None:
        raise ValueError("in_batch=False leaves no negatives; pass negatives, hard_negatives or own_negatives")
    if symmetric and not in_batch:
        raise ValueError("symmetric=True needs in_batch=True: queries are the negatives of the way back")
    if banked and (symmetric or not in_batch or (target is not None and soft_targets is not None)):
        raise ValueError("target and soft_targets exclude each other, symmetric=True and in_batch=False")
    if decoupled and soft_targets is not None:
        raise ValueError("decoupled=True needs a positive to leave out; soft_targets have none")
    if decoupled and in_batch and len(rows["keys"]) == 1 and len(rows) == 2 and own_negatives is None:
        raise ValueError("decoupled=True needs at least one negative, got one key and nothing else")
    bias = number("hard_negative_bias", hard_negative_bias)
    if own_negatives is not None:
        rows["own"] = _own(own_negatives, rows["queries"])
        rows = dict(zip(rows, floating(**rows), strict=True))

    scale = inverse_temperature(temperature, rows["queries"])
    bounded = exponents_are_bounded(scale, normalize)
    if normalize:
        rows = {name: unit_rows(x, scale * LOG2E if name == "queries" else 1.0) for name, x in rows.items()}
    else:
        rows["queries"] = rows["queries"] * (scale * LOG2E)
    q, k = rows["queries"], rows["keys"]

    parts: list[Tensor] = []
    back = positive = None
    if target is not None:
        chosen = _targets(target, q, len(k))
        positive = (q * k[chosen]).sum(1) * LN2
        parts.append(_lse_without(q, k, chosen))
    elif soft_targets is not None:
        parts.append(_row_lse(q, k, False, bounded, (queries, keys)))
    else:
        positive = (q * k).sum(1) * LN2
    if in_batch and not banked:
        pair = queries, keys
        forth, back = cross_logsumexp(q, k, skip_diagonal=True, columns=symmetric, bounded=bounded, given=pair)
        parts.append(forth)
    if negatives is not None:
        parts.append(_row_lse(q, rows["negatives"], False, bounded, (queries, negatives)))
    if own_negatives is not None:
        parts.append(torch.logsumexp(torch.bmm(rows["own"], q.unsqueeze(2)).squeeze(2) * LN2, 1))
    if hard_negatives is not None:
        hard = rows["hard_negatives"]
        parts.append(_row_lse(q, hard, bias != 0.0, bounded, (queries, hard_negatives)))
        if bias != 0.0:
            # First, because it is finite: of two parts without entries, in a batch of one, the sum has no gradient.
            parts.insert(0, (q * hard).sum(1) * LN2 + bias)
    lse = parts[0]
    for part in parts[1:]:
        lse = torch.logaddexp(lse, part)
    if soft_targets is not None:
        shares, pull = weighted_sums(soft_targets, q, k, "soft_targets")
        return reduce_rows(shares * lse - pull * LN2, reduction)
    assert positive is not None
    losses = _nll(positive, lse, decoupled)
    if back is not None:
        losses = (losses + _nll(positive, back, decoupled)) / 2
    return reduce_rows(losses, reduction)


def _own(own: Tensor, queries: Tensor) -> Tensor:
    """Each query's own negatives (N, K, D), checked."""
    floating(queries=queries, own_negatives=own)
    n, d = queries.shape
    if own.ndim != 3 or own.shape[0] != n or own.shape[2] != d or own.shape[1] == 0:
        raise ValueError(f"own_negatives must have shape (N, K, D) = ({n}, K, {d}), got {tuple(own.shape)}")
    return own


def _targets(target: Tensor, queries: Tensor, count: int) -> Tensor:
    """Positions in a bank of ``count`` rows, checked; an accelerator is not asked for their range."""
    if not isinstance(target, Tensor) or target.is_floating_point() or target.dtype == torch.bool:
        got = target.dtype if isinstance(target, Tensor) else type(target).__name__
        raise TypeError(f"target must be a tensor of integers, got {got}")
    if target.shape != queries.shape[:1] or target.device != queries.device:
        raise ValueError(
            f"target must have shape ({len(queries)},) on {queries.device} like the queries, "
            f"got {tuple(target.shape)} on {target.device}"
        )
    if target.device.type == "cpu" and not bool(((target >= 0) & (target < count)).all()):
        raise ValueError(
            f"target must lie in [0, {count}), the rows of keys, got {int(target.min())} to {int(target.max())}"
        )
    return target.long()


def _lse_without(q: Tensor, k: Tensor, target: Tensor) -> Tensor:
    """Log-sum-exp of every query over the whole bank but its own target, (N,)."""

    def lse(rows: Tensor, bank: Tensor, start: int) -> Tensor:
        own = target[start : start + len(rows)].unsqueeze(1)
        return torch.logsumexp((rows @ bank.t() * LN2).scatter(1, own, FLOOR), 1)

    return in_row_blocks(lse, q, k)


def _row_lse(q: Tensor, columns: Tensor, skip_diagonal: bool, bounded: bool, given: tuple[Tensor, Tensor]) -> Tensor:
    return cross_logsumexp(q, columns, skip_diagonal=skip_diagonal, columns=False, bounded=bounded, given=given)[0]


def symmetric_info_nce(
    a: Tensor, b: Tensor, *, temperature: float | Tensor, normalize: bool = True, decoupled: bool = False
) -> Tensor:
    """CLIP's loss: ``info_nce(a, b, symmetric=True)``, the mean of both directions between two modalities.

    Both directions come from the same products. CLIP learns ``ln(1 / temperature)``, starting from
    ``ln(1 / 0.07)`` and clamped to ``ln 100`` after every step (open_clip, ``loss.py``).

    Args:
        a: (N, D), one modality.
        b: (N, D), row i the counterpart of row i of ``a``.
        temperature: a positive float or a 0-d tensor.
        normalize: L2-normalise every row first; ``False`` takes inner products as they are.
        decoupled: leave the positives out of the denominators.
    """
    return info_nce(a, b, temperature=temperature, symmetric=True, normalize=normalize, decoupled=decoupled)


@full_precision
def nt_xent(
    z1: Tensor,
    z2: Tensor,
    *,
    temperature: float | Tensor,
    normalize: bool = True,
    decoupled: bool = False,
    reduction: str = "mean",
) -> Tensor:
    r"""NT-Xent, the loss of SimCLR (arXiv 2002.05709, equation 1).

    .. math::
        \ell_i = -\log \frac{e^{z_i \cdot z_{t(i)} / \tau}}{\sum_{j \ne i} e^{z_i \cdot z_j / \tau}},
        \qquad Z = [z_1; z_2], \quad t(i) = i \pm N,

    averaged over all 2N rows, L2-normalised. The positive stays in the denominator unless ``decoupled`` (arXiv
    2110.06848, which then needs N of at least 2). The released code
    (``tf2/objective.py``) returns the sum of the means of the two halves, which is twice this value: halve
    its learning rate or double this loss when copying settings that depend on the scale.

    The matrix is symmetric, so only its upper triangle is ever computed, in tiles: memory is linear in N.

    Args:
        z1: (N, D), first view.
        z2: (N, D), row i another view of what row i of ``z1`` shows.
        temperature: a positive float or a 0-d tensor; 0.1 on ImageNet, 0.5 on CIFAR-10 in the paper.
        normalize: L2-normalise every row first; ``False`` takes inner products as they are, and the temperature still
            divides them.
        decoupled: leave the positive out of the denominator; the loss then has no lower bound.
        reduction: ``"mean"``, or ``"none"`` for the (2N,) losses, first view first.

    Returns:
        A scalar or (2N,), at least 0 unless ``decoupled``.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: shapes, devices or a temperature that do not fit, or one pair and ``decoupled``.
    """
    given = z1, z2
    z1, z2 = paired(z1=z1, z2=z2)
    if decoupled and len(z1) == 1:
        raise ValueError("decoupled=True needs at least one negative, got one pair")
    scale = inverse_temperature(temperature, z1)
    root = (scale * LOG2E) ** 0.5
    y1, y2 = (unit_rows(z, root) if normalize else z * root for z in (z1, z2))
    positive = (y1 * y2).sum(1) * LN2
    bounded = exponents_are_bounded(scale, normalize)
    lse = self_logsumexp(torch.cat((y1, y2)), views=2, bounded=bounded, given=given)
    return reduce_rows(_nll(positive, lse.view(2, -1), decoupled).view(-1), reduction)


def grace(u: Tensor, v: Tensor, *, temperature: float | Tensor, intra: bool = True, normalize: bool = True) -> Tensor:
    r"""GRACE: node-level contrast between two corrupted copies of a graph (arXiv 2006.04131).

    .. math::
        \ell(u_i, v_i) = -\log \frac{f(u_i, v_i)}{\sum_j f(u_i, v_j) + \sum_{j \ne i} f(u_i, u_j)},
        \qquad f(a, b) = e^{a \cdot b / \tau},

    averaged over nodes and over the two directions (released code, ``model.py``). Written out, the
    denominator runs over every other row of both views, so with ``intra`` this *is* :func:`nt_xent`, and
    without the negatives of the own view it is :func:`symmetric_info_nce`.

    Args:
        u: (N, D), projected nodes of one copy.
        v: (N, D), the same nodes in the other copy.
        temperature: a positive float or a 0-d tensor; 0.4 on Cora, 0.7 to 0.9 elsewhere in the released code.
        intra: whether the other nodes of the same copy are negatives too.
        normalize: L2-normalise every row first; ``False`` takes inner products as they are.
    """
    u, v = paired(u=u, v=v)
    loss = nt_xent if intra else symmetric_info_nce
    return loss(u, v, temperature=temperature, normalize=normalize)
