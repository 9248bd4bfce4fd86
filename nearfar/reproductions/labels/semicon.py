"""SemiCon: the unlabelled stream beside the labelled memory beats the memory alone."""

from __future__ import annotations

from typing import Any

from nearfar.reproductions.arms import build, train
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.reproductions.labels.cassle import stream
from nearfar.reproductions.labels.sets import named

ARMS = {"semicon": 1.0, "memory alone": 0.0}


def run(seed: int) -> dict[str, dict[str, float]]:
    data = stream()
    untrained: Any = build("semicon", data, seed)
    scores = {"untrained": {"linear all tasks": untrained.evaluate(data, seed=seed)["linear all tasks"]}}
    for name, alpha in ARMS.items():
        method: Any = train("semicon", build("semicon", data, seed, alpha=alpha, memory=200), data, seed)
        found = method.evaluate(data, seed=seed)
        scores[name] = {key: found[key] for key in ("ncm", "linear all tasks", "forgetting", "labels asked")}
    return scores


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting=f"""{named(" in five tasks of two classes")}, 3,000 pictures that go by once in tens, a memory of 200 of
    which 60 are drawn in each step; a four-layer conv net, AdamW. Held-out pictures of all tasks are named by the
    nearest class mean of the memory.""",
    explanation="""With a memory of 200 pictures of which each step sees 60, most of what is learned comes from the
    memory; the unlabelled stream adds one point, less than seeds differ.""",
    claims=(
        Claim("SemiCon beats learning from the memory alone", "semicon", "memory alone", "ncm"),
        Claim("SemiCon beats its untrained encoder", "semicon", "untrained", "linear all tasks", role="sanity"),
    ),
)
