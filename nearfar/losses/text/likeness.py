"""Pairs that may look like one another, ranked by which of them look most alike."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from nearfar.losses._checks import full_precision, number, paired, unit_rows


@full_precision
def likeness_ranking(a: Tensor, b: Tensor, *, normalize: bool = False, temperature: float = 1.0) -> Tensor:
    r"""Ranking both ways, with the targets that the batch itself suggests (released ``mnr_plus_loss`` of
    Gleghorn-Lab/Mixture-of-Experts-Sentence-Similarity, arXiv 2401.15713).

    .. math::
        T = \operatorname{softmax}_{\text{rows}} \tfrac12 (A A^\top + B B^\top), \quad
        t_i = \arg\max_j T_{ij}, \quad u_j = \arg\max_i T_{ij}

    .. math:: L = \tfrac12 \big[ CE(A B^\top, t) + CE(B A^\top, u) \big]

    With ``normalize`` every row is nearest to itself, so that the targets are the pairs' own places but where a batch
    holds one pair twice, and this is :func:`nearfar.losses.info_nce` both ways. Without it, as released, a pair of
    great norms is the target of pairs that point its way; take ``normalize`` or ``info_nce`` where that is not wanted.

    Args:
        a: (N, D).
        b: (N, D), row i the partner of row i.
        normalize: compare directions alone.
        temperature: divides the products in the cross-entropies, above 0.

    Returns:
        A scalar, at least 0. No gradient comes of the targets.

    Raises:
        TypeError: a dtype that is not floating. ValueError: shapes, devices or a temperature that do not fit.
    """
    x, y = paired(a=a, b=b)
    number("temperature", temperature, above=0.0)
    if normalize:
        x, y = unit_rows(x), unit_rows(y)
    u, v = x.detach(), y.detach()
    likeness = ((u @ u.t() + v @ v.t()) / 2).softmax(1)
    logits = x @ y.t() / temperature
    return (F.cross_entropy(logits, likeness.argmax(1)) + F.cross_entropy(logits.t(), likeness.argmax(0))) / 2
