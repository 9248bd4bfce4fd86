"""Contrastive decoding's own beam search."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from nearfar.decoding.engine.branch import Branch
from nearfar.decoding.engine.streams import Streams
from nearfar.losses import contrastive_beam_step


@torch.no_grad()
def contrastive_beams(
    branches: Sequence[Branch],
    *,
    beams: int,
    new: int,
    end: int | None,
    weight: float = 1.0,
    temperature: float = 0.5,
    alpha: float = 0.1,
) -> list[int]:
    """The best continuation of one prompt by the released search: candidates by the expert, order by the contrast.

    Beams that end are kept with their score over their length; the search ends when as many have ended as there are
    beams, or at the longest length. See :func:`nearfar.losses.contrastive_beam_step`.

    Args:
        branches: expert and amateur, of one row each.
        beams: number of beams, at least 2.
        new: longest continuation.
        end: the token that ends a text, which is not returned.
    """
    rows = torch.zeros(beams, dtype=torch.long, device=branches[0].ids.device)
    streams = Streams([branch.rows(rows) for branch in branches])
    looks = streams.start()
    running = torch.full((beams,), -1e9, device=rows.device)
    running[0] = 0.0  # all beams are equal before the first word
    written: list[list[int]] = [[] for _ in range(beams)]
    ended: list[tuple[float, list[int]]] = []
    for step in range(new):
        expert, amateur = looks[0].logits, looks[1].logits.to(looks[0].logits)
        width = min(expert.shape[-1], amateur.shape[-1])
        found = contrastive_beam_step(
            expert[:, :width],
            amateur[:, :width],
            running,
            weight=weight,
            temperature=temperature,
            alpha=alpha,
            first=step == 0,
        )
        going: list[tuple[float, int, int]] = []
        for score, token, beam in zip(*(x.tolist() for x in found), strict=True):
            if token == end:
                ended.append((score / (step + 1), written[beam]))
            elif len(going) < beams:
                going.append((score, token, beam))
        if len(ended) >= beams or step == new - 1 or not going:
            ended += [(score / (step + 1), [*written[beam], token]) for score, token, beam in going]
            break
        going += going[:1] * (beams - len(going))
        running = torch.tensor([score for score, _, _ in going], device=rows.device)
        written = [[*written[beam], token] for _, token, beam in going]
        streams.select(torch.tensor([beam for _, _, beam in going], device=rows.device))
        looks = streams.step(torch.tensor([token for _, token, _ in going], device=rows.device))
    return max(ended, key=lambda each: each[0])[1]
