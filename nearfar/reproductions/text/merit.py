"""MERIt: questions made of unlabelled documents, before a few labelled ones, against hidden words alone."""

from __future__ import annotations

from torch import Tensor

from nearfar.reproductions.arms import build, train
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.text.data import choices, documents
from nearfar.text.methods.merit import MERIt, Views
from nearfar.training import Method

PUZZLES, LABELLED, STEPS, FEW = 2400, 200, 90, 40


class WordsAlone(MERIt):
    """Of documents nothing but hidden words is learned."""

    def loss(self, views: Views) -> dict[str, Tensor]:
        if views.hidden is None:
            return super().loss(views)
        states = self.encoder.hidden(views.hidden.tokens)  # type: ignore[operator]
        return {"words": self.words(states, views.hidden.labels)}


def run(seed: int) -> dict[str, dict[str, float]]:
    unlabelled, labelled = documents.made(PUZZLES, seed=seed), choices.made(LABELLED, seed=seed)

    def measure(method: Method) -> dict[str, float]:
        return dict(method.evaluate(labelled))  # type: ignore[operator]

    def read(cls: type | None = None) -> Method:
        return train("merit", build("merit", unlabelled, seed, cls), unlabelled, seed, steps=STEPS)

    def asked(method: Method) -> dict[str, float]:
        return measure(train("merit", method, labelled, seed, steps=FEW, batch_size=16))

    merit = read()
    alone = measure(merit)
    return {
        "merit": asked(merit),
        "hidden words": asked(read(WordsAlone)),
        "questions only": asked(build("merit", unlabelled, seed)),
        "documents only": alone,
        "untrained": measure(build("merit", unlabelled, seed)),
    }


REPRODUCTION = Reproduction(
    run=run,
    setting=f"""{PUZZLES} puzzles of generated documents, in which two facts about invented names make a third, and
    then {LABELLED} labelled questions with four options; 400 others are held out, chance is 0.25, and whoever knows
    what the facts are about but not their direction has 0.5. No name occurs in two documents. A two-layer transformer
    of width 128 from random weights in the place of RoBERTa, {STEPS} steps of 16 puzzles and {FEW} of 16 questions.
    Hidden words: the same text and steps without questions made of it. ReClor and LogiQA need a pretrained model.""",
    claims=(
        Claim("questions made of texts teach more logic than hidden words", "merit", "hidden words", "accuracy"),
        Claim("and help against questions alone", "merit", "questions only", "accuracy"),
        Claim("they teach it without a labelled question", "documents only", "untrained", "accuracy", role="ablation"),
        Claim("it learns", "merit", "untrained", "accuracy", role="sanity"),
    ),
)
