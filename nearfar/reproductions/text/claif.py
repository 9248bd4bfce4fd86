"""CLAIF: scores of pairs that nobody but a model judged teach more than contrast of dropout masks."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cosine_similarity

from nearfar.encoders import TextEncoder, hashed_bert
from nearfar.encoders.language_models import Answering, LanguageModel
from nearfar.reproductions.arms import arm, build, train
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.text.data import Sentences, grammar, load
from nearfar.text.evaluation import evaluate
from nearfar.text.feedback import MASK, Judging, Writing, judged, trimmed, written_pairs
from nearfar.text.mining import vectors
from nearfar.training import Method

WRITING = Writing(same="same|{sentence}", fill="fill|{sentence}")
JUDGING = Judging(score="score|{first}|{second}")
WRONG = 0.3


class Speaker(LanguageModel):
    """What stands for a large language model: it knows the meaning of a corpus, fills gaps by the word before, and its
    judge was taught by other pairs."""

    def __init__(self, corpus: grammar.Corpus, judge: TextEncoder) -> None:
        self.slots = dict(zip(corpus.sentences, corpus.slots, strict=True))
        self.next: dict[str, Counter[str]] = defaultdict(Counter)
        for sentence in corpus.sentences:
            words = ["", *sentence.split()]
            for before, word in zip(words, words[1:], strict=False):
                self.next[before][word] += 1
        self.judge = judge

    def answers(self, prompts: Sequence[str], how: Answering = Answering(), *, seed: int = 0) -> list[str]:
        rng = np.random.default_rng(seed)
        parts = [prompt.split("|") for prompt in prompts]
        if parts[0][0] == "score":
            first, second = (vectors(self.judge, [part[side] for part in parts]) for side in (1, 2))
            return [f"{max(float(cosine), 0.0):.1f}" for cosine in cosine_similarity(first, second)]
        return [
            grammar.verbalize(self.slots[text][None], int(rng.integers(1 << 30)))[0]
            if kind == "same"
            else self._filled(text, rng)
            for kind, text in parts
        ]

    def _filled(self, text: str, rng: np.random.Generator) -> str:
        words = [""]
        for word in text.split():
            if word == MASK:
                known = self.next[words[-1]] or self.next[""]
                counts = np.array([*known.values()], dtype=float)
                word = [*known][rng.choice(len(counts), p=counts / counts.sum())]
            words.append(word)
        return " ".join(words[1:])


def narrow(seed: int) -> TextEncoder:
    torch.manual_seed(seed)
    return hashed_bert(2, 64, words=2048)


def taught_judge(seed: int) -> TextEncoder:
    first, second, gold = grammar.similarity_pairs(4000, seed=seed + 70)
    pairs = Sentences(first, scored=(second, gold / 5))
    method = build("sentence-bert", pairs, seed, encoder=narrow(seed + 9), objective="cosine")
    train("sentence-bert", method, pairs, seed, steps=150, batch_size=48)
    return method.eval().encoder  # type: ignore[return-value]


def run(seed: int) -> dict[str, dict[str, float]]:
    held_out = load("grammar", examples=1).splits()
    corpus = grammar.grammar_corpus(300, seed=seed)
    judge = taught_judge(seed)
    model = Speaker(corpus, judge)
    pairs = written_pairs(model, corpus.sentences, WRITING, seed=seed)
    first, second, scores = trimmed(pairs, judged(model, pairs, JUDGING, seed=seed), seed=seed)
    said = Sentences(first, scored=(second, np.array(scores)), splits=held_out)
    mixed = np.random.default_rng(seed).permutation(scores)
    unrelated = Sentences(first, scored=(second, mixed), splits=held_out)
    alone = Sentences([*dict.fromkeys([*first, *second])], splits=held_out)

    anchors, positives, negatives = grammar.triplets(1500, seed=seed + 80)
    rng = np.random.default_rng(seed)
    others = np.where(rng.random(len(anchors)) < WRONG, rng.permutation(len(anchors)), np.arange(len(anchors)))
    doubtful = [positives[row] for row in others]
    weights = np.array(judged(model, [*zip(anchors, doubtful, strict=True)], JUDGING), dtype=float)
    triplets = Sentences(anchors, positives=doubtful, negatives=negatives, scored=(doubtful, weights), splits=held_out)

    def measure(method: Method) -> dict[str, float]:
        return dict(evaluate(method, said))

    def trained(slug: str, data: Sentences, **changes: Any) -> dict[str, float]:
        settings = {"steps": 130, "batch_size": 32}
        return arm(slug, data, seed, measure, encoder=narrow(seed), settings=settings, **changes)

    return {
        "claif": trained("claif", said),
        "simcse": trained("simcse", alone),
        "shuffled scores": trained("claif", unrelated),
        "clhaif": trained("claif", triplets, objective="clhaif"),
        "supervised simcse": trained("simcse", triplets, head=False),
        "judge": measure(build("claif", said, seed, encoder=judge).eval()),
        "untrained": measure(build("claif", said, seed, encoder=narrow(seed)).eval()),
    }


REPRODUCTION = Reproduction(
    run=run,
    setting="""No large language model is at hand. In its place 300 sentences of the generated grammar get nine
    partners each: one in other words, and eight whose masked words are filled by how often words follow each other.
    Scores, to one decimal, are cosines of a judge, a two-layer transformer that Sentence-BERT taught by 4,000 other
    pairs. Students are the same transformer of width 64 from random weights, 130 steps of 32; SimCSE sees all the same
    sentences without scores. For CLHAIF three of ten positives of 1,500 triplets are another sentence's, and the same
    judge scores them. Measured are 1,000 other pairs.""",
    claims=(
        Claim("scores beat contrast of dropout masks", "claif", "simcse", "sts test"),
        Claim("scores improve contrast of people's pairs", "clhaif", "supervised simcse", "sts test"),
        Claim("it is what the judge says", "claif", "shuffled scores", "sts test", role="sanity"),
        Claim("scores beat the untrained encoder", "claif", "untrained", "sts test", role="sanity"),
    ),
)
