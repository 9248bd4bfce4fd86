"""Distances of pairs and triplets against a margin."""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import choice, full_precision, number, paired, unit_rows
from nearfar.losses.text.scored import judged

Distance = Literal["cosine", "euclidean", "manhattan"]

# torch.pairwise_distance, which the released losses of pairs call, adds it to every difference.
OFFSET = 1e-6


@full_precision
def pair_margin(u: Tensor, v: Tensor, alike: Tensor, *, margin: float = 0.5, distance: Distance = "cosine") -> Tensor:
    r"""The contrastive loss of pairs (Hadsell, Chopra and LeCun 2006, CVPR, equation 4).

    .. math:: L = \operatorname{mean}_i \tfrac12 \big( y_i D_i^2 + (1 - y_i) [m - D_i]_+^2 \big)

    with the defaults of sentence-transformers' ``ContrastiveLoss``; as there, 1e-6 is added to the differences of the
    Euclidean and Manhattan distances.

    Args:
        u: (N, D), one sentence of each pair.
        v: (N, D), the other.
        alike: (N,), 1 (or true) where the two belong together and 0 elsewhere.
        margin: how far apart a pair that does not belong together should be, above 0.
        distance: ``cosine`` is ``1 - cos``.

    Returns:
        A scalar, at least 0.

    Raises:
        TypeError: a dtype that does not fit. ValueError: shapes, devices, a margin or a distance that do not fit.
    """
    d, y = _distances(u, v, alike, distance)
    far = F.relu(number("margin", margin, above=0.0) - d)
    return (y * d.square() + (1 - y) * far.square()).mean() / 2


@full_precision
def online_pair_margin(
    u: Tensor, v: Tensor, alike: Tensor, *, margin: float = 0.5, distance: Distance = "cosine"
) -> Tensor:
    r"""The contrastive loss of a batch's hard pairs (sentence-transformers' ``OnlineContrastiveLoss``).

    Hard are the unlike pairs that are nearer than the farthest alike pair, and the alike pairs that are farther than
    the nearest unlike pair; where there is at most one alike pair the bound of the unlike ones is their own mean, and
    the other way round. The loss is the *sum* over hard pairs, without a half:

    .. math:: L = \sum_{\text{alike, hard}} D_i^2 + \sum_{\text{unlike, hard}} [m - D_i]_+^2

    Args:
        u: (N, D), one sentence of each pair.
        v: (N, D), the other.
        alike: (N,), 1 (or true) where the two belong together and 0 elsewhere.
        margin: how far apart a pair that does not belong together should be, above 0.
        distance: ``cosine`` is ``1 - cos``.

    Returns:
        A scalar, at least 0; 0 for one alike and one unlike pair alone.

    Raises:
        TypeError: a dtype that does not fit. ValueError: shapes, devices, a margin or a distance that do not fit.
    """
    d, y = _distances(u, v, alike, distance)
    near, far = d[y == 1], d[y == 0]
    hard_far = far[far < (near.max() if len(near) > 1 else far.mean())]
    hard_near = near[near > (far.min() if len(far) > 1 else near.mean())]
    return hard_near.square().sum() + F.relu(number("margin", margin, above=0.0) - hard_far).square().sum()


@full_precision
def triplet_margin(
    anchors: Tensor, positives: Tensor, negatives: Tensor, *, margin: float = 5.0, distance: Distance = "euclidean"
) -> Tensor:
    r"""``mean_i [D(a_i, p_i) - D(a_i, n_i) + m]_+`` (arXiv 1908.10084, section 3, where the margin is 1).

    The default margin is that of sentence-transformers' ``TripletLoss``. Older releases of it have the wrong sign
    with Euclidean and Manhattan distances; this is the paper's formula.

    Args:
        anchors: (N, D).
        positives: (N, D), row i nearer to anchor i than row i of ``negatives``.
        negatives: (N, D).
        margin: by how much nearer, above 0.
        distance: ``cosine`` is ``1 - cos``.

    Returns:
        A scalar, at least 0.

    Raises:
        TypeError: a dtype that is not floating. ValueError: shapes, devices, a margin or a distance that do not fit.
    """
    a, p, n = paired(anchors=anchors, positives=positives, negatives=negatives)
    nearer = _distance(a, p, distance, 0.0) - _distance(a, n, distance, 0.0)
    return F.relu(nearer + number("margin", margin, above=0.0)).mean()


def _distances(u: Tensor, v: Tensor, alike: Tensor, distance: Distance) -> tuple[Tensor, Tensor]:
    u, v = paired(u=u, v=v)
    y = judged("alike", alike, u)
    if y.device.type == "cpu" and not bool(((y == 0) | (y == 1)).all()):
        raise ValueError(f"alike must be 0 or 1 for each pair, got {y.min():g} to {y.max():g}")
    return _distance(u, v, distance, OFFSET), y


def _distance(u: Tensor, v: Tensor, kind: Distance, offset: float) -> Tensor:
    """Distances (N,); a difference of zero has gradient zero."""
    choice("distance", kind, get_args(Distance))
    if kind == "cosine":
        return 1 - (unit_rows(u) * unit_rows(v)).sum(1)
    return torch.linalg.vector_norm(u - v + offset, ord=1 if kind == "manhattan" else 2, dim=1)
