"""MERIt: questions of logic made from texts, by following entities from sentence to sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.common.share import for_examples
from nearfar.encoders import TextEncoder, text_encoder
from nearfar.encoders.hidden_words import HiddenWords
from nearfar.encoders.tokens import PairTokens
from nearfar.sources.data import in_order
from nearfar.system import Scores
from nearfar.text.asking import Question, Renaming, asked
from nearfar.text.data.choices import ChoiceBatch
from nearfar.text.masked import WordGuesses
from nearfar.text.paths import Pool, Puzzle, say
from nearfar.training import Data, Method, Optimization


class Views(NamedTuple):
    """Pairs of a context and an option, Q questions of K one after another; the right pair's number (Q,); and a text
    with hidden words, where there is one to learn."""

    pairs: PairTokens
    right: Tensor
    hidden: HiddenWords | None


class MERIt(Method):
    """Jiao et al., 2022, Findings of ACL, arXiv 2203.00357.

    In a document two entities are named together by one sentence, the answer, and connected by a path of others, the
    context. The answer is to score higher after the context than sentences in which names were exchanged so that they
    speak of the two; and the context, before the answer, higher than contexts with such a sentence in the place of
    one. Both are cross-entropies of a network that reads context and option together. So that no knowledge of the
    world helps, the two and further entities get names of other documents in half of the examples, in context, answer
    and wrong options alike. Hidden words are guessed besides.

    Questions with options (ReClor, LogiQA) train and judge the same network, without hidden words.

    The release makes options once, each puzzle as it is and with names exchanged; here they are made anew at every
    step. Relations of a knowledge base, by which it bridges gaps in paths, are not read, and LAMB is AdamW here.

    Args:
        encoder: a text encoder that reads pairs, by name (``hf:<model>`` for a pretrained one) or as a ``TextEncoder``.
        wrong: wrong options of each question, at least 1.
        renaming: how often and how many entities are renamed.
        hidden: width of the layer between the first token's state and the score.
        words_weight: weight of guessing hidden words, at least 0.
        words_hidden: share of the words that are hidden.
        max_length: tokens of context and option together.
        dropout: of the encoder; its own when not given.
        optimization: AdamW with linear warm-up and decay.
    """

    verbs = ("predicts",)
    takes = ChoiceBatch
    can_collapse = False

    def __init__(
        self,
        encoder: str | nn.Module = "hf:roberta-large",
        *,
        wrong: int = 3,
        renaming: Renaming = Renaming(),
        hidden: int = 2048,
        words_weight: float = 1.0,
        words_hidden: float = 0.15,
        max_length: int = 320,
        dropout: float | None = None,
        optimization: Optimization = Optimization(
            "adamw", lr=1e-4, weight_decay=0.01, beta2=0.98, eps=1e-6, warmup=0.1, schedule="linear", clip=5.0
        ),
    ) -> None:
        super().__init__(optimization)
        if wrong < 1 or words_weight < 0:
            raise ValueError(f"wrong must be at least 1 and words_weight at least 0, got {wrong} and {words_weight}")
        self.encoder = text_encoder(encoder, pooling="cls", max_length=max_length, dropout=dropout)
        width = int(self.encoder.out_features)  # type: ignore[arg-type]
        self.scorer = nn.Sequential(nn.Linear(width, hidden), nn.Tanh(), nn.Dropout(0.1), nn.Linear(hidden, 1))
        self.words = WordGuesses(cast(TextEncoder, self.encoder), words_hidden)
        self.wrong, self.words_weight, self.renaming = wrong, words_weight, renaming

    def kept(self) -> nn.Module:
        return nn.ModuleDict({"encoder": self.encoder, "scorer": self.scorer})

    def views(self, batch: ChoiceBatch) -> Views:
        if batch.puzzles is None or batch.pool is None:
            return self.questions(batch)

        def draw(count: int) -> Tensor:
            return torch.randint(2**62, (count,), generator=self.generator, device=self.device)

        seeds = for_examples(draw, len(batch.puzzles)).tolist()
        found = self.of_puzzles(batch.puzzles, batch.pool, seeds)
        encoder: Any = self.encoder
        texts = [" ".join(map(say, [*puzzle.context, *puzzle.right, *puzzle.rest])) for puzzle in batch.puzzles]
        hidden = self.words.hide(encoder, encoder.tokenize(texts), self.generator) if self.words_weight else None
        return found._replace(hidden=hidden)

    def questions(self, batch: ChoiceBatch) -> Views:
        """Questions as they were given."""
        contexts = [text for text, options in zip(batch.contexts, batch.options, strict=True) for _ in options]
        told = [option for options in batch.options for option in options]
        return Views(self.pairs(contexts, told), torch.tensor(batch.right, device=self.device), None)

    def of_puzzles(self, puzzles: Sequence[Puzzle], pool: Pool, seeds: Sequence[int], kinds: int = 2) -> Views:
        """The first so many of the two kinds of questions, of each puzzle by its seed."""
        made: list[Question] = []
        for puzzle, seed in zip(puzzles, seeds, strict=True):
            made += asked(puzzle, pool, self.wrong, self.renaming, np.random.default_rng(seed))[:kinds]
        contexts, options = zip(*(pair for question in made for pair in question), strict=True)
        right = torch.zeros(len(made), dtype=torch.long, device=self.device)
        return Views(self.pairs(contexts, options), right, None)

    def pairs(self, contexts: Sequence[str], options: Sequence[str]) -> PairTokens:
        return self.encoder.tokenize_pairs(contexts, options)  # type: ignore[operator]

    def loss(self, views: Views) -> dict[str, Tensor]:
        terms = {"choice": F.cross_entropy(self.scores(views), views.right)}
        if views.hidden is not None:
            states = self.encoder.hidden(views.hidden.tokens)  # type: ignore[operator]
            terms["words"] = self.words_weight * self.words(states, views.hidden.labels)
        return terms

    def scores(self, views: Views) -> Tensor:
        """Of each question its options' (Q, K)."""
        states = self.encoder.hidden(views.pairs)[:, 0]  # type: ignore[operator]
        return self.scorer(states).view(len(views.right), -1)

    def predict(self, batch: ChoiceBatch) -> list[int]:
        """Of each question the number of the best option; of a puzzle it is 0 where the answer was found."""
        if batch.puzzles is None or batch.pool is None:
            return self.scores(self.questions(batch)).argmax(1).tolist()
        found = self.of_puzzles(batch.puzzles, batch.pool, [0] * len(batch.puzzles), kinds=1)
        return self.scores(found).argmax(1).tolist()

    def evaluate(self, data: Data, *, seed: int = 0) -> Scores:
        """``accuracy`` on the held-out questions, or puzzles, and ``chance``.

        Raises:
            TypeError: data without questions.
        """
        held = data.splits().get("test", data)
        if held.gives is not ChoiceBatch:
            raise TypeError(f"{held.name} has no questions with options")
        right = total = options = 0
        with self.frozen():
            for _, batch in in_order(held, 32):
                said = self.predict(batch)
                right += sum(a == b for a, b in zip(said, batch.right or [0] * len(said), strict=True))
                total += len(said)
                options = len(batch.options[0]) if batch.options else self.wrong + 1
        return Scores({"accuracy": right / total, "chance": 1 / options}, neither=["chance"])
