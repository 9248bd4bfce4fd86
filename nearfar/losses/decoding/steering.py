"""SpARE: features of a sparse autoencoder that tell whether a model answers from context or from memory, and their
edit (Zhao et al. 2024, arXiv 2410.15999)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from nearfar.losses._checks import floating, number, tensors


class Latents(NamedTuple):
    """A sparse autoencoder's weights: encoder (L, D) and its bias (L,), decoder (L, D) and its bias (D,)."""

    encoder: Tensor
    encoder_bias: Tensor
    decoder: Tensor
    decoder_bias: Tensor

    def activations(self, states: Tensor) -> Tensor:
        """(..., D) to (..., L): rectified, before any selection of the largest."""
        return torch.relu((states - self.decoder_bias) @ self.encoder.T + self.encoder_bias)


def knowledge_features(information: Tensor, expectation: Tensor, *, proportion: float = 0.07) -> tuple[Tensor, Tensor]:
    """Latents that speak for the context, and those that speak for memory, as released.

    The fewest latents, by falling mutual information, whose sum exceeds ``proportion`` of all of it; those whose mean
    is higher where the context was followed go to the first set, lower to the second. Equal means are passed over and
    do not count.

    Args:
        information: (L,), mutual information of each latent with the label.
        expectation: (L,), mean over items that follow the context minus mean over those that follow memory.
        proportion: in (0, 1): 0.07 for Llama, 0.01 for Gemma.

    Returns:
        Indices (c,) and (m,), int64, most informative first.
    """
    information, expectation = floating(information=information, expectation=expectation)
    if information.ndim != 1 or information.shape != expectation.shape:
        raise ValueError("information and expectation must both be (L,)")
    if not 0 < proportion < 1:
        raise ValueError(f"proportion must be in (0, 1), got {proportion}")
    order = information.argsort(descending=True, stable=True)
    enough = information[order].cumsum(0) > proportion * information.sum()
    wanted = int(enough.float().argmax()) + 1 if bool(enough.any()) else len(order)
    order = order[expectation[order] != 0][:wanted]
    return order[expectation[order] > 0], order[expectation[order] < 0]


def functional_activations(latents: Tensor, own_loss: Tensor, other_loss: Tensor) -> Tensor:
    """The activations that an edit aims at: a weighted mean over the items of one behaviour.

    Args:
        latents: (N, L), of items of one behaviour.
        own_loss, other_loss: (N,), an item's weight is ``own / (own + other)``, normalised over the items. For items
            that follow the context ``own`` is the language-model loss with the answer from memory and ``other`` with
            the one of the context; the other way round for items that follow memory.

    Returns:
        (L,).
    """
    latents, own, other = floating(latents=latents, own_loss=own_loss, other_loss=other_loss)
    weight = own / (own + other)
    return (weight / weight.sum()) @ latents


@tensors
def steer(
    states: Tensor,
    latents: Latents,
    *,
    add: Tensor,
    add_to: Tensor,
    remove: Tensor,
    remove_to: Tensor,
    degree: float = 2.0,
) -> Tensor:
    r"""The edited states :math:`h - W_d\, r + W_d\, a`.

    Removal is capped by what is there, :math:`r = \min(g z^-, z)`; addition tops up to the target,
    :math:`a = \max(g z^+ - z, 0)`; both are of the same activations z, and the decoder's bias cancels.

    Args:
        states: (..., D).
        latents: the autoencoder.
        add, remove: indices of the latents to raise and to lower.
        add_to, remove_to: (L,), the functional activations of the two behaviours.
        degree: g, at least 0: 2 for Llama.

    Returns:
        (..., D).
    """
    degree = number("degree", degree, at_least=0.0)
    z = latents.activations(states)
    down = torch.minimum((degree * remove_to[remove]).relu(), z[..., remove])
    up = ((degree * add_to[add]).relu() - z[..., add]).relu()
    return states - down @ latents.decoder[remove] + up @ latents.decoder[add]
