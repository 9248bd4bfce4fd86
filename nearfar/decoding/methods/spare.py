"""SpARE: steering what a model answers from, by features of a sparse autoencoder."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from nearfar.decoding.autoencoder import Autoencoder
from nearfar.decoding.data.prompts import PromptBatch, Prompts
from nearfar.decoding.engine import Branch, Place
from nearfar.decoding.engine.hooks import edited, last_states
from nearfar.decoding.evaluation import plain
from nearfar.decoding.learned import LearnedDecoder
from nearfar.decoding.method import Decoder, Model, Writing
from nearfar.losses import steer
from nearfar.training import Optimization


class SpARE(LearnedDecoder):
    """Zhao et al., 2024, NAACL 2025, arXiv 2410.15999.

    Where a context contradicts what a model remembers, features of a middle layer tell which of the two it will answer
    from. They are found on the prompts' last tokens, among those prompts where the model's own answer is the context's
    (column ``answer``) or memory's (``other``, which it must also give without the context): by their mutual
    information with that behaviour. While writing, the states at the prompt's last token are edited once: features of
    the unwanted behaviour are taken out as far as they are there, wanted ones are raised to their usual level. The
    paper has autoencoders at hand; here one is trained on the last tokens of the prompts.

    Args:
        model: as for :class:`nearfar.decoding.method.Decoder`.
        layer: after which the states are edited; the middle one when not given.
        latents: features of the autoencoder; 32 times the width in the papers' ones.
        k: how many are active at once.
        use: answer from the ``context`` or from ``memory``.
        degree: how much of the levels is added and taken, at least 0: 2 for Llama.
        proportion: share of all mutual information that the chosen features hold, in (0, 1).
        writing: how texts are continued.
        optimization: of the autoencoder.
    """

    beams = False

    def __init__(
        self,
        model: Model | None = None,
        *,
        layer: int | None = None,
        latents: int = 1024,
        k: int = 16,
        use: Literal["context", "memory"] = "context",
        degree: float = 2.0,
        proportion: float = 0.07,
        writing: Writing = Writing(),
        optimization: Optimization = Optimization("adam", lr=1e-3, weight_decay=0.0),
    ) -> None:
        super().__init__(model, writing, optimization)
        config = self.lm.model.config.get_text_config()
        count = int(config.num_hidden_layers)
        self.layer = (count - 1) // 2 if layer is None else layer
        if not 0 <= self.layer < count:
            raise ValueError(f"layer must be from 0 to {count - 1}, got {layer}")
        if use not in ("context", "memory"):
            raise ValueError(f"use must be context or memory, got {use!r}")
        self.encoder: Autoencoder = Autoencoder(int(config.hidden_size), latents, k)
        self.use, self.degree, self.proportion = use, degree, proportion
        self._states = torch.zeros(0)
        self._learned: Prompts | None = None

    def begin(self, data: Any) -> None:
        self.resumed(data)
        self.encoder.decoder_bias.data.copy_(self._states.mean(0))

    def resumed(self, data: Any) -> None:
        super().begin(data)
        self._learned = self.learning(data)
        if self._learned.contexts is None or self._learned.others is None:
            raise ValueError("SpARE learns from contexts and what memory says: give columns context and other")
        self._states = torch.cat([self.states(batch) for batch in self.batches(self._learned)]).to(self.device)

    def states(self, batch: PromptBatch) -> Tensor:
        """(N, D): what is edited, as it is."""
        return last_states(self.whole(batch), self.layer)

    def batches(self, data: Prompts, rows: np.ndarray | None = None) -> list[PromptBatch]:
        rows = np.arange(len(data)) if rows is None else rows
        size = self.writing.batch_size
        return [data.batch(rows[first : first + size]) for first in range(0, len(rows), size)]

    def views(self, batch: PromptBatch) -> Tensor:
        return self._states[batch.rows.to(self._states.device)]

    def loss(self, views: Tensor) -> Tensor:
        spread = (views - views.mean(0)).pow(2).mean().clamp_min(1e-12)
        return (self.encoder(views) - views).pow(2).mean() / spread

    def after_step(self) -> None:
        self.encoder.decoder.data = nn.functional.normalize(self.encoder.decoder.data, dim=1)

    def on_train_end(self) -> None:
        assert self._learned is not None
        self.find(self._learned)

    @torch.no_grad()
    def find(self, data: Prompts) -> None:
        """Choose the features and levels from prompts whose context contradicts memory.

        Raises:
            ValueError: the model does not show both behaviours.
        """
        rows, labels, losses = self.behaviour(data)
        states = torch.cat([self.states(batch) for batch in self.batches(data, rows)])
        self.encoder.choose(states, labels, losses, proportion=self.proportion)

    def behaviour(self, data: Prompts) -> tuple[np.ndarray, np.ndarray, Tensor]:
        """Prompts that show one of the two behaviours: their rows, 1 for the context's answer and 0 for memory's, and
        the losses (2, N) of memory's and of the context's answer."""
        rows, labels, losses = [], [], []
        for batch in self.batches(data):
            own, closed = (self.plainly(b) for b in (batch, batch._replace(contexts=[""] * len(batch.prompts))))
            costs = [self.costs(batch, [text or "?" for text in texts]) for texts in (batch.others, batch.answers)]
            for i, row in enumerate(batch.rows.tolist()):
                memory, told = plain(batch.others[i]), plain(batch.answers[i])
                if batch.contexts[i] and memory and own[i] in (memory, told) and closed[i] == memory != told:
                    rows.append(row)
                    labels.append(int(own[i] == told))
                    losses.append([float(costs[0][i]), float(costs[1][i])])
        if min(labels.count(0), labels.count(1)) < 4:
            raise ValueError(
                f"SpARE needs prompts whose context contradicts memory, some answered from either: {labels.count(1)} "
                f"were answered from the context and {labels.count(0)} from memory"
            )
        return np.array(rows), np.array(labels), torch.tensor(losses).T

    def plainly(self, batch: PromptBatch) -> list[str]:
        """The model's own answers, unedited."""
        words = Decoder(self.lm, writing=self.writing).write(batch)
        return [plain(self.lm.tokenizer.decode(each, skip_special_tokens=True)) for each in words]

    def costs(self, batch: PromptBatch, answers: list[str]) -> Tensor:
        """(N,): each answer's mean loss, unedited."""
        _, mask = self.answer_words(answers)
        return -Decoder(self.lm, writing=self.writing).logp(batch, answers) / mask.sum(1)

    def branches(self, batch: PromptBatch) -> list[Branch]:
        return [replace(self.whole(batch), touch=self.touch)]

    def touch(self, place: Place) -> Any:
        return edited(place, self.layer, self.edit)

    def edit(self, states: Tensor) -> Tensor:
        """States (N, D) steered to the wanted behaviour."""
        e = self.encoder
        (add, add_to), (remove, remove_to) = e.sets if self.use == "context" else e.sets[::-1]
        return steer(
            states.to(e.decoder),
            e.latents,
            add=add.nonzero().squeeze(1),
            add_to=add_to,
            remove=remove.nonzero().squeeze(1),
            remove_to=remove_to,
            degree=self.degree,
        )
