"""States of one skill together, states of others apart: BeCL."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.losses._checks import choice, embeddings, full_precision, inverse_temperature, unit_rows

FLOOR = 1e-6


@full_precision
def becl(
    features: Tensor,
    skills: Tensor,
    *,
    temperature: float | Tensor = 0.5,
    positive: str = "first",
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""(B,) how badly each state is told by another state of its skill; ``exp(-l)`` is the reward of an agent.

    .. math:: l_i = -\log \Big( \frac{e_{ip}}{\sum_{j \ne i} e_{ij} + \epsilon} + \epsilon \Big), \qquad
        e_{ij} = \exp\big( s_{ij} - \max_{j \ne i} s_{ij} \big), \quad s = \cos / \tau, \quad \epsilon = 10^{-6}

    BeCL (arXiv 2305.04477, ``agent/becl.py``). The denominator holds the other states of the same skill as well. A row
    that is alone with its skill takes the first other row, as released; see :func:`becl_alone` to leave it out.

    Args:
        features: (B, D), at least 2 rows; normalised inside.
        skills: (B,) whole numbers.
        temperature: a positive float or a 0-d tensor.
        positive: the ``first`` other row of the skill in the batch's order (released), or a ``random`` one.
        generator: draws random positives.
    """
    (features,) = embeddings(features=features)
    choice("positive", positive, ("first", "random"))
    if len(features) < 2:
        raise ValueError(f"a state is told by another one, and there is {len(features)}")
    if skills.shape != features.shape[:1]:
        raise ValueError(f"skills must have shape ({len(features)},), got {tuple(skills.shape)}")
    unit = unit_rows(features)
    own = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    scores = (unit @ unit.T * inverse_temperature(temperature, unit)).masked_fill(own, -torch.inf)
    energies = (scores - scores.max(1, keepdim=True).values).exp()
    same = (skills[:, None] == skills[None]) & ~own
    if positive == "first":
        # Where there is none, the first column that is not the row's own.
        weight = same.to(unit.dtype) * 2 + (~own).to(unit.dtype)
        at = weight.argmax(1)
    else:
        weight = torch.where(same.any(1, keepdim=True), same, ~own).to(unit.dtype)
        at = torch.multinomial(weight, 1, generator=generator).squeeze(1)
    chosen = energies.gather(1, at[:, None]).squeeze(1)
    return -(chosen / (energies.sum(1) + FLOOR) + FLOOR).log()


def becl_alone(skills: Tensor) -> Tensor:
    """(B,) whether a row is the only one of its skill, so that its loss means nothing."""
    return (skills[:, None] == skills[None]).sum(1) == 1
