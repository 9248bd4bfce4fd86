"""Contrast that shares its negatives between a network and its past."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.losses._checks import embeddings, full_precision, paired
from nearfar.losses.contrast.infonce import info_nce
from nearfar.losses.contrast.weighted import weighted_supcon


@full_precision
def sycon(
    queries: Tensor,
    keys: Tensor,
    predicted: Tensor,
    former: Tensor,
    negatives: Tensor,
    *,
    temperature: float = 0.2,
    former_temperature: float = 0.2,
) -> dict[str, Tensor]:
    r"""Sy-CON for one view, with queues (arXiv 2306.05101; released ``cassle/losses/pnr.py``).

    ``plasticity`` finds a query's key, ``stability`` the past projection of the same view from a prediction, both among
    the *same* negatives, those of the present and of the past network. There is no weight between them.

    Args:
        queries: (N, D), one view.
        keys: (N, D), the present momentum network's of the other view.
        predicted: (N, D), predictions of the past from ``queries``.
        former: (N, D), the past network's of the same view.
        negatives: (K, D), both queues of the other view.
        temperature, former_temperature: of the terms, above 0.
    """
    return {
        "plasticity": info_nce(queries, keys, negatives=negatives, in_batch=False, temperature=temperature),
        "stability": info_nce(predicted, former, negatives=negatives, in_batch=False, temperature=former_temperature),
    }


@full_precision
def sycon_batch(
    z: tuple[Tensor, Tensor], predicted: tuple[Tensor, Tensor], former: tuple[Tensor, Tensor], *, temperature: float
) -> dict[str, Tensor]:
    """Sy-CON within the batch (released ``simclr_pnr.py``): the other rows of both networks are the negatives.

    The past projection of the same view is not in its own denominator, and present rows there get gradients.

    Args:
        z, predicted, former: both views of each, (N, D).
        temperature: of both terms, above 0.
    """
    rows, guesses, past = (torch.cat(paired(first=a, second=b)) for a, b in (z, predicted, former))
    rows, guesses, past = embeddings(z=rows, predicted=guesses, former=past)
    count = len(rows)
    itself = torch.eye(count, dtype=torch.bool, device=rows.device)
    twin, nothing = itself.roll(count // 2, 1), torch.zeros_like(itself)
    others = torch.cat([~itself, ~itself], dim=1)
    candidates = torch.cat([rows, past])
    return {
        "plasticity": weighted_supcon(
            rows, candidates, torch.cat([twin, nothing], dim=1), denominator=others, temperature=temperature
        ),
        "stability": weighted_supcon(
            guesses, candidates, torch.cat([nothing, itself], dim=1), denominator=others, temperature=temperature
        ),
    }
