"""Hidden words and codes: the objective of masked language and image modelling, and of reading on."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import floating, full_precision, whole_numbers

NONE = -1
"""The label of a position that is not asked for."""


@full_precision
def masked_tokens(logits: Tensor, labels: Tensor) -> Tensor:
    r"""Cross-entropy of tokens at the positions that are asked for.

    .. math::
        L = -\frac{1}{|M|} \sum_{i \in M} \log \operatorname{softmax}(x_i)_{y_i}, \qquad M = \{i : y_i \ne -1\}

    BERT's masked words, BEiT's masked patches and FLAVA's both (facebookresearch/multimodal, ``losses/flava.py``,
    where a batch without a hidden token may give nan; here it gives 0). With the labels of each next token it is the
    loss of reading from left to right. Where what was hidden are pixels use
    :func:`nearfar.losses.masked_reconstruction`.

    Args:
        logits: (..., V), the scores of every token of a vocabulary. Pick the positions that are asked for before they
            are made, where V is large.
        labels: (...), numbers of tokens in [0, V); -1 where nothing is asked.

    Returns:
        A scalar, at least 0; 0 where nothing is asked.

    Raises:
        TypeError: logits that are not floating, or labels that are no whole numbers.
        ValueError: shapes that do not fit, or a label that is no token.
    """
    (logits,) = floating(logits=logits)
    if logits.ndim < 2 or logits.shape[-1] < 1:
        raise ValueError(f"logits must have shape (..., V), got {tuple(logits.shape)}")
    labels = whole_numbers("labels", labels, tuple(logits.shape[:-1]), at_least=NONE)
    if labels.numel() and int(labels.max()) >= logits.shape[-1]:
        raise ValueError(f"labels must be below the {logits.shape[-1]} tokens, got {int(labels.max())}")
    total = F.cross_entropy(logits.flatten(0, -2), labels.flatten(), ignore_index=NONE, reduction="sum")
    return total / (labels != NONE).sum().clamp_min(1)
