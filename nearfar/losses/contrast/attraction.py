"""Pull far positives harder, push near negatives harder (CACR)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor

from nearfar.losses._checks import choice, full_precision, number, paired, squared_lengths, unit_rows
from nearfar.losses.engine.blocks import in_row_blocks

WEIGHTED = ("attraction", "repulsion")


@full_precision
def cacr(
    views: Sequence[Tensor],
    *,
    tau_pos: float = 1.0,
    tau_neg: float = 0.9,
    alpha: float = 1.0,
    beta: float = 1.0,
    weighted: bool | str = True,
    debias: float = 0.0,
    detach_weights: bool = False,
) -> dict[str, Tensor]:
    r"""Contrastive attraction and contrastive repulsion (arXiv 2105.03746; released code for small images,
    ``losses/__init__.py``), as two named terms whose sum is the loss.

    With the cost :math:`c(a, b) = \|a - b\|^2` of rows of length 1, V views of each image and N images,

    .. math::
        L_{CA} = \operatorname{mean}_{x, i} \; \alpha \sum_{y \ne x} w_{iy} \, c(z_{xi}, z_{yi}),
        \qquad w_i = \operatorname{softmax}_{y \ne x} \big( \tau_+ c(z_{xi}, z_{yi}) \big)

    .. math::
        L_{CR} = - \operatorname{mean}_{x < y, \, i} \; \beta \sum_{j \ne i} v_{ij} \, c(z_{xi}, z_{yj}),
        \qquad v_i = \operatorname{softmax}_{j \ne i} \big( -\tau_- c(z_{xi}, z_{yj}) \big) .

    Far positives and near negatives weigh more; how much more is the temperatures' business, which *multiply* the
    cost here. Nothing is said of the number of images in the batch: unlike InfoNCE it does not get harder with more
    negatives. With two views the attraction has nothing to weigh. Memory is linear in N.

    Args:
        views: V at least 2 times (N, D), row i of each a view of the same image; N at least 2.
        tau_pos: sharpness of the weights of positives, at least 0; 1 in the released code.
        tau_neg: sharpness of the weights of negatives, at least 0; 0.9 on CIFAR-10, 2 on CIFAR-100 and STL-10.
        alpha: weight of the attraction, at least 0.
        beta: weight of the repulsion, at least 0.
        weighted: ``False`` gives all positives the same weight, and all negatives: the paper's ablation. The words
            ``"attraction"`` and ``"repulsion"`` weigh in that half alone.
        debias: the share :math:`t` of other images that are taken for positives, in [0, 1). The repulsion of row i
            becomes :math:`(-t \, c(z_{xi}, z_{yi}) - \beta \sum_j v_{ij} c(z_{xi}, z_{yj})) / (1 - t)`, the
            "debiased" form of the released code (0.1 there), in which ``beta`` does not multiply the positive.
        detach_weights: no gradient through the weights, as in the released code for ImageNet.

    Returns:
        ``{"attraction": scalar in [0, 4 alpha], "repulsion": scalar}``, the second in [-4 beta, 0] without ``debias``.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: fewer than two views or two images, or shapes, devices or numbers that do not fit.
    """
    if len(views) < 2:
        raise ValueError(f"cacr compares views with each other and needs at least 2, got {len(views)}")
    lifted = paired(**{f"views[{v}]": z for v, z in enumerate(views)})
    if len(lifted[0]) < 2:
        raise ValueError("cacr repels other images and needs at least 2 rows in each view, got 1")
    for name, value in {"tau_pos": tau_pos, "tau_neg": tau_neg, "alpha": alpha, "beta": beta}.items():
        number(name, value, at_least=0.0)
    if number("debias", debias, at_least=0.0) >= 1:
        raise ValueError(f"debias must be in [0, 1), got {debias}")
    if not isinstance(weighted, bool):
        choice("weighted", weighted, WEIGHTED)
    far_first, near_first = (weighted if isinstance(weighted, bool) else weighted == half for half in WEIGHTED)
    z = torch.stack([unit_rows(x) for x in lifted])

    own = torch.eye(len(z), dtype=torch.bool, device=z.device).unsqueeze(2)
    lengths = squared_lengths(z)
    cost = lengths.unsqueeze(0) + lengths.unsqueeze(1) - 2 * torch.einsum("xnd,ynd->xyn", z, z)
    weights = torch.softmax((cost * (tau_pos if far_first else 0.0)).masked_fill(own, -torch.inf), dim=1)
    attraction = ((weights.detach() if detach_weights else weights) * cost).sum(1).mean()

    def near(rows: Tensor, others: Tensor, start: int) -> Tensor:
        """The weighted mean cost of every row with the other images."""
        far = squared_lengths(rows).unsqueeze(1) + squared_lengths(others) - 2 * (rows @ others.t())
        logits = far * (-tau_neg if near_first else 0.0)
        logits.diagonal(start).fill_(-torch.inf)
        shares = torch.softmax(logits, dim=1)
        return ((shares.detach() if detach_weights else shares) * far).sum(1)

    costs = torch.stack([in_row_blocks(near, a, b).mean() for a, b in combinations(z, 2)])
    repulsion = -beta * costs.mean()
    if debias > 0:
        pairs = [(lengths[x] + lengths[y] - 2 * (z[x] * z[y]).sum(1)).mean() for x, y in combinations(range(len(z)), 2)]
        repulsion = (repulsion - debias * torch.stack(pairs).mean()) / (1 - debias)
    return {"attraction": alpha * attraction, "repulsion": repulsion}
