"""Classes of very different sizes: scores of classes from stored keys, priors, subclasses."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import choice, embeddings, full_precision, number, tensors, unit_rows
from nearfar.losses.contrast.labels import supcon
from nearfar.losses.contrast.weighted import weighted_supcon


@full_precision
def class_scores(
    queries: Tensor,
    keys: Tensor,
    key_labels: Tensor,
    classes: int,
    *,
    temperature: float | Tensor,
    exclude: Tensor | None = None,
) -> Tensor:
    r"""How well a query fits each class's stored keys: a kernel estimate of the class's density.

    .. math:: S_{ic} = \log \operatorname{mean}_{k : y_k = c} e^{q_i \cdot k / \tau}

    with rows L2-normalised. The mean, not the sum: how many keys a class has stored does not matter.

    Args:
        queries: (N, D).
        keys: (K, D).
        key_labels: (K,) class numbers; keys below 0 belong to none and do not count.
        classes: their number C.
        temperature: a positive float or a tensor (0-d or of one element), through which gradients flow.
        exclude: (N, K) boolean, keys that do not count for a query, such as its own.

    Returns:
        (N, C); minus infinity for a class without a key.
    """
    q, k = embeddings(queries=queries, keys=keys)
    logits = unit_rows(q) @ unit_rows(k).T / temperature
    member = F.one_hot(key_labels.clamp_min(0), classes).to(logits.dtype) * (key_labels >= 0)[:, None]
    counted = torch.ones_like(logits) if exclude is None else (~exclude).to(logits.dtype)
    numbers = counted @ member
    # One maximum for all classes of a row, so that it cancels; no logit is more than 2 / tau below it.
    highest = logits.detach().max(1, keepdim=True).values
    sums = (torch.exp(logits - highest) * counted) @ member
    tiny = torch.finfo(logits.dtype).tiny
    found = torch.log(sums.clamp_min(tiny)) - torch.log(numbers.clamp_min(1)) + highest
    return found.masked_fill(numbers == 0, -torch.inf)


@tensors
def prior_cross_entropy(logits: Tensor, labels: Tensor, prior: Tensor) -> Tensor:
    """Cross-entropy with the logarithm of the class prior added to the logits (logit adjustment, arXiv 2007.07314).

    The prior is for training; without it at prediction every class counts the same. Rows whose class has the logit
    minus infinity leave the mean.

    Args:
        logits: (N, C).
        labels: (N,) class numbers.
        prior: (C,) shares of the classes, above 0.
    """
    possible = torch.isfinite(logits.gather(1, labels[:, None])[:, 0])
    adjusted = logits + prior.log()
    rows = F.cross_entropy(adjusted.masked_fill(~possible[:, None], 0.0), labels, reduction="none")
    return (rows * possible).sum() / possible.sum().clamp_min(1)


@tensors
@full_precision
def gml(
    queries: Tensor,
    labels: Tensor,
    keys: Tensor,
    key_labels: Tensor,
    prior: Tensor,
    *,
    log_temperature: Tensor,
    own: Tensor | None = None,
) -> dict[str, Tensor]:
    r"""Mutual information of features and labels over stored keys (GML, arXiv 2305.01160; released ``losses.py``).

    ``contrast``: cross-entropy of :func:`class_scores` plus log prior, at a temperature that gets no gradient.
    ``temperature``: the same value with the features fixed and the temperature learned, without each query's own key:
    with it the temperature would fall to 0. A class without a key scores minus infinity, and queries of such a class
    leave the mean, where the released code is NaN.

    Args:
        queries: (N, D).
        labels: (N,) class numbers.
        keys, key_labels: (K, D) and (K,), as for :func:`class_scores`.
        prior: (C,) shares of the classes, above 0.
        log_temperature: a tensor, the logarithm of the temperature.
        own: (N, K) boolean, where a key is of the same picture.
    """
    temperature = log_temperature.exp()
    fixed = class_scores(queries, keys, key_labels, len(prior), temperature=temperature.detach())
    found = class_scores(queries.detach(), keys.detach(), key_labels, len(prior), temperature=temperature, exclude=own)
    return {
        "contrast": prior_cross_entropy(fixed, labels, prior),
        "temperature": prior_cross_entropy(found, labels, prior),
    }


@full_precision
def sbcl(
    z1: Tensor,
    z2: Tensor,
    labels: Tensor,
    subclasses: Tensor,
    class_temperature: Tensor,
    *,
    temperature: float = 0.1,
    weight: float = 0.25,
    first_scale: float = 1.0,
    rule: str = "rank",
) -> dict[str, Tensor]:
    r"""Contrast inside subclasses, then among the subclasses of a class (SBCL, arXiv 2306.15925; ``SimCLR/loss.py``).

    ``subclass``: positives are the rows of the same subclass, below the fraction all others, at ``temperature``.
    ``class``: positives are the rows of the class's *other* subclasses and the twin, below the fraction these, the rows
    of other classes and no further row of the own subclass, at the class's own temperature.

    Args:
        z1, z2: (N, D), both views.
        labels: (N,) class numbers.
        subclasses: (N,) numbers, unique over all classes.
        class_temperature: (C,) positive.
        temperature: of the first term, above 0.
        weight: of the second term.
        first_scale: multiplies the first term; the released value is ``temperature / 0.07``.
        rule: ``rank`` as above, or ``ccl``: the second term is plain :func:`supcon` at ``temperature``.
    """
    choice("rule", rule, ("rank", "ccl"))
    first, second = embeddings(z1=z1, z2=z2)
    z, y, groups = torch.cat([first, second]), labels.repeat(2), subclasses.repeat(2)
    near = groups[:, None] == groups
    inside = first_scale * supcon(z, groups, temperature=temperature)
    if rule == "ccl":
        return {"subclass": inside, "class": weight * supcon(z, y, temperature=temperature)}
    twin = torch.eye(len(y), dtype=torch.bool, device=y.device).roll(len(labels), 1)
    among = weighted_supcon(
        z,
        z,
        ((y[:, None] == y) & ~near) | twin,
        denominator=~near | twin,
        temperature=class_temperature.to(z)[y],
        exclude_self=True,
    )
    return {"subclass": inside, "class": number("weight", weight, at_least=0.0) * among}
