"""OBoW: bags of words tell what a scene holds, against MoCo at equal steps, and what its parts are worth."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from nearfar.evaluation import LinearProbe
from nearfar.parts.visual_words import perplexity
from nearfar.reproductions.arms import build, train
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.training import Method, embed
from nearfar.vision.data import load
from nearfar.vision.data.shapes import SHAPES, ShapeImages
from nearfar.vision.methods import OBoW

METRIC = "which shapes"
STEPS, BATCH = 300, 64


class FrozenWords(OBoW):
    """Its vocabulary is filled once, with features of the first steps, and then stays."""

    enqueued = 0

    def after_step(self) -> None:
        if self.enqueued < len(self.vocabularies[0].get_buffer("words")):
            self.enqueued += len(self._new[0])
            super().after_step()
        else:
            self.teacher.update(self.encoder, self.progress)


def present(method: Method, data: ShapeImages) -> dict[str, float]:
    """Area under the curve of linear probes that say whether a shape is in a scene, mean over shapes."""
    test = data.splits()["test"]
    assert isinstance(test, ShapeImages)
    known, asked = (embed(method, part).array for part in (data, test))
    areas = []
    for shape in range(len(SHAPES)):
        probe = LinearProbe(C_grid=(0.01,)).fit(known, data.present[:, shape].astype(int))
        areas.append(roc_auc_score(test.present[:, shape], probe.predict_proba(asked)[:, 1]))
    return {METRIC: float(np.mean(areas))}


def run(seed: int) -> dict[str, dict[str, float]]:
    data = load("shape-scenes")
    assert isinstance(data, ShapeImages)
    arms: dict[str, tuple[str, type | None, dict[str, Any]]] = {
        "obow": ("obow", None, {}),
        "average pool": ("obow", None, {"pool": "avg"}),
        "frozen words": ("obow", FrozenWords, {}),
        "moco": ("moco", None, {}),
    }
    scores = {"untrained": present(build("obow", data, seed).eval(), data)}
    for name, (slug, cls, changes) in arms.items():
        method = build(slug, data, seed, cls, **changes)
        train(slug, method, data, seed, steps=STEPS, batch_size=BATCH)
        scores[name] = present(method, data)
        if isinstance(method, OBoW):
            bags = method.eval().bags(data.batch(np.arange(BATCH)).images)
            scores[name] |= {f"words in use {i + 1}": float(perplexity(bag)) for i, bag in enumerate(bags)}
    scores["one word"] = {"words in use 1": 1.0, "words in use 2": 1.0}
    return scores


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting=f"""2,000 drawn scenes of three of eight shapes at 64 px, 600 others for the test; a four-layer conv net,
    AdamW, {STEPS} steps of {BATCH}. OBoW: words of the maps at strides 8 and 16, two crops of 48 px, no patches; MoCo
    v2 with its preset. Measured by a linear probe for each shape, "is one in the scene?". Words in use: perplexity of a
    batch's bags, at each level. Frozen words: features of the first steps fill the vocabulary, which then stays.""",
    claims=(
        Claim("OBoW beats its untrained encoder", "obow", "untrained", METRIC),
        Claim("at equal steps OBoW beats MoCo v2", "obow", "moco", METRIC),
        Claim("the maximum over positions beats the average", "obow", "average pool", METRIC),
        Claim("words that follow the teacher beat frozen ones", "obow", "frozen words", METRIC),
        Claim("a batch uses more than one word of the coarse level", "obow", "one word", "words in use 2"),
    ),
)
