"""Changes of embedded words instead of words, inside the encoder.

Every function takes states (N, T, D), their mask (N, T), a function that draws, and the strength, and returns states.
The first place, the start of the text, is never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from nearfar.encoders import TextEncoder

Draw = Callable[..., Tensor]
"""Uniform numbers in [0, 1) of the sizes given, of which the first counts texts."""
Change = Callable[[Tensor], Tensor]


def tokens(states: Tensor, mask: Tensor, draw: Draw, strength: float) -> Tensor:
    """Whole tokens are 0; they stay in the mask."""
    cut = draw(*states.shape[:2]) < strength
    cut[:, 0] = False
    return states.masked_fill(cut.unsqueeze(2), 0.0)


def features(states: Tensor, mask: Tensor, draw: Draw, strength: float) -> Tensor:
    """Whole features are 0, of a text the same ones at every token."""
    return states.masked_fill((draw(len(states), states.shape[2]) < strength).unsqueeze(1), 0.0)


def positions(states: Tensor, mask: Tensor, draw: Draw, strength: float) -> Tensor:
    """The tokens of a text in any order, which is what shuffled position numbers do."""
    keys = draw(*states.shape[:2]).masked_fill(mask == 0, 2.0)
    keys[:, 0] = -1.0
    return states.gather(1, keys.argsort(1).unsqueeze(2).expand_as(states))


def noise(states: Tensor, mask: Tensor, draw: Draw, strength: float) -> Tensor:
    """Normal noise, ``strength`` times as large as the numbers of all tokens spread."""
    u = draw(*states.shape).clamp(1e-6, 1 - 1e-6)
    return states + strength * states.detach().std() * torch.special.ndtri(u)


@contextmanager
def changed_words(encoder: TextEncoder, change: Change) -> Iterator[None]:
    """Within this block the encoder's embedded words (N, T, D) are what ``change`` makes of them."""
    model: Any = encoder.model
    hook = model.get_input_embeddings().register_forward_hook(lambda module, given, out: change(out))
    try:
        yield
    finally:
        hook.remove()
