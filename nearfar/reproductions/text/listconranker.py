"""ListConRanker: passages that see one another, and the circle loss, against scoring one by one."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from nearfar.reproductions.arms import build, train
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.reproductions.text.utterances import Utterances, parted, utterances
from nearfar.text.data import Sentences
from nearfar.text.data.lists import Lists
from nearfar.text.methods.listconranker import ListConRanker

STEPS, BATCH = 100, 12
MAP = "map data"


def lists(known: Utterances, count: int, right: int, wrong: int, rng: np.random.Generator) -> Lists:
    """Utterances as queries: others of their intent are right, and those of other intents of the domain are not."""
    queries: list[str] = []
    yes: list[list[str]] = []
    no: list[list[str]] = []
    while len(queries) < count:
        row = int(rng.integers(len(known.texts)))
        same = np.flatnonzero(known.intents == known.intents[row])
        near = np.flatnonzero((known.domains == known.domains[row]) & (known.intents != known.intents[row]))
        same = same[same != row]
        if len(same) < right or len(near) < wrong:
            continue
        queries.append(known.texts[row])
        yes.append([known.texts[i] for i in rng.choice(same, right, replace=False)])
        no.append([known.texts[i] for i in rng.choice(near, wrong, replace=False)])
    return Lists(queries, yes, no)


def run(seed: int) -> dict[str, dict[str, float]]:
    rng = np.random.default_rng(seed)
    seen, unseen = parted(seed, 100, 50)
    known, other = utterances("train").of(seen, 20), utterances("test").of(unseen, 20)
    data, test = lists(known, 1200, 2, 8, rng), lists(other, 200, 4, 16, rng)
    rows = np.arange(0, len(known.texts) - 1, 2)
    pairs = Sentences([known.texts[i] for i in rows], positives=[known.texts[i + 1] for i in rows], name="pairs")
    embedder = build("sentence-bert", pairs, seed)
    train("sentence-bert", embedder, pairs, seed, steps=80)
    encoder = embedder.eval().encoder

    def arm(**changes: Any) -> dict[str, float]:
        settings: dict[str, Any] = {"encoder": copy.deepcopy(encoder), "frozen": 1.0, **changes}
        method = build("listconranker", data, seed, **settings)
        assert isinstance(method, ListConRanker)
        train("listconranker", method, data, seed, steps=STEPS, batch_size=BATCH)
        return dict(method.evaluate(test))

    untrained = build("listconranker", data, seed, encoder=copy.deepcopy(encoder)).eval()
    assert isinstance(untrained, ListConRanker)
    return {
        "listconranker": arm(),
        "softmax": arm(objective="softmax"),
        "one by one": arm(objective="pointwise", together=False),
        "untrained": dict(untrained.evaluate(test)),
    }


REPRODUCTION = Reproduction(
    run=run,
    setting="""Lists of CLINC150 utterances: for 100 intents 1,200 lists of a query, two utterances of its intent and
    eight of other intents of the same domain; tested on 200 lists of four and sixteen of the 50 other intents. The
    encoder is a two-layer transformer of width 128 that Sentence-BERT trained for 80 steps on pairs of the same 100
    intents, frozen in every arm as in the paper's first stage. 100 steps of 12 lists. Without the data: sentences of
    the generated grammar.""",
    claims=(
        Claim("passages that see one another beat passages scored one by one", "listconranker", "one by one", MAP),
        Claim("the circle loss beats cross-entropy", "listconranker", "softmax", MAP, role="ablation"),
        Claim(
            "it ranks better than an untrained list transformer",
            "listconranker",
            "untrained",
            MAP,
            role="sanity",
        ),
    ),
)
