"""MEOW: contrast of connections with contexts and weighted negatives, against equal weights and raw features."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from nearfar.graph.data.linked import library
from nearfar.graph.evaluation import probe
from nearfar.graph.methods import MEOW
from nearfar.losses import info_nce
from nearfar.reproductions.arms import arm, build
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.training import Optimization, embed

METRIC = "probe 10% labels"
STEPS = 60


class EqualWeights(MEOW):
    """MEOW with all other nodes as negatives, and without centres."""

    def begin_epoch(self, data: Any, epoch: int) -> None:
        """Nothing is clustered."""

    def loss(self, views: Any) -> dict[str, Tensor]:
        return {"contrast": info_nce(*self.both(views), temperature=self.temperature)}


def run(seed: int) -> dict[str, dict[str, float]]:
    data = library(seed=seed)
    assert data.labels is not None
    labels = data.labels

    def measure(method: Any) -> dict[str, float]:
        return {METRIC: probe(embed(method, data).array, labels, seed=seed)}

    settings = {"steps": STEPS}
    slow = Optimization("adam", lr=3e-4, weight_decay=0.0, schedule="constant")
    facts = {name: data.facts[name] for name in ("in_features", "context_features", "size")}
    return {
        "meow": arm("meow", data, seed, measure, settings=settings),
        "adameow": arm(
            "meow", data, seed, measure, settings=settings, negatives="learned", temperature=1.0, optimization=slow
        ),
        "equal weights": arm("meow", data, seed, measure, cls=EqualWeights, settings=settings, **facts),
        "grace": arm("grace", data, seed, measure, settings=settings),
        "untrained": measure(build("meow", data, seed).eval()),
        "raw features": {METRIC: probe(data.graph.x.numpy(), labels, seed=seed)},
    }


REPRODUCTION = Reproduction(
    run=run,
    seeds=5,
    setting=f"""A generated library of 500 papers of four topics, linked by authors (with words of their own) and by
    subjects; {STEPS} epochs, Adam 2e-3 (AdaMEOW 3e-4: its loss has
    no lower bound, and its paper's rate is a fourteenth of MEOW's), clusterings of 10 and 30. GRACE sees the same
    papers, linked
    where they share most. One-vs-rest logistic regression on a random tenth of the papers, three divisions.""",
    claims=(
        Claim("MEOW beats contrast with equal weights", "meow", "equal weights", METRIC),
        Claim("AdaMEOW beats contrast with equal weights", "adameow", "equal weights", METRIC),
        Claim("MEOW beats GRACE, which knows one kind of nodes", "meow", "grace", METRIC, role="ablation"),
        Claim("MEOW beats raw features", "meow", "raw features", METRIC, role="sanity"),
        Claim("MEOW beats the untrained network", "meow", "untrained", METRIC, role="sanity"),
    ),
)
