"""SimCSE: dropout alone as augmentation improves sentence embeddings over the untrained encoder."""

from __future__ import annotations

from nearfar.reproductions.arms import arm, build
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.text.data import load
from nearfar.text.evaluation import evaluate


def run(seed: int) -> dict[str, dict[str, float]]:
    data, triplets = load("grammar"), load("grammar-entailment")

    def measure(method) -> dict[str, float]:  # type: ignore[no-untyped-def]
        return evaluate(method, data)

    return {
        "simcse": arm("simcse", data, seed, measure),
        "no dropout": arm("simcse", data, seed, measure, dropout=0.0),
        "supervised simcse": arm("simcse", triplets, seed, measure, keep_head=True),
        "untrained": measure(build("simcse", data, seed).eval()),
    }


REPRODUCTION = Reproduction(
    run=run,
    setting="""8,000 sentences of a generated grammar with synonyms, paraphrases and negation; gold similarity is
    the share of equal meaning slots. A two-layer transformer of width 128 from random weights, mean pooling, 400
    steps of 64. Mean pooling of an untrained encoder is a bag of words, a strong baseline.""",
    explanation="""On this grammar topics share their function words and most sentences differ in several slots, so the
    nearest neighbour of a sentence by words is seldom of its topic (a bag of raw words is right 28% of the time, TF-IDF
    70% with twice the data). Contrast between dropout masks has no reason to weigh topic words above function words,
    and 400 steps do not make it; supervision does (0.44).""",
    claims=(
        Claim("SimCSE is more uniform than its untrained encoder", "simcse", "untrained", "uniformity", "lower"),
        Claim("SimCSE beats its untrained encoder on similarity", "simcse", "untrained", "sts test"),
        Claim("SimCSE beats its untrained encoder on intents", "simcse", "untrained", "1-nn test", role="sanity"),
        Claim("supervision beats none on similarity", "supervised simcse", "simcse", "sts test"),
    ),
)
