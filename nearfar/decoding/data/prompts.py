"""Texts to be continued, with what is known about the right continuation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nearfar.sources.data import Data
from nearfar.sources.skipped import Skipped
from nearfar.sources.tables import why_no_text


class PromptBatch(NamedTuple):
    """Prompts to be continued: texts, contexts (empty where there is none), right and other answers, images, kinds.

    ``images`` is (N, H, W, 3) uint8 or ``None``; ``choices`` are the answers to choose from, none for most prompts.
    """

    prompts: list[str]
    contexts: list[str]
    answers: list[str]
    others: list[str]
    choices: list[list[str]]
    kinds: list[str]
    images: Tensor | None
    rows: Tensor


class Prompts(Data):
    """A collection of prompts.

    Args:
        prompts: N texts.
        contexts: what is told before each prompt, or ``None``.
        answers: the right continuations, or ``None``.
        others: continuations to move away from: the answer from memory where the context says another, the dispreferred
            reply; or ``None``.
        choices: for each prompt the answers to choose from, among them the right one; or ``None``.
        kinds: a name for each prompt, by which measurements are split; or ``None``.
        images: (N, H, W, 3) uint8, or ``None``.
        ids: what to call each prompt; its position otherwise.
        name: what to call the set.
        splits: held-out sets by name.
        models: the language models that this set is for, by the argument that takes them (``model``, ``amateur``).
        skipped: what the source of the prompts held besides.

    Raises:
        ValueError: no prompt, lists of other lengths, texts that are none.
    """

    gives = PromptBatch

    def __init__(
        self,
        prompts: Sequence[str],
        *,
        contexts: Sequence[str] | None = None,
        answers: Sequence[str] | None = None,
        others: Sequence[str] | None = None,
        choices: Sequence[Sequence[str]] | None = None,
        kinds: Sequence[str] | None = None,
        images: np.ndarray | None = None,
        ids: Sequence[Any] | None = None,
        name: str = "prompts",
        splits: Mapping[str, Data] | None = None,
        models: Mapping[str, str] | None = None,
        skipped: Skipped | None = None,
    ) -> None:
        self.prompts = [*prompts]
        if not self.prompts:
            raise ValueError("there is no prompt")
        for row, prompt in enumerate(self.prompts):
            if reason := why_no_text(prompt):
                raise ValueError(f"prompt {row}: {reason}")
        given = {"contexts": contexts, "answers": answers, "others": others, "choices": choices, "kinds": kinds}
        for what, values in {**given, "images": images, "ids": ids}.items():
            if values is not None and len(values) != len(self.prompts):
                raise ValueError(f"{what} has {len(values)} entries for {len(self.prompts)} prompts")
        self.contexts, self.answers, self.others = contexts, answers, others
        self.choices, self.kinds, self.images = choices, kinds, images
        self.name, self.skipped = name, skipped
        self._ids = np.array([str(each) for each in ids]) if ids is not None else np.arange(len(self.prompts))
        self._splits, self._models = dict(splits or {}), dict(models or {})

    def __len__(self) -> int:
        return len(self.prompts)

    @property
    def ids(self) -> np.ndarray:
        return self._ids

    @property
    def facts(self) -> Mapping[str, Any]:
        return self._models

    def splits(self) -> Mapping[str, Data]:
        return self._splits

    def held_out(self) -> Prompts:
        """The prompts that are measured: the split ``test`` where there is one, else all."""
        found = self._splits.get("test", self)
        assert isinstance(found, Prompts)
        return found

    def subset(self, indices: np.ndarray) -> Prompts:
        def pick(values: Any) -> Any:
            return None if values is None else [values[i] for i in indices]

        return Prompts(
            [self.prompts[i] for i in indices],
            contexts=pick(self.contexts),
            answers=pick(self.answers),
            others=pick(self.others),
            choices=pick(self.choices),
            kinds=pick(self.kinds),
            images=None if self.images is None else self.images[indices],
            ids=[self._ids[i] for i in indices],
            name=self.name,
            models=self._models,
        )

    def batch(self, indices: np.ndarray) -> PromptBatch:
        def pick(values: Any, missing: Any) -> list[Any]:
            return [missing if values is None else values[i] for i in indices]

        return PromptBatch(
            [self.prompts[i] for i in indices],
            pick(self.contexts, ""),
            pick(self.answers, ""),
            pick(self.others, ""),
            [[*each] for each in pick(self.choices, [])],
            pick(self.kinds, ""),
            None if self.images is None else torch.as_tensor(self.images[indices]),
            torch.as_tensor(indices),
        )
