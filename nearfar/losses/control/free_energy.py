"""What an agent expects of imagined states where a picture is all that it prefers: contrastive active inference."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nearfar.losses._checks import embeddings, full_precision, number, paired


@full_precision
def contrastive_free_energy(
    states: Tensor, goals: Tensor, others: Tensor | None = None, *, scale: float | None = None
) -> Tensor:
    r"""(N,) how far imagined states are from what is preferred: the expected free energy, lower is better.

    .. math:: G = -\frac{h \cdot g^*}{D} + \Big[ \log \frac{1}{1 + M} \big( e^{h \cdot g^* / D}
        + \sum_m e^{h \cdot g_m / D} \big) \Big]

    Contrastive active inference (Mazzaglia et al., 2021, arXiv 2110.10083), whose release divides by the width D here
    and not where the model is trained.

    Args:
        states: (N, D) h of the states.
        goals: (N, D) g of what each is to see.
        others: (M, D) g of other observations; without them the bracket is left out, as when acting.
        scale: multiplies the products, above 0; 1 / D when not given.
    """
    states, goals = paired(states=states, goals=goals)
    scale = 1 / states.shape[1] if scale is None else number("scale", scale, above=0.0)
    own = (states * goals).sum(1) * scale
    if others is None:
        return -own
    states, others = embeddings(states=states, others=others)
    everything = torch.cat([own[:, None], states @ others.T * scale], 1)
    return everything.logsumexp(1) - math.log(1 + len(others)) - own
