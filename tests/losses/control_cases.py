"""Losses of agents and solvers: the choice of a branching."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar import losses
from tests.losses.registry import Case, draw

OF = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2])
SCORES = draw(9, seed=5).round()


def branching(logits: Tensor) -> Tensor:
    """Node by node, from the softmax of its candidates."""
    found = []
    for node in range(3):
        mine = logits[node == OF]
        best = int(SCORES[node == OF].argmax())
        found.append(-(mine[best].exp() / mine.exp().sum()).log())
    return torch.stack(found).mean()


def free_energy(states: Tensor, goals: Tensor, others: Tensor) -> Tensor:
    """Row by row: how likely the goal's code is among all, by scores that are divided by the width."""
    found = []
    for state, goal in zip(states, goals, strict=True):
        mine = (state @ goal / len(state)).exp()
        among = torch.stack([mine, *((state @ other / len(state)).exp() for other in others)])
        found.append(-(mine / among.mean()).log())
    return torch.stack(found)


CASES = (
    Case("branching", lambda x: losses.branching(x, SCORES.to(x), OF), branching, shapes=((9,),)),
    Case("contrastive_free_energy", losses.contrastive_free_energy, free_energy, shapes=((4, 5), (4, 5), (7, 5))),
)
