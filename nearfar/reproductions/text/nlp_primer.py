"""Input-label contrast: words of texts before a few labels in words, against other pretraining and a new head."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor

from nearfar.encoders import TextEncoder
from nearfar.encoders.hidden_words import HiddenWords
from nearfar.reproductions.arms import arm, build, train
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.reproductions.text.utterances import Utterances, parted, utterances
from nearfar.text.data import Sentences
from nearfar.text.data.named import Named
from nearfar.text.masked import WordGuesses
from nearfar.text.method import TextBatch, TextMethod
from nearfar.training import Method

INTENTS, SHOTS, STEPS, FEW = 30, 5, 80, 40


class WordsHidden(TextMethod):
    """Pretraining by hidden words alone."""

    def __init__(self, encoder: Any, *, optimization: Any, **rest: Any) -> None:
        super().__init__(encoder, "avg", 32, None, optimization)
        assert isinstance(self.encoder, TextEncoder)
        self.words = WordGuesses(self.encoder)

    def views(self, batch: TextBatch) -> HiddenWords:
        encoder: Any = self.encoder
        return self.words.hide(encoder, encoder.tokenize(batch.sentences), self.generator)

    def loss(self, views: HiddenWords) -> Tensor:
        return self.words(self.encoder.hidden(views.tokens), views.labels)  # type: ignore[operator]


def name(intent: Any) -> str:
    """What an intent is called: its words, or those of a topic where the utterances are generated."""
    return str(intent).replace("_", " ")


def run(seed: int) -> dict[str, dict[str, float]]:
    (intents,) = parted(seed, INTENTS)
    every = [name(intent) for intent in intents]

    def named(of: Utterances, splits: Any = None) -> Named:
        return Named(of.texts, [name(intent) for intent in of.intents], every=every, splits=splits)

    test = named(utterances("test").of(intents, 20))
    known = utterances("train").of(intents, 100)
    few = named(known.of(intents, SHOTS), {"test": test})
    plain = Sentences(known.texts)

    def measure(method: Method) -> dict[str, float]:
        return dict(method.evaluate(few))  # type: ignore[operator]

    def labelled(encoder: Any, labels: str) -> dict[str, float]:
        changes: dict[str, Any] = {"labels": labels, "words_weight": 0.0, "objective": "ranking"}
        settings = {"steps": FEW, "batch_size": 32}
        return arm("nlp-primer", few, seed, measure, settings=settings, encoder=encoder, **changes)

    words = build("nlp-primer", few, seed)
    first, untrained = copy.deepcopy(words.encoder), measure(words.eval())
    words.train()
    train("nlp-primer", words, plain, seed, steps=STEPS)
    hidden = WordsHidden("tiny-bert", optimization=words.optimization)
    hidden.encoder.load_state_dict(first.state_dict())
    train("nlp-primer", hidden, plain, seed, steps=STEPS)
    dropout = build("simcse", plain, seed)
    train("simcse", dropout, plain, seed, steps=STEPS)
    return {
        "words, no label": measure(words),
        "words": labelled(copy.deepcopy(words.encoder), "read"),
        "words, new head": labelled(words.encoder, "free"),
        "hidden words": labelled(hidden.encoder, "free"),
        "simcse": labelled(dropout.encoder, "free"),
        "labels alone": labelled(first, "read"),
        "untrained": untrained,
    }


REPRODUCTION = Reproduction(
    run=run,
    setting=f"""Utterances of {INTENTS} intents of CLINC150, other ones for each seed: 3,000 without labels, then
    {SHOTS} of each intent with its name ("transfer", "credit limit"), and 600 others to tell. A two-layer transformer
    of width 128 from random weights, {STEPS} steps of 64 without labels and {FEW} of 32 with them for every arm. Labels
    are read by the encoder, or have vectors of their own, as in a new head. Untrained, the encoder counts words in
    common. The primer has no numbers of its own: the claims are its reasons for labels as texts.""",
    claims=(
        Claim("without a label, names are told better than by words", "words, no label", "untrained", "accuracy"),
        Claim("with few labels better than hidden words and a new head", "words", "hidden words", "accuracy"),
        Claim("and than dropout views and a new head", "words", "simcse", "accuracy", role="ablation"),
        Claim("the same matcher beats a new head", "words", "words, new head", "accuracy", role="ablation"),
        Claim("pretraining helps", "words", "labels alone", "accuracy", role="ablation"),
        Claim("few labels help", "words", "words, no label", "accuracy", role="sanity"),
    ),
)
