"""Sentence-BERT: pairs that people judged make embeddings whose cosine agrees with people."""

from __future__ import annotations

from typing import Any

import numpy as np

from nearfar.reproductions.arms import arm, build, shared
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.text.data import Sentences, load
from nearfar.text.evaluation import evaluate


def judged() -> tuple[Sentences, float]:
    """Pairs to train on with held-out pairs, and the judgement that means equal: STS-B, or the generated ones."""
    path = shared("stsb/stsb.parquet")
    if path is None:
        return load("grammar-pairs"), 1.0  # type: ignore[return-value]
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(path)

    def part(name: str, splits: dict[str, Sentences] | None = None) -> Sentences:
        rows = table.filter(pc.equal(table["split"], name))
        first, second = rows["s1"].to_pylist(), rows["s2"].to_pylist()
        gold = np.asarray(rows["score"].to_pylist(), dtype=np.float64)
        return Sentences(first, scored=(second, gold), pairs=(first, second, gold), name=name, splits=splits)

    return part("train", {"test": part("test")}), 5.0


def run(seed: int) -> dict[str, dict[str, float]]:
    data, highest = judged()
    assert data.scored is not None
    seconds, gold = data.scored
    shuffled = np.random.default_rng(seed).permutation(gold)
    unrelated = Sentences(data.sentences, scored=(seconds, shuffled), splits=data.splits())
    single = Sentences([*dict.fromkeys([*data.sentences, *seconds])], splits=data.splits())

    def measure(method) -> dict[str, float]:  # type: ignore[no-untyped-def]
        return evaluate(method, data)

    regression: dict[str, Any] = {"objective": "cosine", "highest": highest}
    return {
        "sentence-bert": arm("sentence-bert", data, seed, measure, **regression),
        "cosent": arm("sentence-bert", data, seed, measure, objective="cosent"),
        "shuffled judgements": arm("sentence-bert", unrelated, seed, measure, **regression),
        "simcse": arm("simcse", single, seed, measure, settings={"steps": 300}),
        "untrained": dict(measure(build("sentence-bert", data, seed).eval())),
    }


REPRODUCTION = Reproduction(
    run=run,
    setting="""The training pairs of STS-B (5,749), tested on its 1,379 test pairs; where they are not at hand 8,000
    generated pairs whose gold similarity is the share of equal meaning slots. A two-layer transformer of width 128 from
    random weights, mean pooling, 300 steps of 64 pairs for every arm; SimCSE sees the same sentences without
    judgements. The paper starts from BERT, and this from nothing, so the figures are no comparison with its tables.""",
    claims=(
        Claim("judged pairs beat averages of the untrained encoder", "sentence-bert", "untrained", "sts test"),
        Claim("judged pairs beat sentences alone (SimCSE)", "sentence-bert", "simcse", "sts test", role="ablation"),
        Claim("it is the judgements", "sentence-bert", "shuffled judgements", "sts test", role="sanity"),
        Claim("order alone beats the untrained encoder too", "cosent", "untrained", "sts test", role="ablation"),
    ),
)
