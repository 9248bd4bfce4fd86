"""A node and its neighbours: near to them by how much they influence it (SCGC), or telling them from others."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.losses._checks import embeddings, full_precision, number, unit_rows
from nearfar.losses.engine.blocks import in_row_blocks


@full_precision
def neighbour_contrast(z: Tensor, weights: Tensor, *, scale: float = 0.25) -> Tensor:
    r"""Nodes are drawn to those that influence them, among all nodes (SCGC, arXiv 2204.12656).

    .. math::
        -\frac{1}{N} \sum_i \log\Big( \frac{\sum_j G_{ij} e^{\tau s_{ij}}}{\sum_j e^{\tau s_{ij}}} + 10^{-8} \Big),
        \qquad s_{ij} = \cos(z_i, z_j),\; s_{ii} = 0

    as in the released code: the scale **multiplies**, and the diagonal stays in both sums as :math:`e^0`. A zero row
    has the cosine 0 with every other, where the release gives NaN. Rows are taken in blocks: memory is that of the
    weights.

    Args:
        z: (N, D).
        weights: (N, N), G, at least 0: powers of the row-normalised adjacency with loops. No gradient reaches them.
        scale: tau, at least 0.

    Returns:
        A scalar. A row of G without entries gives ``-log(1e-8)``.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: shapes that do not fit.
    """
    (z,) = embeddings(z=z)
    number("scale", scale, at_least=0.0)
    if weights.shape != (len(z), len(z)):
        raise ValueError(f"weights must have shape {(len(z), len(z))}, got {tuple(weights.shape)}")
    unit, influence = unit_rows(z), weights.detach().to(z.dtype)

    def block(rows: Tensor, everything: Tensor, first: int) -> Tensor:
        similarity = rows @ everything.T
        own = torch.zeros_like(similarity, dtype=torch.bool)
        own.diagonal(first).fill_(True)
        terms = (scale * similarity.masked_fill(own, 0)).exp()
        near = (influence[first : first + len(rows)] * terms).sum(1)
        return -torch.log(near / terms.sum(1) + 1e-8)

    return in_row_blocks(block, unit, unit).mean()


@full_precision
def neighbour_prediction(near: Tensor, far: Tensor) -> Tensor:
    r"""Scores of a node with its neighbours and with nodes that are none, told apart by a margin.

    .. math::
        L = \operatorname{mean} \max(0, 1 - s^{near})^2 + \operatorname{mean} \max(0, 1 + s^{far})^2

    The squared hinge by which GIANT (arXiv 2111.00064) trains an encoder of texts to tell the neighbours of a node, as
    labels of which it has many. There labels are searched in a tree; here those that are none are drawn, and each side
    is its own mean.

    Args:
        near: (E,) scores of edges, at least one.
        far: scores of pairs that are none, any shape, at least one.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: no score.
    """
    near, far = (embeddings(**{name: x.reshape(-1, 1)})[0] for name, x in (("near", near), ("far", far)))
    return (1 - near).clamp_min(0).square().mean() + (1 + far).clamp_min(0).square().mean()
