"""How hard a state is to tell from what is remembered: the bonus of contrastive curiosity."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nearfar.losses._checks import choice, embeddings, full_precision, inverse_temperature, unit_rows


@full_precision
@torch.no_grad()
def curiosity(
    predicted: Tensor, reached: Tensor, memory: Tensor, *, temperature: float | Tensor, mode: str = "predictive"
) -> Tensor:
    r"""(B,) the bonus for reaching states that were not told from the memory (``predictive``) or are unlike it.

    .. math::
        r = -\log \frac{e^{p \cdot z / \tau}}{e^{p \cdot z / \tau} + \sum_m e^{p \cdot m / \tau}} \Big/ \log(1 + M)
        \qquad \text{or, for novelty,} \qquad r = \tfrac12 \big(1 - \max_m z \cdot m\big)

    with all codes of length 1. It is about 1 where a prediction says nothing. States that stay unpredictable, such as
    noise on a screen, keep their predictive bonus for ever; novelty with a code of what actions change does not.

    Args:
        predicted: (B, D) where the step was expected to lead.
        reached: (B, D) where it led.
        memory: (M, D) codes of what was seen before.
        temperature: divides the cosines, above 0 (``predictive``).
        mode: ``predictive`` or ``novelty``.
    """
    predicted, reached, memory = embeddings(predicted=predicted, reached=reached, memory=memory)
    if predicted.shape != reached.shape:
        raise ValueError(
            f"predicted is {tuple(predicted.shape)} and reached {tuple(reached.shape)}; they must be equal"
        )
    choice("mode", mode, ("predictive", "novelty"))
    past, now = unit_rows(memory), unit_rows(reached)
    if mode == "novelty":
        return (1 - (now @ past.T).max(1).values) / 2
    scale = inverse_temperature(temperature, predicted)
    expected = unit_rows(predicted) * scale
    own = (expected * now).sum(1)
    everything = (expected @ past.T).logsumexp(1).logaddexp(own)
    return (everything - own) / math.log(1 + len(memory))
