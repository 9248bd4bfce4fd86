"""Pull far positives harder, push near negatives harder (CACR)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor

from nearfar.losses._checks import choice, embeddings, full_precision, number, paired, squared_lengths, unit_rows
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
        far = _costs(rows, others)
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


@full_precision
def cacr_queue(
    queries: Sequence[Tensor],
    keys: Sequence[Tensor],
    queue: Tensor,
    *,
    tau_pos: float = 1.0,
    tau_neg: float = 0.9,
    alpha: float = 3.0,
    beta: float = 3.0,
    in_batch: bool = True,
) -> dict[str, Tensor]:
    r"""CACR on MoCo v2 (arXiv 2105.03746; released code ``large_scale_shift_experiments``, ``builder.py``).

    As :func:`cacr`, but a view is attracted by the momentum *keys* of the other views, with weights that get no
    gradient, and repelled by a queue of past keys and by the queries of other images in its own view:

    .. math::
        L_{CR} = -\operatorname{mean}_{x, i} \; \beta \sum_n v_{in} \, c(q_{xi}, n), \qquad
        v_i = \operatorname{softmax}_n \big( -\tau_- c(q_{xi}, n) \big),
        \qquad n \in \text{queue} \cup \{ q_{xj}, j \ne i \}

    where distances to the queue enter the weights without a gradient and those to queries with one. The released code
    compares the queue with the queries of the first view for all views, by a fault; this takes those of each.

    Args:
        queries: V at least 2 times (N, D), row i of each a view of the same image.
        keys: V times (N, D), of the momentum encoder; no gradient reaches them.
        queue: (K, D), keys of other images; no gradient reaches it.
        tau_pos, tau_neg: sharpness of the weights, at least 0.
        alpha, beta: weights of both halves, at least 0.
        in_batch: whether other images of the batch repel too; N is at least 2 then.

    Returns:
        ``{"attraction": scalar in [0, 4 alpha], "repulsion": scalar in [-4 beta, 0]}``.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: fewer than two views, or shapes, devices or numbers that do not fit.
    """
    if len(queries) < 2 or len(keys) != len(queries):
        raise ValueError(
            f"cacr_queue needs at least 2 views of queries and keys of each, got {len(queries)} and {len(keys)}"
        )
    lifted = _with_keys(queries, keys)
    past = embeddings(queue=queue)[0].detach().to(lifted[0].dtype)
    if past.shape[1] != lifted[0].shape[1]:
        raise ValueError(f"queue has width {past.shape[1]} and queries have width {lifted[0].shape[1]}")
    if in_batch and len(lifted[0]) < 2:
        raise ValueError("cacr_queue repels other images of the batch and needs at least 2 rows in each view, got 1")
    for name, value in {"tau_pos": tau_pos, "tau_neg": tau_neg, "alpha": alpha, "beta": beta}.items():
        number(name, value, at_least=0.0)
    views = len(queries)
    q = torch.stack([unit_rows(x) for x in lifted[:views]])
    k = torch.stack([unit_rows(x.detach()) for x in lifted[views:]])
    own = torch.eye(views, dtype=torch.bool, device=q.device).unsqueeze(2)
    cost = squared_lengths(q).unsqueeze(1) + squared_lengths(k).unsqueeze(0) - 2 * torch.einsum("xnd,ynd->xyn", q, k)
    weights = torch.softmax((cost.detach() * tau_pos).masked_fill(own, -torch.inf), dim=1)
    attraction = (weights * cost).sum(1).mean()
    bank = unit_rows(past)

    def near(rows: Tensor, others: Tensor, start: int) -> Tensor:
        far = _costs(rows, bank)
        logits = -tau_neg * far.detach()
        if in_batch:
            inside = _costs(rows, others)
            closer = -tau_neg * inside
            closer.diagonal(start).fill_(-torch.inf)
            logits, far = torch.cat([logits, closer], 1), torch.cat([far, inside], 1)
        return (torch.softmax(logits, dim=1) * far).sum(1)

    size = len(bank) + (q.shape[1] if in_batch else 0)
    costs = torch.stack([in_row_blocks(near, view, view, entries=size).mean() for view in q])
    return {"attraction": alpha * attraction, "repulsion": -beta * costs.mean()}


@full_precision
def cacr_keys(
    queries: Sequence[Tensor], keys: Sequence[Tensor], *, temperature: float = 0.2, cost: str = "rbf"
) -> Tensor:
    r"""CACR on MoCo v3 (arXiv 2105.03746; released code ``imagenet_pretraining``, ``builder.py``).

    For each key view y every *other* view's queries find their key, those that are far from it with more weight:

    .. math::
        L = \operatorname{mean}_y \sum_{x \ne y} \operatorname{mean}_i \; 2 \tau \, p_{xi} \, \Big( - \log
            \frac{e^{q_{xi} \cdot k_{yi} / \tau}}{\sum_j e^{q_{xi} \cdot k_{yj} / \tau}} \Big), \qquad
        p_i = \operatorname{softmax}_{x \ne y} \big( \| q_{xi} - k_{yi} \|^2 / \tau \big)

    rows L2-normalised and p without a gradient. ``cost="euclidean"`` puts the attraction and repulsion by
    :math:`c = 1 - q \cdot k` in the place of the logarithm, :math:`c_{ii} - \sum_{j \ne i} v_{ij} c_{ij}` with
    :math:`v_i = \operatorname{softmax}_{j \ne i}(-c_{ij} / \tau)` held constant, without the factor and, as released,
    *summed* over the batch.

    Args:
        queries: V at least 2 times (N, D), the first of the same views as the keys; local crops may follow.
        keys: at least one (N, D), of the momentum encoder; no gradient reaches them.
        temperature: above 0.
        cost: ``"rbf"`` or ``"euclidean"``, for which N is at least 2.

    Returns:
        A scalar.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: fewer than two views, more keys than queries, or shapes, devices or values that do not fit.
    """
    if len(queries) < 2 or not 1 <= len(keys) <= len(queries):
        raise ValueError(
            "cacr_keys needs queries of at least 2 views and the keys of 1 or more of them, the first: got "
            f"{len(queries)} and {len(keys)}"
        )
    choice("cost", cost, ("rbf", "euclidean"))
    number("temperature", temperature, above=0.0)
    lifted = _with_keys(queries, keys)
    if cost == "euclidean" and len(lifted[0]) < 2:
        raise ValueError("cacr_keys repels other images and needs at least 2 rows in each view, got 1")
    q = [unit_rows(x) for x in lifted[: len(queries)]]
    k = [unit_rows(x.detach()) for x in lifted[len(queries) :]]

    def price(rows: Tensor, others: Tensor, start: int) -> Tensor:
        cosine = rows @ others.t()
        own = cosine.diagonal(start)
        if cost == "rbf":
            return 2 * temperature * (torch.logsumexp(cosine / temperature, 1) - own / temperature)
        far = 1 - cosine
        logits = -far.detach() / temperature
        logits.diagonal(start).fill_(-torch.inf)
        return (1 - own) - (torch.softmax(logits, 1) * far).sum(1)

    total = lifted[0].new_zeros(())
    for y, key in enumerate(k):
        others = [x for v, x in enumerate(q) if v != y]
        apart = torch.stack([(x.detach() - key).square().sum(1) for x in others])
        share = torch.softmax(apart / temperature, 0)
        costs = torch.stack([in_row_blocks(price, x, key) for x in others])
        each = (share * costs).sum(0)
        total = total + (each.mean() if cost == "rbf" else each.sum())
    return total / len(k)


def _costs(rows: Tensor, others: Tensor) -> Tensor:
    """Squared distances (N, M) of all rows."""
    return squared_lengths(rows).unsqueeze(1) + squared_lengths(others) - 2 * (rows @ others.t())


def _with_keys(queries: Sequence[Tensor], keys: Sequence[Tensor]) -> list[Tensor]:
    """All queries, then all keys, of one shape and in one dtype."""
    named = {f"queries[{v}]": q for v, q in enumerate(queries)} | {f"keys[{v}]": k for v, k in enumerate(keys)}
    return paired(**named)
