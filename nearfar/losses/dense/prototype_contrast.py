"""Pixels against class prototypes, with negatives from the classes that are easily confused (ReCo's lineage)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import embeddings, full_precision, inverse_temperature, unit_rows


@full_precision
def prototype_contrast(
    vectors: Tensor,
    labels: Tensor,
    prototypes: Tensor,
    *,
    hard: Tensor | None = None,
    queries: int = 256,
    negatives: int = 512,
    temperature: float | Tensor = 0.5,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""The contrastive loss of Space Engage (arXiv 2307.09755; ``generalframeworks/loss/loss.py``, ``Contrast_Loss``).

    For every class c that is present, ``queries`` hard rows of it are drawn with replacement and each must find its
    prototype among ``negatives`` rows of other classes:

    .. math::
        \ell_c = \operatorname{mean}_q -\log \frac{e^{\cos(z_q, p_c) / \tau}}
            {e^{\cos(z_q, p_c) / \tau} + \sum_n e^{\cos(z_q, \operatorname{sg}[z_n]) / \tau}}

    A negative's class k is drawn with the probability :math:`\operatorname{softmax}_k(\cos(p_c, p_k) / \tau)` over
    the other classes present, the row then evenly among all rows of that class. The sum over classes is divided by the
    number of classes present; those without a hard row give 0 and are counted, as in the released code. Fewer than
    two classes give 0.

    Gradients reach the queries alone.

    Args:
        vectors: (P, D), one row per pixel.
        labels: (P,) int64 classes in [0, K); rows with another number (255, -1) take no part.
        prototypes: (K, D).
        hard: (P,) boolean, which rows may be queries; all when None.
        queries: rows drawn of each class, at least 1.
        negatives: rows drawn for each query, at least 1.
        temperature: divides the cosines, above 0.
        generator: the source of all draws, on any device.

    Returns:
        A scalar, at least 0.

    Raises:
        TypeError: vectors that are not floating, labels that are not integers.
        ValueError: shapes, numbers or a temperature that do not fit.
    """
    vectors, prototypes = embeddings(vectors=vectors, prototypes=prototypes)
    for name, mask in (("labels", labels), ("hard", hard)):
        if mask is not None and not isinstance(mask, Tensor):
            raise TypeError(f"{name} must be a torch.Tensor, got {type(mask).__name__}")
    if labels is None:
        raise TypeError("labels must be a torch.Tensor, got None")
    if labels.is_floating_point() or labels.shape != vectors.shape[:1]:
        raise ValueError(
            f"labels must be integers of shape ({len(vectors)},), got {labels.dtype} {tuple(labels.shape)}"
        )
    if hard is not None and (hard.dtype != torch.bool or hard.shape != labels.shape):
        raise ValueError(f"hard must be boolean of shape {tuple(labels.shape)}, got {hard.dtype} {tuple(hard.shape)}")
    if min(queries, negatives) < 1:
        raise ValueError(f"queries and negatives must be at least 1, got {queries} and {negatives}")
    scale = inverse_temperature(temperature, vectors)
    labels = torch.where((labels >= 0) & (labels < len(prototypes)), labels.long(), len(prototypes))
    counts = labels.bincount(minlength=len(prototypes) + 1)[:-1]
    present = counts.nonzero().squeeze(1)
    zero = (vectors * 0).sum()
    if len(present) < 2:
        return zero
    rows = labels.argsort(stable=True)
    starts = counts.cumsum(0) - counts
    centres = unit_rows(prototypes.detach())
    unit = unit_rows(vectors)
    kin = centres[present] @ centres[present].T * scale
    total = zero
    for place, c in enumerate(present.tolist()):
        mine = rows[starts[c] : starts[c] + counts[c]]
        candidates = mine if hard is None else mine[hard[mine]]
        # Drawn before it is known whether it is needed, so that a class does not move the others' draws.
        pick, which, where = (
            _uniform(shape, generator, vectors) for shape in ((queries,), (queries, negatives), (queries, negatives))
        )
        if not len(candidates):
            continue
        share = kin[place].masked_fill(torch.arange(len(present), device=kin.device) == place, -torch.inf).softmax(0)
        foreign = present[torch.searchsorted(share.cumsum(0), which.clamp_max(1 - 1e-6)).clamp_max(len(present) - 1)]
        far = rows[starts[foreign] + (where * counts[foreign]).long().clamp_max(counts[foreign] - 1)]
        anchors = unit[candidates[(pick * len(candidates)).long().clamp_max(len(candidates) - 1)]] * scale
        near = anchors @ centres[c]
        apart = (anchors.unsqueeze(1) @ unit.detach()[far].mT).squeeze(1)
        total = total + F.softplus(apart.logsumexp(1) - near).mean()
    return total / len(present)


def _uniform(shape: tuple[int, ...], generator: torch.Generator | None, like: Tensor) -> Tensor:
    source = like.device if generator is None else generator.device
    return torch.rand(shape, generator=generator, device=source).to(like.device)
