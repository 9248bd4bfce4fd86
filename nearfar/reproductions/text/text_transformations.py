"""Transforms of texts: what keeps the meaning and changes the look teaches, and what breaks the meaning does not."""

from __future__ import annotations

from typing import Any

from nearfar.encoders import TextEncoder
from nearfar.reproductions.arms import build, train
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.text.data import Sentences, grammar
from nearfar.text.evaluation import evaluate
from nearfar.text.transforms.report import transform_report
from nearfar.training import Method

ARMS: dict[str, dict[str, Any]] = {
    "dropout": {"second": "dropout"},
    "synonyms": {"second": "synonyms", "strength": 0.5},
    "deletion": {"second": "deletion"},
    "heavy deletion": {"second": "deletion", "strength": 0.6},
    "negation": {"second": "negation"},
}
STEPS = 50


def run(seed: int) -> dict[str, dict[str, float]]:
    labelled, intents = grammar.intents(400, seed=seed + 70)
    pairs = grammar.similarity_pairs(400, seed=seed + 71)
    test = Sentences(labelled, intents, pairs=pairs, name="intents and pairs")
    corpus = grammar.grammar_corpus(4000, seed=seed)
    data = Sentences(corpus.sentences, splits={"test": test})
    trained: dict[str, Method] = {
        name: train("text-transformations", build("text-transformations", data, seed, **of), data, seed, steps=STEPS)
        for name, of in ARMS.items()
    }
    found = {name: dict(evaluate(method, data)) for name, method in trained.items()}
    untrained = build("text-transformations", data, seed)
    found["untrained"] = dict(evaluate(untrained.eval(), data))
    judge = trained["dropout"].encoder
    assert isinstance(judge, TextEncoder)
    for name, of in ARMS.items():
        found[name] |= transform_report(of["second"], labelled[:200], judge, strength=of.get("strength"), seed=seed)
    return found


REPRODUCTION = Reproduction(
    run=run,
    setting=f"""4,000 sentences of the generated grammar, {STEPS} steps of 64, a two-layer transformer of width 128 from
    random weights. One view is the sentence, the other a transform of it. Synonyms (half of the words that have any)
    come of the grammar's own words, of which some are ambiguous; heavy deletion leaves out six words of ten, deletion
    one; negation says the opposite and is meant to do harm. ``sts`` is measured on 400 pairs of known similarity.
    ``preservation`` and ``diversity`` are the report's, with the encoder that dropout trained as judge. The review
    promises no numbers: the claims are its requirements on a transform.""",
    claims=(
        Claim("same meaning in other words teaches more than the same words", "synonyms", "dropout", "sts test"),
        Claim("and more than what loses the meaning", "synonyms", "heavy deletion", "sts test"),
        Claim("deletion helps against dropout alone", "deletion", "dropout", "sts test", role="ablation"),
        Claim("the opposite as a positive does harm", "dropout", "negation", "sts test", role="ablation"),
        Claim("the report tells it: little deleted keeps more", "deletion", "heavy deletion", "preservation",
              role="sanity"),
        Claim("synonyms change more than dropout", "synonyms", "dropout", "diversity", role="sanity"),
        Claim("it learns", "synonyms", "untrained", "sts test", role="sanity"),
    ),
)  # fmt: skip
