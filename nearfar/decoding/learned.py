"""Decoders with a learned part: the language model stays as it is, and the part is trained by ``nearfar train``."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from nearfar.decoding.data.prompts import PromptBatch, Prompts
from nearfar.decoding.method import Decodes, Model, Writing, opened
from nearfar.training import Method, Optimization


class LearnedDecoder(Decodes, Method):  # type: ignore[misc]
    """The base of decoders that are trained.

    ``self.encoder`` is the learned part, all that a run keeps; the language model is opened again by its name and must
    be the same. Its weights are frozen, and it is no part of what is trained or saved.

    Args:
        model: as for :class:`nearfar.decoding.method.Decoder`. A run can be kept only where it is a name or folder.
        writing: how texts are continued.
        optimization: how the learned part moves.
    """

    verbs: ClassVar[tuple[str, ...]] = ("generates", "scores")
    takes = PromptBatch
    can_collapse = False

    def __init__(self, model: Model | None, writing: Writing, optimization: Optimization) -> None:
        Method.__init__(self, optimization)
        # A tuple, which a module does not take for a part of its own.
        self.lm = opened(model)
        self.lm.model.requires_grad_(False)
        self.writing = writing

    def begin(self, data: Any) -> None:
        self.lm.model.to(self.device)
        self.check(data)

    def resumed(self, data: Any) -> None:
        self.begin(data)

    @torch.no_grad()
    def learning(self, data: Any) -> Prompts:
        """The prompts to learn from.

        Raises:
            TypeError: they are none.
        """
        if not isinstance(data, Prompts):
            raise TypeError(f"{type(self).__name__} learns from prompts, got a {type(data).__name__}")
        return data
