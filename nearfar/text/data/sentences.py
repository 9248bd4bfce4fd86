"""Collections of sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from nearfar.sources.fingerprint import digest_of
from nearfar.sources.order import apart
from nearfar.sources.skipped import Skipped
from nearfar.text.method import TextBatch
from nearfar.training import Data


class Sentences(Data):
    """Sentences, with optional labels, entailed and contradicting partners, and pairs scored for similarity.

    Args:
        sentences: N strings.
        labels: (N,) class numbers or names, or ``None``.
        positives, negatives: N strings each, for supervised training, or ``None``.
        more_negatives: further hard negatives of each sentence, lists of N strings.
        scored: ``(seconds, scores)``, N strings and N numbers: how alike each sentence and its second were judged.
        pairs: ``(a, b, gold)`` with gold similarities, for evaluation by rank correlation, or ``None``.
        corpus: passages that hard negatives may be mined from, besides the positives.
        name: what to call the set.
        splits: held-out sets by name.
        skipped: what the source of the sentences held besides.

    Raises:
        TypeError: something that is not a string. ValueError: lengths that differ.
    """

    gives = TextBatch

    def __init__(
        self,
        sentences: Sequence[str],
        labels: np.ndarray | None = None,
        *,
        positives: Sequence[str] | None = None,
        negatives: Sequence[str] | None = None,
        more_negatives: Sequence[Sequence[str]] = (),
        scored: tuple[Sequence[str], np.ndarray] | None = None,
        pairs: tuple[Sequence[str], Sequence[str], np.ndarray] | None = None,
        corpus: Sequence[str] = (),
        name: str = "sentences",
        splits: Mapping[str, Data] | None = None,
        skipped: Skipped | None = None,
    ) -> None:
        self.sentences = [*sentences]
        for position, sentence in enumerate(self.sentences):
            if not isinstance(sentence, str):
                what = "missing" if sentence is None else f"a {type(sentence).__name__}, not a string"
                raise TypeError(f"sentence {position} is {what}")
        partners = [("labels", labels), ("positives", positives), ("negatives", negatives)]
        partners += [(f"more_negatives[{number}]", column) for number, column in enumerate(more_negatives)]
        partners += [*zip(("seconds", "scores"), scored or (None, None), strict=True)]
        for what, values in partners:
            if values is not None and len(values) != len(self.sentences):
                raise ValueError(f"{what} has {len(values)} entries for {len(self.sentences)} sentences")
        self.labels = None if labels is None else np.asarray(labels)
        self.positives, self.negatives, self.pairs = positives, negatives, pairs
        self.more_negatives, self.scored, self.corpus = [*more_negatives], scored, corpus
        self.name, self.skipped = name, skipped
        self._splits = dict(splits or {})

    def __len__(self) -> int:
        return len(self.sentences)

    def batch(self, indices: np.ndarray) -> TextBatch:
        def pick(values: Sequence[str] | None) -> list[str] | None:
            return None if values is None else [values[i] for i in indices]

        return TextBatch(
            [self.sentences[i] for i in indices],
            torch.as_tensor(indices),
            pick(self.positives),
            pick(self.negatives),
            [[column[i] for i in indices] for column in self.more_negatives],
            None if self.scored is None else [self.scored[0][i] for i in indices],
            None if self.scored is None else torch.as_tensor(self.scored[1][indices], dtype=torch.float32),
        )

    def order(self, rng: np.random.Generator) -> np.ndarray:
        """Every sentence once; equal ones are kept apart, see :func:`nearfar.sources.order.apart`."""
        return apart(self.sentences, rng)

    def splits(self) -> Mapping[str, Data]:
        return self._splits

    def contents(self) -> Mapping[str, str]:
        parts = {
            "sentences": self.sentences,
            "labels": self.labels,
            "positives": self.positives,
            "negatives": self.negatives,
            "more_negatives": self.more_negatives or None,
            "scored": self.scored,
            "pairs": self.pairs,
            "corpus": [*self.corpus] or None,
        }
        return {name: digest_of(part) for name, part in parts.items() if part is not None}
