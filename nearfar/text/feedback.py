"""Pairs of sentences that a language model writes, and how similar it says they are."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nearfar.encoders.language_models import Answering, LanguageModel

__all__ = ["Judging", "Pairs", "Writing", "judged", "masked", "trimmed", "written_pairs"]

MASK = "<mask>"
_NUMBER = re.compile(r"[0-9.]*[0-9]")


class Pairs(NamedTuple):
    """Pairs of sentences with scores in [0, 1]: N strings, N strings and N numbers."""

    first: list[str]
    second: list[str]
    scores: list[float]


@dataclass(frozen=True)
class Writing:
    """How partners of sentences are written (arXiv 2305.01918, the paper's first stage).

    Args:
        rates: shares of a sentence's words that are masked, one partner for each; at 0 a paraphrase is asked for.
        merge: probability with which neighbouring masks become one, so that the length may change.
        same: what is asked at a rate of 0, with ``{sentence}`` in it.
        fill: what is asked at the others.
    """

    rates: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
    merge: float = 0.5
    same: str = 'Write another sentence that means the same as "{sentence}". Answer with that sentence alone.'
    fill: str = (
        f'Put words in the place of every {MASK} in "{{sentence}}", so that it becomes a new sentence. '
        "Answer with that sentence alone."
    )

    def __post_init__(self) -> None:
        if not self.rates or min(self.rates) < 0 or max(self.rates) > 1 or not 0 <= self.merge <= 1:
            raise ValueError(f"writing.rates and writing.merge must be in [0, 1], got {self.rates} and {self.merge}")
        for name in ("same", "fill"):
            if getattr(self, name).count("{sentence}") != 1:
                raise ValueError(f"writing.{name} must hold {{sentence}} once, got {getattr(self, name)!r}")


@dataclass(frozen=True)
class Judging:
    """How pairs are judged (the second stage).

    Args:
        reason_first: let the model explain before it gives its score, which is then the last number of its answer.
        score: what is asked, with ``{first}`` and ``{second}`` in it.
        reason: what is asked when the reason comes first.
    """

    reason_first: bool = False
    score: str = (
        "How similar are two sentences in what they mean, from 0.0 (entirely different) to 1.0 (almost the same)? "
        'Give the score, and then the reason. The sentences are "{first}" and "{second}". Score:'
    )
    reason: str = (
        'Explain how "{first}" and "{second}" differ in what they mean. Then end with a score of how similar they are, '
        "from 0.0 (entirely different) to 1.0 (the same). Explanation:"
    )

    def asked(self, first: str, second: str) -> str:
        template = self.reason if self.reason_first else self.score
        return template.replace("{first}", first, 1).replace("{second}", second, 1)

    def said(self, answer: str) -> float | None:
        """The score of an answer; ``None`` without one between 0 and 1."""
        numbers = _NUMBER.findall(answer)
        try:
            score = float(numbers[-1 if self.reason_first else 0])
        except (IndexError, ValueError):
            return None
        return score if 0 <= score <= 1 else None


def masked(sentence: str, rate: float, merge: float, rng: np.random.Generator) -> str:
    """``ceil(rate * words)`` words of a sentence replaced by ``<mask>``; neighbouring masks may become one."""
    words = sentence.split()
    for row in rng.choice(len(words), size=min(math.ceil(len(words) * rate), len(words)), replace=False):
        words[row] = MASK
    if rng.random() < merge:
        words = [word for row, word in enumerate(words) if word != MASK or row == 0 or words[row - 1] != MASK]
    return " ".join(words)


def written_pairs(
    model: LanguageModel,
    sentences: Sequence[str],
    how: Writing = Writing(),
    answering: Answering = Answering(),
    *,
    seed: int = 0,
) -> list[tuple[str, str]]:
    """Every sentence with a partner for each rate of masking.

    The released generator asks for a paraphrase of the first sentence of a request only, and asks to fill sentences
    without a mask otherwise; here every rate of 0 asks for a paraphrase.

    Args:
        model: who writes.
        sentences: N strings.
        how: rates and prompts.
        answering: how answers are drawn; the defaults are the paper's.
        seed: of the masks and the answers.

    Returns:
        N times the number of rates pairs, sentence after sentence. Answers end at their first line and lose quotation
        marks around them.
    """
    rng = np.random.default_rng(seed)
    prompts = []
    for sentence in sentences:
        for rate in how.rates:
            hidden = masked(sentence, rate, how.merge, rng) if rate else sentence
            prompts.append((how.fill if rate else how.same).replace("{sentence}", hidden))
    answers = model.answers(prompts, answering, seed=seed)
    firsts = [sentence for sentence in sentences for _ in how.rates]
    return [(first, _sentence(answer)) for first, answer in zip(firsts, answers, strict=True)]


def judged(
    model: LanguageModel,
    pairs: Sequence[tuple[str, str]],
    how: Judging = Judging(),
    answering: Answering = Answering(),
    *,
    seed: int = 0,
) -> list[float | None]:
    """How similar a model says the sentences of each pair are, in [0, 1]; ``None`` where it gives no such number."""
    return [how.said(answer) for answer in model.answers([how.asked(*pair) for pair in pairs], answering, seed=seed)]


def trimmed(
    pairs: Sequence[tuple[str, str]],
    scores: Sequence[float | None],
    *,
    smoothing: float = 0.2,
    most: int = 2,
    drawn: int = 2,
    seed: int = 0,
) -> Pairs:
    """What a student learns from, of pairs as they were written and judged.

    In a drawn order: pairs without a score, of equal sentences, with a mask left in them or of which there is an equal
    one are dropped; a score y becomes ``(1 - smoothing) * y + smoothing / 2``; a sentence keeps at most ``most``
    partners of one score; then it gets ``drawn`` partners of other sentences, with the score 0.

    Raises:
        ValueError: lengths that differ, or nothing is left.
    """
    if len(pairs) != len(scores):
        raise ValueError(f"{len(scores)} scores for {len(pairs)} pairs")
    rng = np.random.default_rng(seed)
    kept: list[tuple[str, str, float]] = []
    seen: set[tuple[str, str, float]] = set()
    counts: dict[tuple[str, float], int] = {}
    for row in rng.permutation(len(pairs)):
        (first, second), score = pairs[row], scores[row]
        if score is None or first == second or not second or MASK in first + second or (first, second, score) in seen:
            continue
        seen.add((first, second, score))
        if counts.get((first, score), 0) < most or most <= 0:
            counts[first, score] = counts.get((first, score), 0) + 1
            kept.append((first, second, (1 - smoothing) * score + smoothing / 2))
    if not kept:
        raise ValueError(f"of {len(pairs)} pairs none has a score in [0, 1] and two different sentences")
    others = []
    for first in dict.fromkeys(first for first, _, _ in kept):
        for row in rng.integers(len(kept), size=drawn):
            turned = (kept[(row + step) % len(kept)] for step in range(len(kept)))
            other = next((second for owner, second, _ in turned if owner != first and second != first), None)
            others += [(first, other, 0.0)] if other is not None else []
    columns = zip(*kept, *others, strict=True)
    return Pairs(*([*column] for column in columns))


def _sentence(answer: str) -> str:
    lines = answer.strip().splitlines()
    return lines[0].strip().strip('"').strip() if lines else ""
