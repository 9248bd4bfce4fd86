"""Any objective of two views by its name, so that a field's views can be tried under every one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, get_args

from torch import Tensor

from nearfar import losses
from nearfar.spelling import one_of

Objective = Literal[
    "info_nce", "symmetric_info_nce", "nt_xent", "decoupled", "grace", "sigmoid", "barlow_twins", "vicreg", "cacr"
]

OBJECTIVES: dict[str, Callable[[Tensor, Tensor, float], Tensor | Mapping[str, Tensor]]] = {
    "info_nce": lambda a, b, t: losses.info_nce(a, b, temperature=t),
    "symmetric_info_nce": lambda a, b, t: losses.symmetric_info_nce(a, b, temperature=t),
    "nt_xent": lambda a, b, t: losses.nt_xent(a, b, temperature=t),
    "decoupled": lambda a, b, t: losses.nt_xent(a, b, temperature=t, decoupled=True),
    "grace": lambda a, b, t: losses.grace(a, b, temperature=t),
    "sigmoid": lambda a, b, t: losses.sigmoid_pair_loss(a, b, temperature=t, bias=-10.0),
    "barlow_twins": lambda a, b, t: losses.barlow_twins(a, b, lambd=0.0051),
    "vicreg": lambda a, b, t: losses.vicreg(a, b),
    "cacr": lambda a, b, t: losses.cacr([a, b]),
}
"""Each of two matrices of embeddings (N, D), rows that belong together, and a temperature; those without one ignore it.
Weights are the papers'; the sigmoid's bias is the one that SigLIP begins with."""

NEEDS_PREDICTOR = ("negative_cosine", "byol_regression")


def objective(name: str) -> Callable[[Tensor, Tensor, float], Tensor | Mapping[str, Tensor]]:
    """The objective called ``name``.

    Raises:
        ValueError: unknown, or one that collapses without a predictor and a still target: those are methods.
    """
    if name in OBJECTIVES:
        return OBJECTIVES[name]
    if name in NEEDS_PREDICTOR:
        raise ValueError(f"{name} collapses without a predictor and a still target; train byol or simsiam")
    raise ValueError(f"there is no objective {name!r} of two views{one_of(name, get_args(Objective))}")
